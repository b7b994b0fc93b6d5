//! Delegated runs: `/v1/runs`.
//!
//! The words of the request and of the answer are those of the tools `delegate_run` and
//! `delegate_resume`, and so are their letters (`snake_case`): callers keep the answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    caller::Caller,
    values::{Sandbox, State},
};

/// Body of `POST /v1/runs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartRunRequest {
    /// Who asks.
    pub caller: Caller,
    /// What is to be done.
    pub run: DelegateRequest,
    /// Whether a live run of the same owner with the same arguments, or one whose answer
    /// was never delivered within ten minutes of its end, is the answer.
    #[serde(default)]
    pub attach: bool,
}

/// How skills are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum SkillsMode {
    /// By relevance to the task.
    Auto,
    /// By name.
    Explicit,
    /// Not at all.
    None,
}

/// Work to delegate to one agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DelegateRequest {
    /// Folder in which the agent starts.
    pub cwd: String,
    /// What is to be done. May be empty only when a conversation is continued.
    pub task: String,
    /// Conversation to continue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// What the agent is; `specialist` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How skills are chosen; `auto` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skills_mode: Option<SkillsMode>,
    /// Skills by name, for `explicit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// Most skills; 6 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_skills: Option<u64>,
    /// Whether skills of the repository count; yes if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_repo_skills: Option<bool>,
    /// Whether skills of the user and the machine count; yes if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_global_skills: Option<bool>,
    /// What the agent may write; nothing if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// Whether a folder in no git repository is fine; no if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_git_repo_check: Option<bool>,
    /// Model; the agent's own default if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard the model thinks; `CODEX_DELEGATE_REASONING_EFFORT` of the caller, else
    /// the agent's own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// `key=value` settings of the agent, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config_overrides: Vec<String>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// Its name.
    pub run_id: String,
    /// Its folder.
    pub run_dir: String,
    /// The job that carries it out.
    pub job_id: String,
    /// Where that stands.
    pub state: State,
    /// The beginning of its task.
    pub summary: String,
    /// RFC 3339 instant of its acceptance.
    pub accepted_at: String,
    /// Whether it was there already when it was asked for.
    #[serde(default)]
    pub existed: bool,
    /// What was done differently than asked, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// Its answer, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<DelegateAnswer>,
}

/// Query of `GET /v1/runs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunsQuery {
    /// Only runs of this owner, as shown with each job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Answer to `GET /v1/runs`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunsPage {
    /// The runs, at most 50, without their answers.
    pub runs: Vec<RunView>,
}

/// Query of `GET /v1/runs/{job}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunQuery {
    /// Wait so long for its end, milliseconds.
    pub wait_ms: u64,
    /// The caller's Codex home: where the answer of a run is looked for whose job is
    /// forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codex_home: Option<String>,
}

/// Answer to `POST /v1/runs/{job}/cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelRunResponse {
    /// The run.
    pub run_id: String,
    /// Whether it was live.
    pub success: bool,
}

/// Whose skill it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum SkillOrigin {
    /// The repository's.
    Repo,
    /// The user's or the machine's.
    Global,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RunStatus {
    /// The agent succeeded and its last message has the form that was asked for.
    Completed,
    /// It did not; `error` says why.
    Failed,
    /// It was stopped on request.
    Cancelled,
}

impl RunStatus {
    /// The status as sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A skill that the agent was pointed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectedSkill {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whose it is.
    pub origin: SkillOrigin,
    /// Its `SKILL.md`.
    pub path: String,
}

/// A file that the agent says it made or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deliverable {
    /// The file.
    pub path: String,
    /// What it is.
    pub description: String,
}

/// A file of the run's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: String,
}

/// What was seen of a file that the agent claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckedFile {
    /// The file, as it was claimed.
    pub path: String,
    /// Whether it was there right after the end.
    pub exists: bool,
    /// Whether it changed meanwhile, by whomever; null where that is not known.
    pub observed: Option<bool>,
}

/// A command that was run to see whether the work holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifiedCommand {
    /// The command.
    pub command: String,
    /// How it ended; null when a signal ended it.
    pub exit_code: Option<i32>,
}

/// What the agent claims, and what was seen of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Files the agent says it made or changed.
    pub claimed: Vec<String>,
    /// What was seen of each.
    pub checked: Vec<CheckedFile>,
    /// Commands that were run to see whether the work holds; a run of one agent has none.
    pub verified: Vec<VerifiedCommand>,
}

/// When a run ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunTiming {
    /// RFC 3339 instant.
    pub started_at: String,
    /// RFC 3339 instant.
    pub finished_at: Option<String>,
    /// Milliseconds between the two.
    pub duration_ms: Option<u64>,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegateAnswer {
    /// Its name, for delegate_status and delegate_cancel.
    pub run_id: String,
    /// Folder with everything about it.
    pub run_dir: String,
    /// The agent's conversation, for delegate_resume.
    pub subagent_thread_id: Option<String>,
    /// Skills that the agent was pointed to.
    pub selected_skills: Vec<SelectedSkill>,
    /// What the agent found or did.
    pub summary: String,
    /// Files it says it made or changed.
    pub deliverables: Vec<Deliverable>,
    /// What it would have asked.
    pub open_questions: Vec<String>,
    /// What it thinks should follow.
    pub next_actions: Vec<String>,
    /// Every file of the run's folder.
    pub artifacts: Vec<Artifact>,
    /// When it ran.
    pub timing: RunTiming,
    /// How it ended.
    pub status: RunStatus,
    /// Why it did not complete, and what to do about it.
    pub error: Option<String>,
    /// The job that carried it out, for the jobs toolset and the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Failure code, of the documented list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What somebody should know of the choice of skills.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the agent claims beside what was seen of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// True when the summary was cut; last_message.json of the run's folder holds it whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}
