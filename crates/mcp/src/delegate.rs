//! The `delegate` toolset: one agent's work, with everything about it in a folder.
//!
//! A call waits for its run as long as the client lets it. What outlasts the call goes
//! on: the run is named at once, a call that is repeated attaches to it, and its answer
//! stays the same however late it is asked for.

use std::time::Duration;

use convoke_api::{
    control::WaitRequest,
    delegate::{DelegateAnswer, DelegateRequest, RunQuery, RunView, RunsQuery, StartRunRequest},
    error::{ApiError, RequestCode},
    values::State,
};
use rmcp::{
    RoleServer,
    model::{NotificationMetaObject, ProgressNotificationParam},
    service::RequestContext,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    answers, arguments, caller,
    errors::{self, Failure, Outcome},
    result::MESSAGE_LIMIT,
    server::Call,
    settings,
};

/// Longest wait that may be asked for, milliseconds.
const MAX_WAIT_MS: u64 = 300_000;
/// How often a client hears of a run that goes on.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Name under which log messages are sent.
const LOGGER: &str = "convoke.delegate";

#[derive(Debug, Deserialize)]
struct WhichRun {
    run_id: Option<String>,
    wait_ms: Option<u64>,
}

/// A run that goes on.
#[derive(Debug, Serialize)]
struct Running {
    run_id: String,
    run_dir: String,
    status: &'static str,
}

/// A run in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listed {
    /// Its name.
    run_id: String,
    /// Folder with everything about it.
    run_dir: String,
    /// The job that carries it out.
    job_id: String,
    /// running, completed, failed or cancelled.
    status: String,
    /// The beginning of its task.
    summary: String,
    /// RFC 3339 instant at which it was asked for.
    accepted_at: String,
}

/// The runs of a caller.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Runs {
    /// Newest first, at most 50.
    runs: Vec<Listed>,
}

/// Whether a run was stopped.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Cancelled {
    run_id: String,
    /// False when it was over already.
    success: bool,
}

pub(crate) async fn delegate_run(call: &Call) -> Outcome {
    let mut request: DelegateRequest = arguments::read(&call.arguments)?;
    // Only the other tool continues conversations.
    request.thread_id = None;
    run(call, request).await
}

pub(crate) async fn delegate_resume(call: &Call) -> Outcome {
    run(call, arguments::read(&call.arguments)?).await
}

async fn run(call: &Call, mut request: DelegateRequest) -> Outcome {
    request.cwd = settings::absolute(&request.cwd, &call.config.folder);
    let start = StartRunRequest {
        caller: caller::of_spawn(&call.config, &call.context)?,
        run: request,
        attach: true,
    };
    let view = call.config.client.start_run(&start).await?;
    announce(&call.context, &view).await;
    let limit = caller::longest_wait(&call.config, &call.context);
    let view = match finished(call, view, limit).await {
        Ok(view) => view,
        Err((_, Failure::Cancelled)) => return Err(Failure::Cancelled),
        // The run is on disk: its name must reach the caller.
        Err((view, Failure::Refused(error))) => {
            return Ok(still_running(
                &view,
                &format!("the wait failed ({})", error.message),
            ));
        }
    };
    match view.answer {
        Some(answer) => deliver(call, answer).await,
        None => {
            let waited = format!("this call ends after {} s", limit.as_secs_f64());
            Ok(still_running(&view, &waited))
        }
    }
}

pub(crate) async fn delegate_status(call: &Call) -> Outcome {
    let given: WhichRun = arguments::read(&call.arguments)?;
    let wait = arguments::within("wait_ms", given.wait_ms, 0, 0..=MAX_WAIT_MS)?;
    let Some(run) = given.run_id else {
        return list(call).await;
    };
    let longest = caller::longest_wait(&call.config, &call.context);
    let wait = Duration::from_millis(wait).min(longest);
    let query = RunQuery {
        codex_home: codex_home(call),
        ..RunQuery::default()
    };
    let view = call.config.client.delegated_run(&run, &query).await?;
    let view = finished(call, view, wait).await.map_err(|(_, why)| why)?;
    match view.answer {
        Some(answer) => deliver(call, answer).await,
        None => answers::json(&Running {
            run_id: view.run_id,
            run_dir: view.run_dir,
            status: "running",
        }),
    }
}

/// Where runs of this server's environment have their folders.
fn codex_home(call: &Call) -> Option<String> {
    let environment = &call.config.environment;
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let own = set("CODEX_HOME").map(|home| settings::absolute(home, &call.config.folder));
    own.or_else(|| Some(format!("{}/.codex", set("HOME")?)))
}

async fn list(call: &Call) -> Outcome {
    let caller = caller::of_call(&call.config, &call.context);
    let query = RunsQuery {
        owner: Some(caller::owner(&caller)),
    };
    let page = call.config.client.runs(&query).await?;
    let listed = |run: RunView| Listed {
        status: word(run.state).to_owned(),
        run_id: run.run_id,
        run_dir: run.run_dir,
        job_id: run.job_id,
        summary: run.summary,
        accepted_at: run.accepted_at,
    };
    answers::json(&Runs {
        runs: page.runs.into_iter().map(listed).collect(),
    })
}

pub(crate) async fn delegate_cancel(call: &Call) -> Outcome {
    let given: WhichRun = arguments::read(&call.arguments)?;
    let run = given.run_id.unwrap_or_default();
    let cancelled = call.config.client.cancel_run(&run).await?;
    answers::json(&Cancelled {
        run_id: cancelled.run_id,
        success: cancelled.success,
    })
}

