//! What a job changed in its working tree, and taking it back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{caller::Caller, spawn::SpawnResult};

/// Query of `GET /v1/jobs/{id}/changes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChangesQuery {
    /// Cut the diff to so many bytes; the whole is in its artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff_limit: Option<u64>,
}

/// What a job changed, as observed; also answered while it runs, with what has
/// changed so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobChanges {
    /// The job.
    pub job_id: String,
    /// Where it works: `shared` is the working tree itself.
    pub workspace: WorkspaceKind,
    /// Top of the working tree; paths are relative to it.
    pub top: String,
    /// Whether the states before and after are known and hold everything.
    pub complete: bool,
    /// Why it is not complete.
    pub note: Option<String>,
    /// Paths that the job changed, or may have.
    pub changes: Vec<PathChange>,
    /// Paths that changed meanwhile, but not by this job, or not by it alone: the user
    /// or another tool changed them.
    pub outside: Vec<String>,
    /// Paths that the job changed and that were changed in the working tree too since
    /// it began; only of a job with a layer of its own, while its changes are
    /// undecided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_moved: Vec<String>,
    /// Paths of which the content is not kept.
    pub skipped: Vec<SkippedPath>,
    /// Paths its last message lists as modified; none if it has no such list.
    pub claimed: Option<Vec<String>>,
    /// Paths that it changed and told nothing of.
    pub unreported: Vec<String>,
    /// Paths that it claims to have changed and that did not change.
    pub not_seen: Vec<String>,
    /// Spans of time over which the record is not complete.
    pub gaps: Vec<Gap>,
    /// The changes as a patch.
    pub diff: String,
    /// Whether it was cut.
    pub truncated: bool,
    /// File that holds the whole of it, if it was cut.
    pub artifact: Option<String>,
}

/// Where a job works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WorkspaceKind {
    /// In the working tree as it is, together with others.
    #[default]
    Shared,
    /// In a working tree of its own, which begins with what the caller's holds,
    /// uncommitted and untracked included.
    Worktree,
    /// In the working tree as it is, with what it writes in a layer of its own: what
    /// it has not written follows the tree.
    Overlay,
}

impl WorkspaceKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Shared, Self::Worktree, Self::Overlay];

    /// The kind as sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Worktree => "worktree",
            Self::Overlay => "overlay",
        }
    }
}

/// Body of `POST /v1/jobs/{id}/apply`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplyRequest {
    /// Who asks.
    pub caller: Caller,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Answer to `POST /v1/jobs/{id}/apply`: either all is applied, or there are
/// conflicts and nothing is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyResponse {
    /// Paths that are as the job left them, or merged with what was edited since.
    pub applied: Vec<String>,
    /// Paths that cannot be merged.
    pub conflicts: Vec<ApplyConflict>,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// Top of the working tree; paths are relative to it.
    pub top: String,
    /// The state before, to undo it; none if nothing was written.
    pub checkpoint_id: Option<String>,
    /// What one should know of the job before its changes count: that it failed, or
    /// broke a rule.
    #[serde(default)]
    pub notices: Vec<String>,
}

/// A path that was edited in the working tree in another way than by the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyConflict {
    /// The path.
    pub path: String,
    /// Why it cannot be merged.
    pub reason: String,
    /// The lines that differ from what the job began with.
    pub hunks: Vec<ApplyHunk>,
}

/// Lines that were changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyHunk {
    /// `job` or `tree`: whose version the lines are counted in.
    pub side: String,
    /// First line, from 1; where lines only went, the line before.
    pub start: u64,
    /// Number of lines.
    pub lines: u64,
}

/// Body of `POST /v1/jobs/{id}/discard`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiscardRequest {
    /// Who asks.
    pub caller: Caller,
}

/// Answer to `POST /v1/jobs/{id}/discard`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscardResponse {
    /// Whether there was something to discard.
    pub success: bool,
}

/// One path that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathChange {
    /// The path, for a move the new one.
    pub path: String,
    /// The path it was moved from.
    pub old_path: Option<String>,
    /// What became of it.
    pub kind: ChangeKind,
    /// Whose change it is.
    pub attribution: Attribution,
    /// Other jobs that made it or may have.
    pub with: Vec<String>,
    /// Why it is counted as this job's.
    pub evidence: Vec<Evidence>,
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Add,
    /// Its content is another.
    Modify,
    /// It is gone.
    Delete,
    /// It was moved, and perhaps changed.
    Rename,
    /// Only its mode is another.
    Mode,
}

