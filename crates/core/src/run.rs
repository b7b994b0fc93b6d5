//! A job that is a run: it has a folder of its own outside of the state home, in which
//! everything about it is kept for whoever asked.
//!
//! A delegated run is one job of an agent. A second turn, which repairs an answer that
//! does not have the form asked for, is a further attempt of that job in the same
//! conversation: so a run is queued, watched, stopped and taken up after a crash as any
//! job is.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, FailureCode},
    ids::JobId,
    job::Job,
    time::UnixMillis,
};

/// Version of the stored form of [`Run`].
pub const RUN_VERSION: u32 = 1;

/// Bits of a job's id that the name of its run shows.
const SHOWN_BITS: u32 = 48;

/// Name of a run: UTC `YYYY-MM-DD_HHMMSSmmm_` and 12 hexadecimal digits.
///
/// The id of its job follows from it, so nothing has to remember which is which.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// The name of a run that is accepted at `at`, of 48 random bits.
    #[must_use]
    pub fn new(at: UnixMillis, random: u64) -> Self {
        // `2026-01-31T08:00:00.123Z`
        let text = at.to_rfc3339();
        let time: String = text
            .chars()
            .filter(|c| !matches!(c, ':' | '.' | 'Z'))
            .map(|c| if c == 'T' { '_' } else { c })
            .collect();
        let shown = random & ((1 << SHOWN_BITS) - 1);
        Self(format!("{time}_{shown:012x}"))
    }

    /// Reads a name; none if `text` does not have the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let form = "0000-00-00_000000000_xxxxxxxxxxxx";
        let fits = |(c, form): (char, char)| match form {
            '0' => c.is_ascii_digit(),
            'x' => c.is_ascii_digit() || ('a'..='f').contains(&c),
            other => c == other,
        };
        let valid = text.len() == form.len() && text.chars().zip(form.chars()).all(fits);
        valid.then(|| Self(text.to_owned()))
    }

    /// The job that carries it out.
    #[must_use]
    pub fn job(&self) -> JobId {
        let digits = self.0.rsplit('_').next().unwrap_or_default();
        let shown = u64::from_str_radix(digits, 16).unwrap_or_default();
        // FNV-1a over the whole name gives the bits that are not shown.
        let hash = self
            .0
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        JobId::from_random(shown | (hash << SHOWN_BITS))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What makes a job a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Version of this form.
    pub version: u32,
    /// Its name.
    pub id: RunId,
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// Digest of what was asked for: the same from the same owner means the same run
    /// while it lives.
    pub digest: String,
    /// Whether the agent is to refuse a folder that is in no git repository.
    pub needs_repository: bool,
    /// Why the work cannot begin, if it cannot: the run fails before any agent starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}

/// Whether a run that failed so gets another turn, to give its answer the form that was
/// asked for. There is one such turn.
#[must_use]
pub fn is_repaired(job: &Job, failure: &Failure) -> bool {
    let invalid = |failure: &Failure| failure.code == FailureCode::InvalidOutput;
    job.spec.run.is_some()
        && job.thread.is_some()
        && invalid(failure)
        && !job.past.iter().any(|past| invalid(&past.cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_job() {
        let at = UnixMillis::parse("2026-01-31T08:00:00.123Z").expect("an instant");
        let run = RunId::new(at, 0xffff_0123_4567_89ab);
        assert_eq!(run.as_str(), "2026-01-31_080000123_0123456789ab");
        assert_eq!(RunId::parse(run.as_str()), Some(run.clone()));
        assert_eq!(
            RunId::parse(run.as_str()).map(|run| run.job()),
            Some(run.job())
        );
        let other = RunId::new(at.plus(1), 0x0123_4567_89ab);
        assert_ne!(other.job(), run.job());
        for text in ["", "2026-01-31_080000123_0123456789AB", "../../etc/passwd"] {
            assert_eq!(RunId::parse(text), None, "{text}");
        }
    }
}
