//! Names of jobs and runners.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The alphabet of ids: lower-case Crockford base 32, so that no two letters
/// look alike and a double click selects the whole id.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Name of a job: `j` and 12 letters or digits, unique within a state home.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// Makes the id that 60 random bits name.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        let letters = (0..12).map(|i| {
            let index = usize::try_from((bits >> (i * 5)) & 31).expect("five bits fit in a usize");
            char::from(ALPHABET[index])
        });
        Self(std::iter::once('j').chain(letters).collect())
    }

    /// Reads an id; `None` if `text` does not have the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('j')?;
        let valid = rest.len() == 12 && rest.bytes().all(|b| ALPHABET.contains(&b));
        valid.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a runner and of its folder: the job's id, `.` and the attempt.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunnerId(String);

impl RunnerId {
    /// The runner that carries out one attempt of one job.
    #[must_use]
    pub fn of_attempt(job: &JobId, attempt: u32) -> Self {
        Self(format!("{job}.{attempt}"))
    }

    /// Reads an id; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(text.to_owned());
        id.attempt().is_some().then_some(id)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The job and attempt this runner serves.
    #[must_use]
    pub fn attempt(&self) -> Option<(JobId, u32)> {
        let (job, attempt) = self.0.split_once('.')?;
        Some((JobId::parse(job)?, attempt.parse().ok()?))
    }
}

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_back() {
        let job = JobId::from_random(0x0123_4567_89ab_cdef);
        assert_eq!(JobId::parse(job.as_str()), Some(job.clone()));
        assert_eq!(JobId::parse("j123"), None);
        assert_eq!(JobId::parse("j../../etc/pa"), None);
        assert_eq!(RunnerId::of_attempt(&job, 3).attempt(), Some((job, 3)));
    }
}