fn word(state: State) -> &'static str {
    match state {
        State::Completed => "completed",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
        _ => "running",
    }
}

/// The answer, once it is known that somebody still wants it.
async fn deliver(call: &Call, mut answer: DelegateAnswer) -> Outcome {
    if call.context.ct.is_cancelled() || call.input_ended.is_cancelled() {
        return Err(Failure::Cancelled);
    }
    if let Err(error) = call.config.client.run_delivered(&answer.run_id).await {
        // The same call, repeated, gets the same answer once more.
        tracing::debug!(run = answer.run_id, %error, "it is not remembered that the answer was given");
    }
    if let Some(cut) = cut(&answer.summary) {
        answer.summary = cut;
        answer.truncated = true;
    }
    answers::json(&answer)
}

/// The beginning of a summary that is too long for an answer.
fn cut(summary: &str) -> Option<String> {
    let limit = usize::try_from(MESSAGE_LIMIT).unwrap_or(usize::MAX);
    if summary.len() <= limit {
        return None;
    }
    let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= limit;
    let end = summary.char_indices().take_while(fits).last();
    let end = end.map_or(0, |(at, c)| at + c.len_utf8());
    Some(summary[..end].to_owned())
}

/// The run after its end, or as it is when `limit` has passed.
async fn finished(
    call: &Call,
    view: RunView,
    limit: Duration,
) -> Result<RunView, (RunView, Failure)> {
    if view.answer.is_some() {
        return Ok(view);
    }
    let context = &call.context;
    let client = &call.config.client;
    let request = WaitRequest {
        job_ids: vec![view.job_id.clone()],
        timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
    };
    let waited = tokio::select! {
        waited = client.wait(&request) => waited.map_err(Failure::from),
        () = context.ct.cancelled() => Err(Failure::Cancelled),
        () = call.input_ended.cancelled() => Err(Failure::Cancelled),
        never = heartbeat(context, &view) => match never {},
    };
    let ended = match waited {
        Ok(waited) => waited.completed_job_id.is_some(),
        Err(why) => return Err((view, why)),
    };
    if !ended {
        return Ok(view);
    }
    match client
        .delegated_run(&view.run_id, &RunQuery::default())
        .await
    {
        Ok(view) => Ok(view),
        Err(error) => Err((view, error.into())),
    }
}

/// A call that ends before its run does.
fn still_running(view: &RunView, why: &str) -> rmcp::model::CallToolResult {
    let message = format!("run {} goes on: {why}", view.run_id);
    let error = ApiError::new(RequestCode::StillRunning, message).with_hint(format!(
        "delegate_status{{\"run_id\":\"{}\",\"wait_ms\":50000}} waits for its answer; the same call, repeated, attaches to it",
        view.run_id
    ));
    let mut facts = errors::object(&error);
    facts.insert("run_id".into(), json!(view.run_id));
    facts.insert("run_dir".into(), json!(view.run_dir));
    errors::failed(errors::text(&error.message, error.hint.as_deref()), facts)
}

fn meta(run_id: &str) -> NotificationMetaObject {
    let mut meta = NotificationMetaObject::new();
    meta.insert("runId".to_owned(), Value::from(run_id));
    meta
}

/// Names the run at once: a client that gives up later knows what to ask for.
async fn announce(context: &RequestContext<RoleServer>, view: &RunView) {
    let data = json!({
        "message": match view.existed {
            true => "attached to a run that does the same already",
            false => "the run is accepted",
        },
        "run_id": view.run_id,
        "run_dir": view.run_dir,
        "job_id": view.job_id,
        "notices": view.notices,
    });
    log(context, data, meta(&view.run_id)).await;
    progress(
        context,
        view,
        0.0,
        format!("run {} is accepted", view.run_id),
    )
    .await;
}

#[expect(
    deprecated,
    reason = "the newest specification gives log messages up; clients in use know them, and the contract names the run in them"
)]
async fn log(context: &RequestContext<RoleServer>, data: Value, meta: NotificationMetaObject) {
    use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam};

    let mut log = LoggingMessageNotificationParam::new(LoggingLevel::Info, data);
    log.logger = Some(LOGGER.to_owned());
    log.meta = Some(meta);
    // A client that is gone ends the whole server; nothing to do here.
    let _ = context.peer.notify_logging_message(log).await;
}

async fn progress(
    context: &RequestContext<RoleServer>,
    view: &RunView,
    seconds: f64,
    message: String,
) {
    let Some(token) = context.meta.get_progress_token() else {
        return;
    };
    let mut progress = ProgressNotificationParam::new(token, seconds);
    progress.message = Some(message);
    progress.meta = Some(meta(&view.run_id));
    let _ = context.peer.notify_progress(progress).await;
}

/// Tells the client every few seconds that the run goes on. Never ends.
async fn heartbeat(
    context: &RequestContext<RoleServer>,
    view: &RunView,
) -> std::convert::Infallible {
    let start = Instant::now();
    let mut ticks = interval_at(start + HEARTBEAT, HEARTBEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seconds = start.elapsed().as_secs_f64();
        let message = format!("run {} goes on since {seconds:.0} s", view.run_id);
        progress(context, view, seconds, message).await;
    }
}
