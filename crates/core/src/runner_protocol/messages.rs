//! What is said on a runner's socket: one JSON object a line, both ways.

use serde::{Deserialize, Serialize};

use super::identity::ContainmentReport;

/// From the daemon to the runner.
///
/// Commands carry a number that rises by at least one; a number at or below the
/// last one accepted is answered `done` and does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DaemonMessage {
    /// Must come first; ends any older connection.
    Hello {
        /// Protocol version of the daemon.
        version: u32,
    },
    /// Starts the agent of a runner that was told to hold it.
    Go {
        /// Number of the command.
        id: u64,
    },
    /// Writes to the agent's stdin. Answered `done` when all of it was written.
    Stdin {
        /// Number of the command.
        id: u64,
        /// Text to write.
        #[serde(default)]
        data: String,
        /// Whether stdin is closed after it.
        #[serde(default)]
        close: bool,
    },
    /// Sends a signal, changing nothing else.
    Signal {
        /// Number of the command.
        id: u64,
        /// Which one.
        signal: SignalName,
    },
    /// Begins the stop ladder, or escalates one that has begun.
    Stop {
        /// Number of the command.
        id: u64,
        /// True: kill everything at once.
        #[serde(default)]
        force: bool,
        /// Why; recorded in the exit record.
        #[serde(default)]
        reason: String,
        /// Replaces the spec's `grace_ms` for this stop; milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grace_ms: Option<u64>,
    },
}

impl DaemonMessage {
    /// The number of a command; none for `hello`.
    pub fn id(&self) -> Option<u64> {
        match self {
            Self::Hello { .. } => None,
            Self::Go { id }
            | Self::Stdin { id, .. }
            | Self::Signal { id, .. }
            | Self::Stop { id, .. } => Some(*id),
        }
    }
}

/// From the runner to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunnerMessage {
    /// The answer to `hello`.
    Hello {
        /// Protocol version of the runner.
        version: u32,
        /// The runner's id.
        runner_id: String,
        /// Number of the last command accepted; 0: none.
        last_command: u64,
        /// Length of the journal in bytes.
        journal_len: u64,
        /// Process id of the agent; none when it is not running.
        agent_pid: Option<i32>,
        /// How the agent is contained.
        containment: ContainmentReport,
        /// Whether the agent waits for `go`.
        #[serde(default)]
        held: bool,
    },
    /// The journal grew; only the latest length is told when many are due.
    Len {
        /// Length of the journal in bytes.
        journal_len: u64,
    },
    /// A command was carried out.
    Done {
        /// Number of the command.
        id: u64,
    },
    /// A command was not carried out. When it was accepted before, it counts as
    /// the last command all the same.
    Refused {
        /// Number of the command; 0 for a message without a number.
        id: u64,
        /// Why.
        message: String,
    },
    /// `exit.json` is written; the runner ends.
    Exited {},
}

/// A signal that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalName {
    /// SIGINT to the agent.
    Interrupt,
    /// SIGTERM to the agent.
    Terminate,
    /// SIGKILL to the agent.
    Kill,
    /// SIGSTOP to the whole tree; limits stand still.
    Stop,
    /// SIGCONT to the whole tree.
    Continue,
}

/// One message as a line, its newline included.
pub fn encode_line<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("messages hold only strings and numbers");
    line.push(b'\n');
    line
}

/// Reads one line, with or without its newline.
///
/// # Errors
/// The line is not a message of this type.
pub fn decode_line<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(line)
}
