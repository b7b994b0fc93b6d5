//! `runner.json`: which process the runner is, and how it holds its agent.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Written and synced by a runner before it starts anything. Its absence means
/// that no agent was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerIdentity {
    /// Version of this file.
    pub version: u32,
    /// The runner's id.
    pub runner_id: String,
    /// Process id of the runner.
    pub pid: i32,
    /// When that process started, in the platform's own unit (Linux: clock ticks
    /// since boot; macOS: microseconds since the epoch). With `pid` and
    /// `boot_id` it names one process for ever.
    pub start_time: u64,
    /// Which boot of the machine `start_time` belongs to; empty where the start
    /// time is absolute.
    #[serde(default)]
    pub boot_id: String,
    /// User id the runner runs as.
    pub uid: u32,
    /// Wall clock when this was written, milliseconds since the epoch.
    pub wall_ms: u64,
    /// Monotonic clock when this was written, milliseconds.
    pub mono_ms: u64,
    /// The socket it listens on.
    pub socket: PathBuf,
    /// Version of the socket protocol it speaks.
    pub protocol_version: u32,
    /// Version of the program.
    pub program_version: String,
}

/// Means by which an agent's processes are held together, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// A PID namespace whose init dies with the runner.
    PidNamespace,
    /// The runner adopts orphans; the agent dies with the runner.
    Subreaper,
    /// Process group, recorded descendants and our mark only.
    ProcessGroup,
    /// Nothing was contained (the runner ended before that).
    #[serde(other)]
    None,
}

/// How the agent is contained, and why not better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainmentReport {
    /// The rung reached.
    pub rung: Rung,
    /// Why a better rung was not possible; empty for the best one.
    #[serde(default)]
    pub detail: String,
}

impl ContainmentReport {
    /// The report of a runner that did not get as far as containing anything.
    pub fn none() -> Self {
        Self {
            rung: Rung::None,
            detail: String::new(),
        }
    }
}

/// A process, named so that a reused process id cannot be taken for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessNote {
    /// Process id as the runner sees it.
    pub pid: i32,
    /// Start time in the platform's own unit, as in [`RunnerIdentity`].
    pub start_time: u64,
    /// Command line, shortened.
    #[serde(default)]
    pub command: String,
}
