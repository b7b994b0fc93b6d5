//! `codex_result`: what came of a job.

use convoke_api::{
    changes::Conflict,
    coordination::Rerun,
    job::ViolationView,
    result::{Integrity, JobResult, ModifiedFiles, ResultQuery},
    values::State,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    answers, arguments,
    errors::Outcome,
    server::Call,
    status::OneJob,
    words::{Status, status_line},
};

/// A final message is answered inline up to so many bytes.
pub(crate) const MESSAGE_LIMIT: u64 = 24 * 1024;
/// The message read as JSON is answered too when it is not longer than this,
/// bytes: clients cut long answers in the middle.
const OUTPUT_LIMIT: usize = 8 * 1024;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum View {
    Full,
    FinalMessage,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Detail {
    /// full adds the ends of stdout and stderr, conflicts, integrity and usage; default finalMessage.
    view: Option<View>,
}

/// What came of a job.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    pub(crate) job_id: String,
    pub(crate) status: Status,
    /// null while it runs, and when a signal ended it.
    exit_code: Option<i32>,
    /// The agent's last message; null when it said nothing.
    pub(crate) final_message: Option<String>,
    modified_files: Files,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// Why it failed or was canceled.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    /// True when the final message was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// File that holds the whole message, if it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<String>,
    /// The last message as JSON, when an output schema was asked for and met.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    /// Actions the sandbox denied, with the remedy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sandbox_denied: Vec<String>,
    /// Rules that it broke.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<ViolationView>,
    /// Files that it and others changed, with the lines (full).
    #[serde(skip_serializing_if = "Option::is_none")]
    conflicts: Option<Vec<Conflict>>,
    /// What was taken back before it ran again, where it collided with other strict jobs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reruns: Vec<Rerun>,
    /// Folder with the job's events and artifacts.
    artifacts: String,
    /// The agent's conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<String>,
    /// Tokens used (full).
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    /// State of the repository before and after (full).
    #[serde(skip_serializing_if = "Option::is_none")]
    integrity: Option<Integrity>,
    /// End of the agent's stdout (full).
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_tail: Option<String>,
    /// End of the agent's stderr (full).
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_tail: Option<String>,
}

/// Files the agent says it changed, and those seen to change meanwhile.
#[derive(Debug, Serialize, JsonSchema)]
struct Files {
    /// As the last message lists them; null if it has no such list.
    claimed: Option<Vec<String>>,
    /// Changed while the job ran, by whomever; null if not known.
    observed: Option<Vec<String>>,
}

impl From<ModifiedFiles> for Files {
    fn from(files: ModifiedFiles) -> Self {
        Self {
            claimed: files.claimed,
            observed: files.observed,
        }
    }
}

pub(crate) async fn codex_result(call: &Call) -> Outcome {
    let given: OneJob = arguments::read(&call.arguments)?;
    let detail: Detail = arguments::read(&call.arguments)?;
    let full = matches!(detail.view, Some(View::Full));
    let query = ResultQuery {
        full,
        message_limit: Some(MESSAGE_LIMIT),
    };
    let result = call.config.client.result(&given.job_id, &query).await?;
    let text = text(&result);
    let answer = Answer::new(result, full);
    if full {
        answers::json(&answer)
    } else {
        answers::with_text(text, &answer)
    }
}

/// The final message, after one status line unless the job is done; without a
/// message, a short summary.
pub(crate) fn text(result: &JobResult) -> String {
    let mut lines = Vec::new();
    if result.job.state != State::Completed {
        lines.push(status_line(&result.job));
    }
    match result
        .final_message
        .as_deref()
        .filter(|message| !message.is_empty())
    {
        Some(message) => lines.push(message.to_owned()),
        None => lines.push(summary(result)),
    }
    if result.truncated {
        let whole = result.artifact.as_deref().unwrap_or(&result.artifacts);
        lines.push(format!("[cut; the whole message: {whole}]"));
    }
    if !result.sandbox_denied.is_empty() {
        lines.push(format!(
            "sandboxDenied: {}",
            result.sandbox_denied.join("; ")
        ));
    }
    lines.join("\n\n")
}

fn summary(result: &JobResult) -> String {
    let code = result
        .job
        .exit_code
        .map_or_else(|| "none".to_owned(), |code| code.to_string());
    format!(
        "No final message.\nmodifiedFiles:\n(none)\nstatus: {}\nexitCode: {code}",
        Status::of(result.job.state).as_str(),
    )
}

impl Answer {
    pub(crate) fn new(result: JobResult, full: bool) -> Self {
        let job = result.job;
        let over = job.state.is_over();
        let length = result.final_message.as_ref().map_or(0, String::len);
        Self {
            job_id: job.job_id,
            status: Status::of(job.state),
            exit_code: job.exit_code,
            final_message: result.final_message,
            modified_files: result.modified_files.into(),
            state: job.state,
            label: job.label,
            code: job.code,
            message: job.message,
            hint: job.hint,
            retryable: (over && job.state != State::Completed).then_some(job.retryable),
            truncated: result.truncated,
            artifact: result.artifact,
            output: result.output.filter(|_| length <= OUTPUT_LIMIT),
            sandbox_denied: result.sandbox_denied,
            violations: job.violations,
            conflicts: result.conflicts.filter(|_| full),
            reruns: job.reruns,
            artifacts: result.artifacts,
            thread: job.thread,
            usage: result.usage.filter(|_| full),
            integrity: result.integrity.filter(|_| full),
            stdout_tail: result.stdout_tail.filter(|_| full),
            stderr_tail: result.stderr_tail.filter(|_| full),
        }
    }
}
