//! What can go wrong in a task.

use std::{io, process::ExitStatus};

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be started.
    #[error("start `{command}`")]
    Start {
        /// Its command line.
        command: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// Its command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A program that is needed is not there.
    #[error("{what} is missing")]
    Missing {
        /// What, in words.
        what: String,
        /// How to get it.
        hint: String,
    },
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A program's output is not the JSON it should be.
    #[error("read the output of `{command}` as JSON")]
    Output {
        /// Its command line.
        command: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Generated files differ from the committed ones.
    #[error("generated files are not up to date: {}", files.join(", "))]
    Stale {
        /// Their paths, relative to the workspace.
        files: Vec<String>,
    },
    /// Something went otherwise than it must.
    #[error("{what}")]
    Unexpected {
        /// What, in words.
        what: String,
        /// Where to look.
        hint: Option<String>,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Missing { hint, .. } => Some(hint),
            Self::Stale { .. } => Some("`cargo xtask schemas` writes them anew"),
            Self::Unexpected { hint, .. } => hint.as_deref(),
            _ => None,
        }
    }
}
