//! What the daemon and a runner say to each other: the files of a runner's
//! folder, the records of its journal and the messages on its socket.
//!
//! Everything here is plain data and parsing, without I/O. Stored files carry a
//! `version`; readers tolerate fields they do not know, and refuse a version
//! newer than [`PROTOCOL_VERSION`].

mod control;
mod exit;
mod identity;
mod journal;
mod lines;
mod messages;
pub mod paths;
mod spec;

pub use control::{CommandKind, Control};
pub use exit::{ExitCause, ExitRecord, LimitKind, StartFailure};
pub use identity::{ContainmentReport, ProcessNote, Rung, RunnerIdentity};
pub use journal::{
    JournalError, JournalGap, JournalReader, MAX_CHUNK, Record, RecordHeader, Stream,
};
pub use lines::{Line, LineAssembler, MAX_LINE};
pub use messages::{DaemonMessage, RunnerMessage, SignalName, decode_line, encode_line};
pub use spec::{
    ContainmentPolicy, DEFAULT_JOURNAL_CAP, EnvFile, FirstRung, Limits, OVERLAY_SPEC_VERSION,
    Overlay, RunnerSpec, StdinPlan,
};

/// The version written into every file and `hello` of this protocol.
pub const PROTOCOL_VERSION: u32 = 1;

/// Name of the environment variable that marks every process of a runner.
pub const MARK_RUNNER_ID: &str = "CONVOKE_RUNNER_ID";

/// Name of the environment variable that tells a process which job it belongs to.
pub const MARK_JOB_ID: &str = "CONVOKE_JOB_ID";

/// First argument under which the program runs as a runner.
pub const RUNNER_ARG: &str = "__runner";

/// First argument under which the program tries out an [`Overlay`].
pub const OVERLAY_ARG: &str = "__overlay";

#[cfg(test)]
mod tests;
