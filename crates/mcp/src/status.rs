//! `codex_status`: one job, now.

use convoke_api::{
    coordination::Rerun,
    job::{AttemptView, ConflictNote, JobView, ViolationView},
    values::{Sandbox, State},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers, arguments,
    errors::Outcome,
    server::Call,
    words::{Queue, Status, started_at},
};

/// Arguments of the tools that take one job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OneJob {
    /// The job: its id, a unique beginning of it, or its label.
    pub(crate) job_id: String,
}

/// The agent's process.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Process {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// How its process tree is held.
    containment: String,
    /// RFC 3339 instant of the last output.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_output_at: Option<String>,
}

/// One job.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    job_id: String,
    status: Status,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    /// Once it is over: the agent's exit code; null when a signal ended it or it never ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-nullable" = true))]
    exit_code: Option<Option<i32>>,
    /// The signal that ended the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_signal: Option<i32>,
    /// Where it stands exactly.
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// While it waits its turn: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Queue>,
    /// Why it failed or was canceled, as one of the documented codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Whether the same job, started again, may well succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    /// Attempts started so far that count.
    attempts: u32,
    /// Attempts that may be made in all.
    max_attempts: u32,
    /// Attempts that ended without settling the job.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_attempts: Vec<FailedAttempt>,
    /// What the agent may write.
    sandbox: Sandbox,
    working_directory: String,
    /// Its own working tree, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    worktree: Option<String>,
    /// The agent's conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_job_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
    #[serde(skip_serializing_if = "Option::is_none")]
    liveness: Option<Alive>,
    /// Processes that could not be ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    leftovers: Vec<String>,
    /// Rules that it broke.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<ViolationView>,
    /// Files that it and others changed; codex_conflicts shows the lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<ConflictNote>,
    /// What was taken back before it ran again, where it collided with other strict jobs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reruns: Vec<Rerun>,
}

/// Whether a running agent is alive.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Alive {
    /// working, waiting_on_provider, waiting_on_person, quiet or stalled.
    verdict: String,
    /// RFC 3339 instant since when.
    since: String,
    /// Why, the most important first.
    reasons: Vec<String>,
}

/// An attempt that failed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct FailedAttempt {
    attempt: u32,
    started_at: String,
    ended_at: String,
    /// One of the documented failure codes.
    code: String,
    message: String,
}

fn failed_attempt(attempt: &AttemptView) -> Option<FailedAttempt> {
    Some(FailedAttempt {
        attempt: attempt.attempt,
        started_at: attempt.started_at.clone(),
        ended_at: attempt.ended_at.clone()?,
        code: attempt.code.clone()?,
        message: attempt.message.clone().unwrap_or_default(),
    })
}

pub(crate) async fn codex_status(call: &Call) -> Outcome {
    let given: OneJob = arguments::read(&call.arguments)?;
    let job = call.config.client.job(&given.job_id).await?;
    answers::json(&Answer::from(&job))
}

impl From<&JobView> for Answer {
    fn from(job: &JobView) -> Self {
        let over = job.state.is_over();
        let failed = over && job.state != State::Completed;
        Self {
            job_id: job.job_id.clone(),
            status: Status::of(job.state),
            started_at: started_at(job),
            finished_at: job.finished_at.clone(),
            exit_code: over.then_some(job.exit_code),
            exit_signal: job.exit_signal,
            state: job.state,
            label: job.label.clone(),
            queue: job.queue.as_ref().map(Queue::from),
            code: job.code.clone(),
            message: job.message.clone(),
            hint: job.hint.clone(),
            retryable: failed.then_some(job.retryable),
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            failed_attempts: job
                .attempt_history
                .iter()
                .filter_map(failed_attempt)
                .collect(),
            sandbox: job.sandbox,
            working_directory: job.working_directory.clone(),
            worktree: job.worktree.clone(),
            thread: job.thread.clone(),
            parent_job_id: job.parent_job_id.clone(),
            needs: job.needs.clone(),
            liveness: job.liveness.as_ref().map(|liveness| Alive {
                verdict: liveness.verdict.clone(),
                since: liveness.since.clone(),
                reasons: liveness.reasons.clone(),
            }),
            process: job.process.as_ref().map(|process| Process {
                pid: process.pid,
                containment: process.containment.clone(),
                last_output_at: process.last_output_at.clone(),
            }),
            leftovers: job.leftovers.clone(),
            violations: job.violations.clone(),
            conflicts: job.conflicts.clone(),
            reruns: job.reruns.clone(),
        }
    }
}
