//! `exit.json`: how it ended.

use serde::{Deserialize, Serialize};

use super::identity::{ContainmentReport, ProcessNote};

/// The last thing a runner writes. When it ends without it, recovery writes one
/// with the cause [`ExitCause::Lost`] under the runner's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Version of this file.
    pub version: u32,
    /// The runner's id.
    pub runner_id: String,
    /// Why the attempt ended.
    pub cause: ExitCause,
    /// Exit code of the agent; none when a signal ended it or it never started.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Number of the signal that ended the agent.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Whether the agent's program was started.
    #[serde(default)]
    pub started: bool,
    /// Wall clock before the final sync, milliseconds since the epoch: the exit
    /// stamp.
    pub wall_ms: u64,
    /// Microseconds beyond `wall_ms`, below 1,000; 0 where they are not known.
    #[serde(default)]
    pub wall_us: u16,
    /// Monotonic clock before the final sync, milliseconds.
    pub mono_ms: u64,
    /// Milliseconds that counted against the wall limit in this attempt.
    #[serde(default)]
    pub active_ms: u64,
    /// Length of the journal in bytes; all of it is synced.
    #[serde(default)]
    pub journal_len: u64,
    /// Number of the last command accepted; 0: none.
    #[serde(default)]
    pub last_command: u64,
    /// How the agent was contained.
    pub containment: ContainmentReport,
    /// Processes that could not be ended.
    #[serde(default)]
    pub leftovers: Vec<ProcessNote>,
    /// Bytes the agent wrote to stdout and stderr together.
    #[serde(default)]
    pub output_bytes: u64,
}

/// Why an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExitCause {
    /// The agent ended by itself.
    Exited,
    /// A `stop` command ended it.
    Stopped {
        /// Whether it was killed at once.
        force: bool,
        /// The reason given with the command.
        reason: String,
    },
    /// It reached a limit.
    Limit {
        /// Which one.
        limit: LimitKind,
    },
    /// The journal could not be written.
    DiskFull,
    /// No daemon was connected for `orphan_ttl_ms`.
    Orphaned,
    /// The runner's folder vanished.
    FolderGone,
    /// Somebody else wrote `exit.json` for it.
    Superseded,
    /// The agent could not be started.
    StartFailed {
        /// What was wrong.
        kind: StartFailure,
        /// The cause in words, with the path it is about.
        message: String,
    },
    /// The runner ended before it could say how the agent ended.
    Lost {
        /// What is known.
        message: String,
    },
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// `wall_ms`
    Wall,
    /// `idle_ms`
    Idle,
    /// `first_event_ms`
    FirstEvent,
    /// `output_bytes`
    Output,
}

/// Why an agent could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartFailure {
    /// The program, or the interpreter of a script, does not exist.
    NotFound,
    /// The program may not be executed.
    Permission,
    /// The working folder cannot be entered.
    Cwd,
    /// The environment cannot be read or used.
    Env,
    /// What is to be laid over the tree cannot be.
    Overlay,
    /// Anything else.
    #[serde(other)]
    Other,
}