/// Whose a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// This job's.
    Job,
    /// This job's or another's, or both's.
    Ambiguous,
}

/// Why a change is counted as a job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Its agent told of it while it worked.
    Reported,
    /// No other job wrote in the tree then.
    OnlyWriter,
    /// Others wrote then, but their sandboxes kept them from writing there.
    InScope,
    /// Others wrote then, but ran no command at that moment.
    AtWork,
}

/// A path whose content is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkippedPath {
    /// The path.
    pub path: String,
    /// Why: `large`, `unreadable` or `repository` (one of its own).
    pub reason: String,
}

/// A span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Its beginning, RFC 3339.
    pub from: String,
    /// Its end.
    pub to: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Query of `GET /v1/conflicts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConflictsQuery {
    /// Only those of these jobs, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<String>,
    /// Without jobs: those of the working tree this folder is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// Answer to `GET /v1/conflicts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conflicts {
    /// Paths that two jobs changed while both were at work, the latest jobs
    /// first.
    pub conflicts: Vec<Conflict>,
}

/// One path that two jobs changed while both were at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// Name of the conflict; the same for the same path and jobs.
    pub id: String,
    /// What happened.
    pub kind: ConflictKind,
    /// The path, relative to the top of the working tree.
    pub path: String,
    /// The jobs; of a stale overwrite the one that was written over first.
    pub job_ids: Vec<String>,
    /// The lines each of them changed, as far as it can be told.
    pub hunks: Vec<ConflictHunk>,
    /// Whether the changes of one of them were taken back since.
    pub resolved: bool,
}

/// What happened to a path that two jobs changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Both changed it.
    Overlap,
    /// One wrote over what the other had done, from an older reading: that is
    /// gone.
    StaleOverwrite,
    /// It is to come: what jobs did in working trees of their own cannot be merged
    /// with each other, or with the tree as it is.
    Forecast,
    /// It changed more than once while both ran commands, and it cannot be told which
    /// of them changed it each time.
    Possible,
}

impl ConflictKind {
    /// The kind as stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::StaleOverwrite => "stale_overwrite",
            Self::Forecast => "forecast",
            Self::Possible => "possible",
        }
    }
}

/// Lines that a job changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConflictHunk {
    /// The job.
    pub job_id: String,
    /// First line as the job left it, from 1.
    pub start: u64,
    /// Number of lines.
    pub lines: u64,
}

/// Body of `POST /v1/reconcile`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReconcileRequest {
    /// Who asks.
    pub caller: Caller,
    /// The jobs whose changes are to be brought together, 2 to 8; all over, and
    /// of one working tree.
    pub job_ids: Vec<String>,
    /// What else the new job is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

/// Answer to `POST /v1/reconcile`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconcileResponse {
    /// The job that brings them together.
    pub result: SpawnResult,
    /// Paths that more than one of the jobs changed.
    pub files: Vec<String>,
}

/// Body of `POST /v1/rollback`; one of both names what is taken back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RollbackRequest {
    /// Who asks.
    pub caller: Caller,
    /// Take back what this job changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Take back what jobs changed since this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_id: Option<String>,
    /// Point HEAD, branches, tags and the stash back too where the job left them
    /// elsewhere; with `jobId` only, and not for a sandboxed caller.
    pub history: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Answer to `POST /v1/rollback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackResponse {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Top of the working tree; paths are relative to it.
    pub top: String,
    /// Paths that are as they were.
    pub restored: Vec<String>,
    /// Paths that were edited since in a way that cannot be merged: they stay,
    /// and what they were lies beside them.
    pub kept_both: Vec<KeptBoth>,
    /// Paths that were left alone.
    pub skipped: Vec<SkippedPath>,
    /// Refs that point where they did again, as `name now -> before`.
    #[serde(default)]
    pub refs_restored: Vec<String>,
    /// The state before, to undo it; none of a dry run, and when nothing was to
    /// be done.
    pub checkpoint_id: Option<String>,
}

/// A path with two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptBoth {
    /// The path, as it was edited last.
    pub path: String,
    /// Where it lies as it was before.
    pub copy: String,
}
