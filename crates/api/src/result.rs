//! What came of a job: `GET /v1/jobs/{id}/result`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{changes::Conflict, job::JobView};

/// Query of `GET /v1/jobs/{id}/result`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResultQuery {
    /// Also the ends of stdout and stderr, and conflicts.
    pub full: bool,
    /// Cut the final message to so many bytes; the whole is in its artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_limit: Option<u64>,
}

/// What came of a job; also answered while it runs, with what there is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobResult {
    /// The job.
    pub job: JobView,
    /// The agent's last message.
    pub final_message: Option<String>,
    /// Whether it was cut.
    pub truncated: bool,
    /// File that holds the whole of it, if it was cut.
    pub artifact: Option<String>,
    /// The last message as JSON, when an output schema was asked for and met.
    pub output: Option<Value>,
    /// Files the agent says it changed, and those seen to change meanwhile.
    pub modified_files: ModifiedFiles,
    /// State of the repository before and after; none outside git.
    pub integrity: Option<Integrity>,
    /// Tokens used, as the agent counts them.
    pub usage: Option<Value>,
    /// Actions the sandbox denied, with the remedy.
    pub sandbox_denied: Vec<String>,
    /// Files that it and other jobs changed, if asked for and known.
    #[serde(default)]
    pub conflicts: Option<Vec<Conflict>>,
    /// End of the agent's stdout, if asked for.
    pub stdout_tail: Option<String>,
    /// End of the agent's stderr, if asked for.
    pub stderr_tail: Option<String>,
    /// Folder with the job's events and artifacts.
    pub artifacts: String,
}

/// Claimed and observed changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModifiedFiles {
    /// As the last message lists them; none if it has no such list.
    pub claimed: Option<Vec<String>>,
    /// Changed while the job ran, by whomever; none outside git or while the
    /// state after is not known yet.
    pub observed: Option<Vec<String>>,
}

/// State of a repository before and after a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Integrity {
    /// HEAD's commit before; none if there was none.
    pub head_before: Option<String>,
    /// HEAD's commit after.
    pub head_after: Option<String>,
    /// Refs that were created, moved or deleted.
    pub refs_changed: Vec<String>,
    /// `git status` entries before (`XY path`).
    pub status_before: Vec<String>,
    /// `git status` entries after.
    pub status_after: Vec<String>,
}

/// One conversation of a caller: `GET /v1/sessions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// The caller's name for it.
    pub id: String,
    /// RFC 3339 instant of its first turn.
    pub created_at: String,
    /// RFC 3339 instant of its last turn.
    pub last_accessed_at: String,
    /// Turns so far.
    pub turn_count: u64,
}

/// Query of `GET /v1/sessions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionsQuery {
    /// Only conversations of this owner, as shown in [`JobView::owner`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Answer to `GET /v1/sessions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsPage {
    /// The conversations, last used first.
    pub sessions: Vec<SessionView>,
}
