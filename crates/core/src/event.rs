//! Events of one job, as kept in its `events.jsonl`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::time::UnixMillis;

/// Version of a line of `events.jsonl`.
pub const EVENT_VERSION: u32 = 1;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The job was accepted and waits its turn.
    Queued,
    /// An attempt was started: `{attempt, pid, containment}`.
    Spawned,
    /// The agent said something: `{text}`.
    Message,
    /// Reasoning, plans, turns, warnings: `{kind, …}`.
    Progress,
    /// A tool was called: `{kind, …}`.
    ToolCall,
    /// A tool call ended: `{kind, …}`.
    ToolResult,
    /// An error, not necessarily the end: `{message, …}`.
    Error,
    /// The job is being stopped: `{reason, force}`.
    Stopping,
    /// An attempt ended and the job waits for another: `{attempt, reason}`.
    Requeued,
    /// The agent asks a person.
    Question,
    /// Two jobs changed the same file: `{conflict, id, path, jobIds, message}`; or what
    /// such jobs did was taken back: `{conflict: "taken_back", attempt, jobIds, …}`.
    Conflict,
    /// The agent did what jobs may not do: `{rule, message, …}`.
    Violation,
    /// The end: `{jobId, status, exitCode, exitSignal, lastMessage, …}`. Always
    /// the last event, exactly once.
    Final,
}

impl EventKind {
    /// The kind as stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Spawned => "spawned",
            Self::Message => "message",
            Self::Progress => "progress",
            Self::ToolCall => "tool_call",
            Self::ToolResult => "tool_result",
            Self::Error => "error",
            Self::Stopping => "stopping",
            Self::Requeued => "requeued",
            Self::Question => "question",
            Self::Conflict => "conflict",
            Self::Violation => "violation",
            Self::Final => "final",
        }
    }
}

/// Where an event comes from; unique within a job, and in the order of the
/// file, so that a projection can be continued or rebuilt without repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Derived from what the agent printed.
    Journal {
        /// Attempt, from 1.
        attempt: u32,
        /// Offset in the runner's journal of the record that ended the line.
        offset: u64,
        /// Which of the events derived from records at that offset.
        index: u32,
    },
    /// Derived from the lifecycle record with this number.
    Lifecycle(u64),
}

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// Version of this form.
    pub v: u32,
    /// Position within the job, from 1, without gaps.
    pub seq: u64,
    /// Where it comes from.
    pub src: Source,
    /// When: the runner's stamp of the output, or the time of the decision.
    pub at: UnixMillis,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The facts; their shape depends on the kind.
    pub content: Value,
}

/// An event before it has its place in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What kind.
    pub kind: EventKind,
    /// The facts.
    pub content: Value,
}

impl NewEvent {
    /// Builds an event.
    #[must_use]
    pub fn new(kind: EventKind, content: Value) -> Self {
        Self { kind, content }
    }
}
