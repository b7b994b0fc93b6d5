//! `codex` and `review`: start a job and wait for it as long as the client
//! lets us. The work is never cut: what takes longer goes on as a job.

use convoke_api::{
    error::ApiError,
    result::ResultQuery,
    spawn::{JobRequest, ReviewRequest},
    values::{ReasoningEffort, Sandbox, State},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers, arguments, caller,
    errors::{self, Failure, Outcome},
    result::{self, MESSAGE_LIMIT},
    server::Call,
    settings,
    spawn::{accepted, start_one},
    wait,
    words::Status,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CodexArguments {
    /// What the agent is to do.
    prompt: String,
    /// Your name for a conversation: created on first use, continued later.
    session_id: Option<String>,
    /// Start that conversation over.
    reset_session: Option<bool>,
    /// Model; Codex's own default if left out.
    model: Option<String>,
    /// How hard the model thinks; Codex's own default if left out.
    reasoning_effort: Option<ReasoningEffort>,
    /// What the agent may write; default workspace-write, never more than the caller has itself.
    sandbox: Option<Sandbox>,
    /// Old spelling of sandbox workspace-write; `sandbox` wins.
    full_auto: Option<bool>,
    /// Folder the agent starts in; this session's folder if left out.
    working_directory: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReviewArguments {
    /// Review by these instructions.
    prompt: Option<String>,
    /// Review staged, unstaged and untracked changes; the default when nothing else is named.
    uncommitted: Option<bool>,
    /// Review the changes against this branch.
    base: Option<String>,
    /// Review the changes of this commit.
    commit: Option<String>,
    /// Title of the commit, shown in the summary; only with commit.
    title: Option<String>,
    /// Model; Codex's own default if left out.
    model: Option<String>,
    /// Folder of the repository; this session's folder if left out.
    working_directory: Option<String>,
}

/// What came of the work, or that it goes on.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    job_id: String,
    /// running when the work outlasts this call.
    status: Status,
    /// The agent's last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    final_message: Option<String>,
    /// True when the message was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// File that holds the whole message, if it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// Actions the sandbox denied, with the remedy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sandbox_denied: Vec<String>,
    /// What was done differently than asked, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
    /// How to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

pub(crate) async fn codex(call: &Call) -> Outcome {
    let given: CodexArguments = arguments::read(&call.arguments)?;
    if given.reset_session == Some(true) && given.session_id.is_none() {
        return Err(ApiError::invalid(
            "`resetSession` needs `sessionId`: which conversation is to start over",
        )
        .into());
    }
    let folder = &call.config.folder;
    let (session, model) = (given.session_id.clone(), given.model.clone());
    let job = JobRequest {
        prompt: Some(given.prompt),
        session: given.session_id,
        reset_session: given.reset_session,
        model: given.model,
        reasoning_effort: given.reasoning_effort,
        sandbox: given.sandbox,
        full_auto: given.full_auto,
        working_directory: given
            .working_directory
            .map(|path| settings::absolute(&path, folder)),
        ..JobRequest::default()
    };
    let outcome = run(call, job, session.clone()).await;
    answers::with_meta(
        outcome,
        &[
            ("sessionId", session.as_deref()),
            ("model", model.as_deref()),
        ],
    )
}

pub(crate) async fn review(call: &Call) -> Outcome {
    let given: ReviewArguments = arguments::read(&call.arguments)?;
    let target = target(&given)?;
    let folder = &call.config.folder;
    let model = given.model.clone();
    let job = JobRequest {
        review: Some(target),
        model: given.model,
        // A review changes nothing.
        sandbox: Some(Sandbox::ReadOnly),
        working_directory: given
            .working_directory
            .map(|path| settings::absolute(&path, folder)),
        ..JobRequest::default()
    };
    answers::with_meta(run(call, job, None).await, &[("model", model.as_deref())])
}

/// What is to be reviewed: exactly one thing.
fn target(given: &ReviewArguments) -> Result<ReviewRequest, ApiError> {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let (prompt, base, commit, title) = (
        filled(&given.prompt),
        filled(&given.base),
        filled(&given.commit),
        filled(&given.title),
    );
    let uncommitted = given.uncommitted == Some(true);
    let named = [
        ("prompt", prompt.is_some()),
        ("uncommitted", uncommitted),
        ("base", base.is_some()),
        ("commit", commit.is_some()),
    ];
    let named: Vec<&str> = named
        .iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| *name)
        .collect();
    if named.len() > 1 {
        return Err(ApiError::invalid(format!(
            "{} cannot be combined: Codex reviews one thing at a time",
            named.join(" and ")
        ))
        .with_hint("give one of prompt, uncommitted, base and commit"));
    }
    if title.is_some() && commit.is_none() {
        return Err(ApiError::invalid(
            "`title` is the title of a commit: it needs `commit`",
        ));
    }
    let uncommitted = (uncommitted || named.is_empty()).then_some(true);
    Ok(ReviewRequest {
        prompt,
        uncommitted,
        base,
        commit,
        title,
    })
}

async fn run(call: &Call, job: JobRequest, session: Option<String>) -> Outcome {
    let (job, _, notices) = accepted(start_one(call, job, None).await?)?;
    let mut answer = Answer {
        job_id: job.job_id.clone(),
        status: Status::Running,
        final_message: None,
        truncated: false,
        artifact: None,
        session_id: session,
        exit_code: None,
        sandbox_denied: Vec::new(),
        notices,
        note: None,
    };
    let limit = caller::longest_wait(&call.config, &call.context);
    match wait::until(call, vec![job.job_id.clone()], limit).await {
        Ok(response) if response.completed_job_id.is_some() => {}
        Ok(_) => return goes_on(answer, format!("after {} s", limit.as_secs_f64())),
        Err(Failure::Cancelled) => return Err(Failure::Cancelled),
        // The job is on disk: its id must reach the caller.
        Err(Failure::Refused(error)) => {
            return goes_on(
                answer,
                format!("though the wait failed ({})", error.message),
            );
        }
    }
    let query = ResultQuery {
        full: false,
        message_limit: Some(MESSAGE_LIMIT),
    };
    let result = call.config.client.result(&job.job_id, &query).await?;
    let text = result::text(&result);
    if result.job.state != State::Completed {
        return Ok(failed(&result, text, &answer));
    }
    answer.status = Status::Done;
    answer.final_message = result.final_message;
    answer.truncated = result.truncated;
    answer.artifact = result.artifact;
    answer.exit_code = result.job.exit_code;
    answer.sandbox_denied = result.sandbox_denied;
    answers::with_text(text, &answer)
}

fn goes_on(mut answer: Answer, when: String) -> Outcome {
    answer.note = Some(format!(
        "still at work {when}; the job goes on: codex_wait_any{{jobIds:[\"{0}\"],timeoutMs:50000}}, then codex_result{{jobId:\"{0}\"}}",
        answer.job_id
    ));
    answers::json(&answer)
}

/// A job that did not end well is an error of the call.
fn failed(
    result: &convoke_api::result::JobResult,
    text: String,
    answer: &Answer,
) -> rmcp::model::CallToolResult {
    let job = &result.job;
    let mut facts = answers::structured(answer);
    facts.insert("status".into(), Status::of(job.state).as_str().into());
    let fallback = if job.state == State::Cancelled {
        "canceled"
    } else {
        "agent_failed"
    };
    facts.insert(
        "code".into(),
        job.code.as_deref().unwrap_or(fallback).into(),
    );
    let message = job
        .message
        .clone()
        .unwrap_or_else(|| crate::words::status_line(job));
    facts.insert("message".into(), message.into());
    if let Some(hint) = &job.hint {
        facts.insert("hint".into(), hint.as_str().into());
    }
    facts.insert("retryable".into(), job.retryable.into());
    if let Some(message) = &result.final_message {
        facts.insert("finalMessage".into(), message.as_str().into());
    }
    if let Some(code) = job.exit_code {
        facts.insert("exitCode".into(), code.into());
    }
    errors::failed(text, facts)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reviewed(arguments: Value) -> Result<ReviewRequest, String> {
        let given = serde_json::from_value(arguments).expect("fits");
        target(&given).map_err(|error| error.message)
    }

    #[test]
    fn one_thing_is_reviewed() {
        assert_eq!(reviewed(json!({})).expect("fine").uncommitted, Some(true));
        assert_eq!(
            reviewed(json!({"uncommitted": false, "base": "main"}))
                .expect("fine")
                .uncommitted,
            None
        );
        let both = reviewed(json!({"uncommitted": true, "commit": "abc"})).expect_err("refused");
        assert!(both.contains("uncommitted and commit"), "{both}");
        let title = reviewed(json!({"title": "t"})).expect_err("refused");
        assert!(title.contains("`commit`"), "{title}");
    }
}
