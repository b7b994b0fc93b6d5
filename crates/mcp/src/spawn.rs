//! `codex_spawn`: starts one job and answers at once.

use convoke_api::{
    error::{ApiError, RequestCode},
    job::JobView,
    spawn::{JobRequest, SpawnRequest, SpawnResult},
    values::{Sandbox, State},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers, arguments, caller,
    errors::{Failure, Outcome},
    server::Call,
    settings,
    words::{Queue, Status, started_at},
};

/// What only a whole call has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Repeats {
    /// The same key with the same arguments answers with the same jobs for 24 hours, so a call may be repeated safely.
    pub(crate) idempotency_key: Option<String>,
}

/// A started job.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Started {
    pub(crate) job_id: String,
    /// running; a queued job too counts as running.
    pub(crate) status: Status,
    /// RFC 3339 instant of its start, or of its acceptance while it is queued.
    pub(crate) started_at: String,
    /// Where it stands exactly.
    pub(crate) state: State,
    /// What the agent may really write.
    pub(crate) sandbox: Sandbox,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    /// While it waits its turn: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<Queue>,
    /// True when an earlier call with the same key started it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) existed: bool,
    /// What was done differently than asked, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notices: Vec<String>,
}

impl Started {
    pub(crate) fn new(job: &JobView, existed: bool, notices: Vec<String>) -> Self {
        Self {
            job_id: job.job_id.clone(),
            status: Status::of(job.state),
            started_at: started_at(job),
            state: job.state,
            sandbox: job.sandbox,
            label: job.label.clone(),
            queue: job.queue.as_ref().map(Queue::from),
            existed,
            notices,
        }
    }
}

pub(crate) async fn codex_spawn(call: &Call) -> Outcome {
    let repeats: Repeats = arguments::read(&call.arguments)?;
    let job = settings::job(&call.arguments, &call.config.folder)?;
    let result = start_one(call, job, repeats.idempotency_key).await?;
    let (job, existed, notices) = accepted(result)?;
    let answer = Started::new(&job, existed, notices);
    answers::with_meta(answers::json(&answer), &[("jobId", Some(&answer.job_id))])
}

/// Starts one job.
pub(crate) async fn start_one(
    call: &Call,
    job: JobRequest,
    idempotency_key: Option<String>,
) -> Result<SpawnResult, Failure> {
    start(call, vec![job], idempotency_key)
        .await?
        .pop()
        .ok_or_else(|| unanswered().into())
}

/// Starts jobs; as many results as jobs, in the same order.
pub(crate) async fn start(
    call: &Call,
    jobs: Vec<JobRequest>,
    idempotency_key: Option<String>,
) -> Result<Vec<SpawnResult>, Failure> {
    let caller = caller::of_spawn(&call.config, &call.context)?;
    let count = jobs.len();
    let request = SpawnRequest {
        caller,
        jobs,
        idempotency_key,
    };
    let results = call.config.client.spawn(&request).await?.results;
    if results.len() == count {
        Ok(results)
    } else {
        Err(unanswered().into())
    }
}

/// The job of a result, or why there is none.
pub(crate) fn accepted(result: SpawnResult) -> Result<(JobView, bool, Vec<String>), ApiError> {
    match (result.job, result.error) {
        (Some(job), _) => Ok((job, result.existed, result.notices)),
        (None, Some(error)) => Err(error),
        (None, None) => Err(unanswered()),
    }
}

fn unanswered() -> ApiError {
    ApiError::new(
        RequestCode::Internal,
        "the daemon answered neither a job nor an error",
    )
    .with_hint("codex_jobs lists the jobs there are")
}
