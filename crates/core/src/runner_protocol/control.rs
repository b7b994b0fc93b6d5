//! `ctl` records of the journal: what was done to the agent, and when.

use serde::{Deserialize, Serialize};

use super::exit::LimitKind;
use super::identity::{ProcessNote, Rung};

/// The JSON object of one `ctl` record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Control {
    /// How the agent is contained.
    Contained {
        /// The rung reached.
        rung: Rung,
        /// Why not a better one.
        #[serde(default)]
        detail: String,
    },
    /// The agent's program is about to be executed.
    AgentStarted {
        /// Process id of the agent as the runner sees it.
        pid: i32,
        /// Its start time, in the platform's own unit.
        start_time: u64,
    },
    /// The agent ended.
    AgentExited {
        /// Exit code; none when a signal ended it.
        #[serde(default)]
        exit_code: Option<i32>,
        /// Number of the signal that ended it.
        #[serde(default)]
        signal: Option<i32>,
    },
    /// A command was accepted; journaled before it acts.
    Command {
        /// Number of the command.
        id: u64,
        /// What it is.
        command: CommandKind,
        /// Signal name or reason of a stop; empty otherwise.
        #[serde(default)]
        detail: String,
    },
    /// A command was carried out.
    CommandDone {
        /// Number of the command.
        id: u64,
    },
    /// Processes found below the agent (where no namespace holds them). The last
    /// such record is the current list.
    Descendants {
        /// Every process of the tree but the agent.
        processes: Vec<ProcessNote>,
    },
    /// A limit was reached; the stop ladder begins.
    LimitReached {
        /// Which one.
        limit: LimitKind,
    },
    /// Half the limit of silence is over.
    Quiet {
        /// Milliseconds of silence.
        silent_ms: u64,
        /// The limit, milliseconds.
        limit_ms: u64,
    },
    /// The limit of silence was reached while the agent's processes were at
    /// work, which counts as a sign of life.
    Active {
        /// Processor time since half of the limit, milliseconds.
        cpu_ms: u64,
        /// Bytes read and written since.
        io_bytes: u64,
    },
    /// A rung of the stop ladder.
    Ladder {
        /// Name of the signal sent, such as `SIGTERM`.
        signal: String,
        /// Whether it went to the whole tree.
        tree: bool,
    },
    /// Something worth knowing that changes nothing.
    Note {
        /// In words.
        message: String,
    },
    /// A record of a later version.
    #[serde(other)]
    Unknown,
}

/// Which command was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// The start of an agent that was held.
    Go,
    /// Bytes for the agent's stdin, or its end.
    Stdin,
    /// A signal.
    Signal,
    /// The stop ladder.
    Stop,
}
