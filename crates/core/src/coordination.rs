//! How jobs that write get on in one shared working tree.
//!
//! Tolerant jobs work on the tree as it is, and collisions are told. Strict ones
//! begin with a clean tree; where two of them collide, what they did is taken back
//! and they run again, one after the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::JobId;

/// Most times that a job runs again because it collided with others.
pub const MOST_RERUNS: usize = 3;

/// What a writing job expects of a tree that it shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coordination {
    /// Nothing: the tree may hold changes, and collisions are told.
    #[default]
    Dirty,
    /// A clean tree, and that nobody else who expects it changes the same files.
    Strict,
}

impl Coordination {
    /// Whether it is the tolerant one.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        *self == Self::Dirty
    }
}

/// Why an attempt of a strict job is undone: others of them changed the same files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clash {
    /// The other jobs, sorted.
    pub with: Vec<JobId>,
    /// The paths, relative to the top of the working tree, sorted.
    pub paths: Vec<String>,
}

/// Most paths that are named in a sentence.
const NAMED: usize = 5;

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs: Vec<&str> = self.with.iter().map(JobId::as_str).collect();
        write!(
            f,
            "{} changed {} too",
            jobs.join(" and "),
            some(&self.paths)
        )
    }
}

/// A few of these words, and how many more there are.
#[must_use]
pub fn some(words: &[String]) -> String {
    let shown = words[..words.len().min(NAMED)].join(", ");
    match words.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What was taken back of an attempt that is to run again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// The last attempt whose changes were taken back.
    pub attempt: u32,
    /// Every job whose changes were taken back together, in the order in which
    /// they run again.
    pub jobs: Vec<JobId>,
    /// Paths that are as they were before.
    pub restored: Vec<String>,
    /// Paths that others edited on the same lines: they stay, and what they were
    /// before lies beside them.
    pub kept_both: Vec<KeptBoth>,
    /// Paths that stay as they are.
    pub left: Vec<Left>,
    /// Paths of this job that cannot be told apart from what another job did: it
    /// cannot run again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inseparable: Vec<String>,
    /// The state before, to undo it.
    pub checkpoint: Option<String>,
}

/// A path with two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBoth {
    /// The path, as it was edited last.
    pub path: String,
    /// Where it lies as it was before.
    pub copy: String,
}

/// A path that was left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The path.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for TakenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs: Vec<&str> = self.jobs.iter().map(JobId::as_str).collect();
        let jobs = jobs.join(" and ");
        if !self.inseparable.is_empty() {
            let paths = some(&self.inseparable);
            return write!(
                f,
                "{paths} cannot be put back: what {jobs} did there cannot be told from what others did"
            );
        }
        match self.restored.is_empty() {
            true => write!(f, "nothing of what {jobs} did was left to take back")?,
            false => write!(
                f,
                "what {jobs} did was taken back: {}",
                some(&self.restored)
            )?,
        }
        for kept in &self.kept_both {
            write!(
                f,
                "; {} was edited since and stays, as it was before it is {}",
                kept.path, kept.copy
            )?;
        }
        if !self.left.is_empty() {
            let left: Vec<String> = self.left.iter().map(|left| left.path.clone()).collect();
            write!(f, "; left as they are: {}", some(&left))?;
        }
        Ok(())
    }
}
