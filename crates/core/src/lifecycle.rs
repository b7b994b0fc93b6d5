//! Lifecycle records: the decisions about a job, in the order they were made.
//!
//! They are the truth about a job's state. [`crate::job::Job::apply`] folds
//! them; nothing else changes a state.

use serde::{Deserialize, Serialize};

use crate::{
    coordination::Clash,
    failure::Failure,
    finding::Finding,
    ids::{JobId, RunnerId},
    owner::Owner,
    spec::JobSpec,
    time::UnixMillis,
};

/// Version of the stored form of [`LifecycleEvent`].
pub const LIFECYCLE_VERSION: u32 = 1;

/// A lifecycle event with its place in the order of the whole state home.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LifecycleRecord {
    /// Number within the state home, rising.
    pub seq: u64,
    /// The job.
    pub job: JobId,
    /// When it was decided.
    pub at: UnixMillis,
    /// What was decided.
    pub event: LifecycleEvent,
}

/// One decision about a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum LifecycleEvent {
    /// The job was taken on; it waits its turn.
    #[serde(rename = "job.accepted")]
    Accepted {
        /// What is to be done.
        spec: Box<JobSpec>,
        /// On whose behalf.
        owner: Owner,
    },
    /// An attempt is about to be started. Written before any process exists.
    #[serde(rename = "attempt.starting")]
    AttemptStarting {
        /// Attempt, from 1.
        attempt: u32,
        /// The runner that carries it out.
        runner: RunnerId,
    },
    /// The agent process runs.
    #[serde(rename = "attempt.running")]
    AttemptRunning {
        /// Attempt, from 1.
        attempt: u32,
        /// The agent's process id, if known.
        pid: Option<u32>,
        /// How the agent's process tree is held: a rung of the ladder.
        containment: String,
    },
    /// The agent named its conversation, which a later job may continue.
    #[serde(rename = "attempt.thread")]
    ThreadKnown {
        /// Attempt, from 1.
        attempt: u32,
        /// The agent's name of it.
        thread: String,
    },
    /// The agent has said its last word; its processes are being ended.
    #[serde(rename = "attempt.finishing")]
    Finishing {
        /// Attempt, from 1.
        attempt: u32,
    },
    /// The job is being stopped. May come again with `force`.
    #[serde(rename = "job.stopping")]
    Stopping {
        /// Why.
        reason: StopReason,
        /// Whether at once, without a grace period.
        force: bool,
        /// Attempt and journal offset up to which output had been read: the
        /// place of this record among the job's events.
        after: Option<JournalPoint>,
    },
    /// An attempt ended and the job goes back to the queue.
    #[serde(rename = "job.requeued")]
    Requeued {
        /// The attempt that ended.
        attempt: u32,
        /// Why it did not settle the job.
        cause: Failure,
        /// Whether the attempt counts against the cap of attempts.
        counted: bool,
        /// Not to be started before, if set.
        not_before: Option<UnixMillis>,
        /// Other strict jobs that changed the same files, if that is why: what the
        /// attempt did is taken back before the next one starts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clash: Option<Box<Clash>>,
    },
    /// Something was seen of the job that somebody should know of.
    #[serde(rename = "job.found")]
    Found {
        /// What.
        finding: Box<Finding>,
        /// Up to where output had been read: the place of this record among the
        /// job's events.
        after: Option<JournalPoint>,
    },
    /// The job is over. Nothing follows.
    #[serde(rename = "job.ended")]
    Ended {
        /// How.
        end: Box<JobEnd>,
    },
}

/// A place in the journal of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JournalPoint {
    /// Attempt, from 1.
    pub attempt: u32,
    /// Byte offset.
    pub offset: u64,
}

/// Why a job is stopped on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Someone cancelled it.
    Cancelled,
    /// It was interrupted to go on with another prompt.
    Interrupted,
    /// The daemon was told to end its jobs.
    Shutdown,
}

impl StopReason {
    /// The reason as stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Shutdown => "shutdown",
        }
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobEnd {
    /// Completed, failed or cancelled.
    pub outcome: Outcome,
    /// The agent's exit code; none when a signal ended it or it never ran.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent, if one did.
    pub exit_signal: Option<i32>,
    /// The agent's last message, masked.
    pub final_message: Option<String>,
    /// Tokens used, if the agent said.
    pub usage: Option<serde_json::Value>,
    /// Processes that could not be ended.
    pub leftovers: Vec<String>,
}

impl JobEnd {
    /// An end without any agent process behind it.
    #[must_use]
    pub fn without_process(outcome: Outcome) -> Self {
        Self {
            outcome,
            exit_code: None,
            exit_signal: None,
            final_message: None,
            usage: None,
            leftovers: Vec::new(),
        }
    }
}

/// The three ways a job can end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Outcome {
    /// The work was done, as far as the agent and the output schema say.
    Completed,
    /// It was not.
    Failed(Failure),
    /// It was stopped on request.
    Cancelled {
        /// Which request.
        reason: StopReason,
    },
}

impl Outcome {
    /// `completed`, `failed` or `cancelled`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}
