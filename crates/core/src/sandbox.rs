//! How much a worker may do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What an agent may write, in rising order of power (Codex `--sandbox`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    /// May read everything and write nothing.
    ReadOnly,
    /// May write below the working folder and the system's temp folders.
    WorkspaceWrite,
    /// No sandbox at all.
    DangerFullAccess,
}

impl Sandbox {
    /// All values, weakest first.
    pub const ALL: [Self; 3] = [Self::ReadOnly, Self::WorkspaceWrite, Self::DangerFullAccess];

    /// The value as Codex and the wire spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::WorkspaceWrite => "workspace-write",
            Self::DangerFullAccess => "danger-full-access",
        }
    }
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sandbox (one of read-only, workspace-write, danger-full-access)")]
pub struct UnknownSandbox(pub String);

impl FromStr for Sandbox {
    type Err = UnknownSandbox;

    fn from_str(text: &str) -> Result<Self, UnknownSandbox> {
        Self::ALL
            .into_iter()
            .find(|sandbox| sandbox.as_str() == text)
            .ok_or_else(|| UnknownSandbox(text.to_owned()))
    }
}

/// Whether a job means to change its working tree; it decides which cap the
/// job counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Counts as a reader.
    Read,
    /// Counts as a writer.
    Write,
}
