//! How jobs that write get on in one shared working tree, and what follows where
//! strict ones collide.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::changes::{KeptBoth, SkippedPath};

/// What a writing job expects of a tree that it shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Coordination {
    /// Nothing: the tree may hold changes, and collisions are told.
    #[default]
    Dirty,
    /// A clean tree: the job is refused where it is not, and strict jobs that
    /// changed the same files are taken back and run again one after the other.
    Strict,
}

impl Coordination {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Dirty, Self::Strict];

    /// The word as sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dirty => "dirty",
            Self::Strict => "strict",
        }
    }
}

/// What was taken back of a strict job before it ran again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rerun {
    /// The last attempt whose changes were taken back.
    pub attempt: u32,
    /// The jobs whose changes were taken back together, in the order in which they
    /// run again.
    pub job_ids: Vec<String>,
    /// What happened, in words.
    pub message: String,
    /// Paths that are as they were before.
    pub restored: Vec<String>,
    /// Paths that were edited since on the same lines: they stay, and what they
    /// were before lies beside them.
    pub kept_both: Vec<KeptBoth>,
    /// Paths that stay as they are.
    pub skipped: Vec<SkippedPath>,
    /// The state before, to undo it.
    pub checkpoint_id: Option<String>,
}
