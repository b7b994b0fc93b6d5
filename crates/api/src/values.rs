//! Closed sets of words used on the wire.

use convoke_core::sandbox as core;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an agent may write, in rising order of power.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Sandbox {
    /// May read everything and write nothing.
    ReadOnly,
    /// May write below the working folder and the system's temp folders.
    WorkspaceWrite,
    /// No sandbox at all.
    DangerFullAccess,
}

impl From<core::Sandbox> for Sandbox {
    fn from(value: core::Sandbox) -> Self {
        match value {
            core::Sandbox::ReadOnly => Self::ReadOnly,
            core::Sandbox::WorkspaceWrite => Self::WorkspaceWrite,
            core::Sandbox::DangerFullAccess => Self::DangerFullAccess,
        }
    }
}

impl From<Sandbox> for core::Sandbox {
    fn from(value: Sandbox) -> Self {
        match value {
            Sandbox::ReadOnly => Self::ReadOnly,
            Sandbox::WorkspaceWrite => Self::WorkspaceWrite,
            Sandbox::DangerFullAccess => Self::DangerFullAccess,
        }
    }
}

/// Whether a job means to change its working tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Access {
    /// Counts against the readers of the tree.
    Read,
    /// Counts against the writers of the tree.
    Write,
}

impl From<core::Access> for Access {
    fn from(value: core::Access) -> Self {
        match value {
            core::Access::Read => Self::Read,
            core::Access::Write => Self::Write,
        }
    }
}

impl From<Access> for core::Access {
    fn from(value: Access) -> Self {
        match value {
            Access::Read => Self::Read,
            Access::Write => Self::Write,
        }
    }
}

/// How hard a model thinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// As little as possible.
    Minimal,
    /// A little.
    Low,
    /// The usual amount.
    Medium,
    /// Much.
    High,
    /// As much as possible.
    Xhigh,
}

impl ReasoningEffort {
    /// The word as Codex spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum State {
    /// Waits its turn.
    Queued,
    /// Its runner is being started.
    Starting,
    /// Its agent runs.
    Running,
    /// Its agent has said its last word.
    Finishing,
    /// It is being stopped.
    Stopping,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
    /// It was stopped on request.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Starting,
        Self::Running,
        Self::Finishing,
        Self::Stopping,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The state as sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Finishing => "finishing",
            Self::Stopping => "stopping",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads a state's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether a job in this state is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}
