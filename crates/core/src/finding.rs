//! What was seen of a job besides its own words and that somebody should know
//! of: it broke a rule, or collided with another.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{coordination::TakenBack, ids::JobId};

/// Most findings that are kept of one job; more of them tell nothing more.
pub const MOST_FINDINGS: usize = 100;

/// Something that was seen of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Finding {
    /// It did what jobs may not do.
    Violation(Violation),
    /// It and others changed the same file.
    Conflict(Conflict),
    /// What it had done beside others was taken back, so that it can run again.
    TakenBack(TakenBack),
}

/// What a job did that it may not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which rule it broke.
    pub rule: Rule,
    /// What was seen, for people.
    pub message: String,
    /// The refs or paths, sorted.
    pub items: Vec<String>,
}

/// What jobs may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Commit, or move HEAD, branches, tags or the stash.
    History,
    /// Change files outside of the folders of its scope.
    Scope,
}

impl Rule {
    /// The rule as stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Scope => "scope",
        }
    }
}

/// A file that jobs changed while all of them were at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Its name: the same for the same jobs and path.
    pub id: String,
    /// `overlap`, `stale_overwrite` or `forecast`.
    pub kind: String,
    /// The path, relative to the top of the working tree.
    pub path: String,
    /// The jobs; of a stale overwrite, the one that wrote over the other last. Of a
    /// forecast it may be one, which collides with the tree.
    pub jobs: Vec<JobId>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs: Vec<&str> = self.jobs.iter().map(JobId::as_str).collect();
        let what = match self.kind.as_str() {
            "stale_overwrite" => "the last wrote over what the other had done in",
            "forecast" => "cannot be merged in",
            _ => "both changed",
        };
        write!(f, "{}: {what} {}", jobs.join(" and "), self.path)
    }
}
