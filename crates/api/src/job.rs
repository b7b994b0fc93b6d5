//! Jobs as shown: `GET /v1/jobs`, `GET /v1/jobs/{id}`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    changes::WorkspaceKind,
    coordination::{Coordination, Rerun},
    spawn::Scope,
    values::{Access, Sandbox, State},
};

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// Its name.
    pub job_id: String,
    /// `agent` or `command`.
    pub kind: String,
    /// `codex` or `command`.
    pub agent: String,
    /// Where it stands.
    pub state: State,
    /// The caller's name for it.
    pub label: Option<String>,
    /// Folder the agent starts in.
    pub working_directory: String,
    /// What the agent may write.
    pub sandbox: Sandbox,
    /// Reader or writer.
    pub access: Access,
    /// Where it works.
    #[serde(default)]
    pub workspace: WorkspaceKind,
    /// What it expects of a tree that it shares.
    #[serde(default)]
    pub coordination: Coordination,
    /// Its own working tree, while there is one; of an overlay, the folder with what it
    /// wrote.
    #[serde(default)]
    pub worktree: Option<String>,
    /// What became of the changes in it, once that is decided: `applied` or
    /// `discarded`.
    #[serde(default)]
    pub worktree_decision: Option<String>,
    /// The folders it is about, absolute, if it said so.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Model asked for.
    pub model: Option<String>,
    /// First 200 characters of the prompt, or the command line.
    pub summary: String,
    /// RFC 3339 instant of acceptance.
    pub accepted_at: String,
    /// RFC 3339 instant at which its first attempt started.
    pub started_at: Option<String>,
    /// RFC 3339 instant of its end.
    pub finished_at: Option<String>,
    /// Attempts started so far that count.
    pub attempts: u32,
    /// Attempts in all that may be made.
    #[serde(default)]
    pub max_attempts: u32,
    /// Every attempt, in order; the live or last one included.
    #[serde(default)]
    pub attempt_history: Vec<AttemptView>,
    /// The agent's conversation.
    pub thread: Option<String>,
    /// The job it continues or was started by.
    pub parent_job_id: Option<String>,
    /// Jobs it needs.
    pub needs: Vec<String>,
    /// While queued: why it waits.
    pub queue: Option<QueueView>,
    /// While an attempt runs: its agent's process.
    pub process: Option<ProcessView>,
    /// While its agent runs: whether it is alive, and how that is known.
    #[serde(default)]
    pub liveness: Option<LivenessView>,
    /// The agent's exit code; none when a signal ended it or it never ran.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub exit_signal: Option<i32>,
    /// Failure code, or the reason of a cancellation.
    pub code: Option<String>,
    /// The failure's story.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the same job, started again, may well succeed.
    pub retryable: bool,
    /// Processes that could not be ended.
    pub leftovers: Vec<String>,
    /// Whether the ended job still holds its place in its working tree because
    /// of them. `POST /v1/jobs/{job}/release` lets go of it.
    #[serde(default)]
    pub holds_tree: bool,
    /// Rules that it broke.
    #[serde(default)]
    pub violations: Vec<ViolationView>,
    /// Collisions with other jobs that were found while it was live, its end
    /// included; `GET /v1/conflicts` knows all.
    #[serde(default)]
    pub conflicts: Vec<ConflictNote>,
    /// What was taken back of it, each time that it ran again because it collided
    /// with other strict jobs.
    #[serde(default)]
    pub reruns: Vec<Rerun>,
    /// Limits in force; 0 means none.
    pub limits: LimitsView,
    /// On whose behalf it was started.
    pub owner: String,
    /// Its name as a run, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The folder of the run, with everything about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_dir: Option<String>,
}

/// A rule that a job broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViolationView {
    /// `history`: it committed, or moved HEAD, branches, tags or the stash.
    /// `scope`: it changed files outside of the folders it may write.
    pub rule: String,
    /// What was seen.
    pub message: String,
    /// The refs or paths.
    pub items: Vec<String>,
}

/// That a job and others changed the same file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConflictNote {
    /// Its name.
    pub id: String,
    /// `overlap`, `stale_overwrite` or `forecast`.
    pub kind: String,
    /// The path, relative to the top of the working tree.
    pub path: String,
    /// The jobs; of a stale overwrite, the one that wrote over the other last.
    pub job_ids: Vec<String>,
    /// Whether what the job had done was taken back since.
    #[serde(default)]
    pub resolved: bool,
}

/// One attempt of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    /// Its number, from 1. An attempt that never came to run gives its number
    /// to the next.
    pub attempt: u32,
    /// Whether it counts against `maxAttempts`.
    pub counted: bool,
    /// RFC 3339 instant of its start.
    pub started_at: String,
    /// RFC 3339 instant of its end; none while it is live.
    pub ended_at: Option<String>,
    /// Failure code, if it failed.
    pub code: Option<String>,
    /// The failure's story.
    pub message: Option<String>,
}

/// Why a job waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    /// `cap`, `scope`, `conflict`, `needs`, `backOff` or `rateLimit`.
    pub reason: String,
    /// RFC 3339 instant until which it waits at least, if that is known.
    #[serde(default)]
    pub until: Option<String>,
    /// Position among the jobs that wait for the same thing, from 1.
    pub position: u32,
    /// The reason in words, with the setting that changes it.
    pub message: String,
}

/// The agent process of a live attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessView {
    /// Its process id.
    pub pid: Option<u32>,
    /// How its process tree is held.
    pub containment: String,
    /// RFC 3339 instant of the last output.
    pub last_output_at: Option<String>,
}

/// Whether a running job is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LivenessView {
    /// `working`, `waiting_on_provider`, `waiting_on_person`, `quiet` (nothing
    /// happens, which may be normal) or `stalled` (nothing has happened for
    /// half the limit of silence).
    pub verdict: String,
    /// RFC 3339 instant since when.
    pub since: String,
    /// Why, in words; the most important first.
    pub reasons: Vec<String>,
}

/// Limits of a job; 0 means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitsView {
    /// Running time, milliseconds.
    pub timeout_ms: u64,
    /// Time without output, milliseconds.
    pub idle_timeout_ms: u64,
    /// Time to the first output, milliseconds.
    pub first_event_timeout_ms: u64,
    /// Bytes of output.
    pub output_limit_bytes: u64,
}

/// Query of `GET /v1/jobs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JobsQuery {
    /// Comma-separated states; `live` and `ended` stand for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Part of the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `codex` or `command`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Working folder, or one above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// RFC 3339 instant: accepted then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only jobs of this owner, as shown in [`JobView::owner`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Jobs a page, 1 to 500; 50 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// From the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Answer to `GET /v1/jobs`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobsPage {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// Where the next page begins; none on the last.
    pub next_cursor: Option<String>,
}
