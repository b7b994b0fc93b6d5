//! `codex_wait_any`: waits until one of some jobs is over.
//!
//! The answer depends on the jobs' state, not on having asked in time. One wait
//! is cut below the caller's own time-out and says so; ending it, by whomever,
//! never touches a job.

use std::time::Duration;

use convoke_api::control::{WaitRequest, WaitResponse};
use rmcp::{RoleServer, model::ProgressNotificationParam, service::RequestContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    answers, arguments, caller,
    errors::{Failure, Outcome},
    server::Call,
    words::Status,
};

/// Longest wait that may be asked for, milliseconds.
const MAX_WAIT_MS: u64 = 300_000;
/// How often a client that wants progress hears of it.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Arguments {
    /// The jobs to wait for.
    job_ids: Vec<String>,
    /// How long, milliseconds; 0 to 300000, default 0: answer at once.
    timeout_ms: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// The job that ended first; null if none has.
    completed_job_id: Option<String>,
    /// True when the time passed without one ending.
    timed_out: bool,
    /// Those that do not exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_job_ids: Vec<String>,
    /// How the completed job stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    /// How long this call waited, milliseconds, when it was shorter than asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited_ms: Option<u64>,
    /// How to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

pub(crate) async fn codex_wait_any(call: &Call) -> Outcome {
    let given: Arguments = arguments::read(&call.arguments)?;
    let asked = arguments::within("timeoutMs", given.timeout_ms, 0, 0..=MAX_WAIT_MS)?;
    let asked = Duration::from_millis(asked);
    let wait = asked.min(caller::longest_wait(&call.config, &call.context));
    let response = until(call, given.job_ids, wait).await?;
    let cut = response.timed_out && wait < asked;
    answers::json(&Answer {
        completed_job_id: response.completed_job_id,
        timed_out: response.timed_out,
        missing_job_ids: response.missing_job_ids,
        status: response.state.map(Status::of),
        waited_ms: cut.then(|| milliseconds(wait)),
        note: cut.then(|| {
            format!(
                "one wait of this client is cut at {} s so that it ends before the client's own time-out; the jobs go on: call codex_wait_any again",
                wait.as_secs_f64()
            )
        }),
    })
}

/// Waits for the first of some jobs, telling progress meanwhile.
///
/// # Errors
/// [`Failure::Cancelled`] when the caller no longer wants the answer.
pub(crate) async fn until(
    call: &Call,
    job_ids: Vec<String>,
    limit: Duration,
) -> Result<WaitResponse, Failure> {
    let context = &call.context;
    let request = WaitRequest {
        job_ids,
        timeout_ms: milliseconds(limit),
    };
    tokio::select! {
        response = call.config.client.wait(&request) => Ok(response?),
        () = context.ct.cancelled() => Err(Failure::Cancelled),
        () = call.input_ended.cancelled() => Err(Failure::Cancelled),
        never = tell_progress(context, &request) => match never {},
    }
}

/// Tells the client every few seconds that the wait goes on, if it asked to be
/// told. Never ends.
async fn tell_progress(
    context: &RequestContext<RoleServer>,
    request: &WaitRequest,
) -> std::convert::Infallible {
    let Some(token) = context.meta.get_progress_token() else {
        return std::future::pending().await;
    };
    let start = Instant::now();
    let mut ticks = interval_at(start + PROGRESS_EVERY, PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let waited = start.elapsed().as_secs();
        let mut progress =
            ProgressNotificationParam::new(token.clone(), start.elapsed().as_secs_f64());
        progress.message = Some(format!(
            "waiting for {} job(s) since {waited} s",
            request.job_ids.len()
        ));
        // A client that is gone ends the whole server; nothing to do here.
        let _ = context.peer.notify_progress(progress).await;
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
