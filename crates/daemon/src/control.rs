//! Stopping jobs, and going on in their conversation.

use std::{sync::Arc, time::Duration};

use convoke_api::{
    control::{CancelRequest, CancelResponse, InterruptRequest, InterruptResponse},
    error::{ApiError, RequestCode},
    spawn::{JobRequest, SpawnRequest},
    values::{ReasoningEffort, State},
};
use convoke_core::{
    dispatcher::Input,
    ids::JobId,
    job::Job,
    lifecycle::StopReason,
    spec::{AgentWork, JobSpec, McpServers, Resume, Work},
};

use crate::{
    acceptance::{self, Continuation},
    api_errors,
    state::Daemon,
    views, wait,
};

/// Stops a job.
///
/// # Errors
/// There is no such job.
pub async fn cancel(
    daemon: &Arc<Daemon>,
    id: &JobId,
    request: &CancelRequest,
) -> Result<CancelResponse, ApiError> {
    let job = find(daemon, id)?;
    let success = !job.is_over();
    if success {
        stop(daemon, id, StopReason::Cancelled, request.force);
        // Acknowledged only when it survives a crash.
        daemon.all_committed().await;
        wait::wait_for_end(daemon, id, Duration::from_millis(request.wait_ms)).await;
    }
    Ok(CancelResponse {
        success,
        job: views::of_id(daemon, id)?,
    })
}

/// Asks for a job to be stopped; what follows is seen in its state.
pub fn stop(daemon: &Daemon, id: &JobId, reason: StopReason, force: bool) {
    let after = daemon.live.get(id).and_then(|live| live.output().point);
    daemon.submit(Input::StopRequested {
        job: id.clone(),
        reason,
        force,
        after,
    });
}

/// Stops a job and starts another that goes on in its conversation, once the
/// first has ended: there are never two writers in one conversation.
///
/// # Errors
/// There is no such job, or the new one is refused; the old one goes on then.
pub async fn interrupt(
    daemon: &Arc<Daemon>,
    id: &JobId,
    request: InterruptRequest,
) -> Result<InterruptResponse, ApiError> {
    let turns = daemon.conversations.lock().await;
    let job = find(daemon, id)?;
    let previous_state = State::parse(job.state.name()).unwrap_or(State::Running);
    // The texts of a live job may hold secrets that its record does not.
    let asked = daemon.home.read_secret_work(id).unwrap_or_default();
    let Work::Agent(work) = asked.as_ref().unwrap_or(&job.spec.work) else {
        return Err(ApiError::invalid(format!(
            "job {id} is a command: it has no conversation to go on in"
        )));
    };
    let new = SpawnRequest {
        jobs: vec![continued(&job, work, &request)],
        caller: request.caller,
        idempotency_key: None,
    };
    let new_job = match continuation_of_call(daemon, &new)? {
        Some(known) => known,
        None => {
            if let Some(reason) = cannot_be_continued(daemon, &job) {
                return Ok(InterruptResponse {
                    previous: views::of_job(daemon, &job),
                    previous_state,
                    new_job: None,
                    reason: Some(reason),
                });
            }
            // Accepted first, so that a refusal leaves the old job alone; it
            // starts only when the old one has ended.
            accept_continuation(daemon, new, &job).await?
        }
    };
    drop(turns);
    if !job.is_over() {
        stop(daemon, id, StopReason::Interrupted, false);
        wait::wait_for_end(daemon, id, Duration::from_millis(request.wait_ms)).await;
    }
    Ok(InterruptResponse {
        previous: views::of_id(daemon, id)?,
        previous_state,
        new_job: Some(views::of_id(daemon, &new_job)?),
        reason: None,
    })
}

/// Why no job can go on where this one stops, if none can.
fn cannot_be_continued(daemon: &Daemon, job: &Job) -> Option<String> {
    let id = &job.id;
    if job.is_over() {
        let state = job.state.name();
        return Some(format!("job {id} is over ({state}); start a new one"));
    }
    let next = next_turn(daemon, id)?;
    Some(format!(
        "job {next} goes on in the conversation of job {id} already; interrupt or cancel that one"
    ))
}

async fn accept_continuation(
    daemon: &Arc<Daemon>,
    request: SpawnRequest,
    previous: &Job,
) -> Result<JobId, ApiError> {
    let continuation = Continuation {
        previous: Box::new(previous.clone()),
    };
    let response = acceptance::spawn_continuing(daemon, request, Some(continuation)).await?;
    let accepted = response.results.into_iter().next();
    let (job, error) = accepted.map_or((None, None), |result| (result.job, result.error));
    if let Some(error) = error {
        return Err(error);
    }
    job.and_then(|job| JobId::parse(&job.job_id))
        .ok_or_else(|| ApiError::new(RequestCode::Internal, "no answer about the new job"))
}

/// The job that an earlier try of the same call made: its answer was lost.
fn continuation_of_call(
    daemon: &Daemon,
    request: &SpawnRequest,
) -> Result<Option<JobId>, ApiError> {
    let key = request
        .jobs
        .first()
        .and_then(|job| acceptance::key_of(request, job, 0));
    match key {
        Some(key) => daemon
            .store
            .job_of_key(&acceptance::owner_of(&request.caller), &key)
            .map_err(|error| api_errors::of_store(&error)),
        None => Ok(None),
    }
}

/// The live job that goes on in the conversation where `id` ends.
fn next_turn(daemon: &Daemon, id: &JobId) -> Option<JobId> {
    daemon
        .dispatcher()
        .jobs()
        .find(|job| goes_on_from(&job.spec, id))
        .map(|job| job.id.clone())
}

fn goes_on_from(spec: &JobSpec, id: &JobId) -> bool {
    matches!(&spec.work, Work::Agent(work) if work.resume == Some(Resume::Job(id.clone())))
}

/// The request for the job that goes on: as the old one, except for what the
/// call changes.
fn continued(job: &Job, work: &AgentWork, request: &InterruptRequest) -> JobRequest {
    let overrides = &request.overrides;
    // A session is its owner's: for anyone else its name means another one.
    let keeps_session = acceptance::owner_of(&request.caller) == job.owner;
    let asks_for_power = overrides.sandbox.is_some() || overrides.full_auto.is_some();
    JobRequest {
        prompt: Some(request.new_prompt.clone()),
        label: job.spec.label.clone(),
        model: overrides.model.clone().or_else(|| work.model.clone()),
        reasoning_effort: overrides.reasoning_effort.or_else(|| effort(work)),
        sandbox: if asks_for_power {
            overrides.sandbox
        } else {
            Some(job.spec.sandbox.into())
        },
        full_auto: overrides.full_auto,
        access: Some(job.spec.access.into()),
        working_directory: Some(
            overrides
                .working_directory
                .clone()
                .unwrap_or_else(|| job.spec.working_directory.display().to_string()),
        ),
        profile: work.profile.clone(),
        config_overrides: work.config_overrides.clone(),
        add_dirs: work
            .add_dirs
            .iter()
            .map(|folder| folder.display().to_string())
            .collect(),
        mcp_servers: Some(match &work.mcp_servers {
            McpServers::Inherit => convoke_api::spawn::McpServers::Inherit,
            McpServers::None => convoke_api::spawn::McpServers::None,
            McpServers::Only(names) => convoke_api::spawn::McpServers::Only(names.clone()),
        }),
        workspace: Some(views::workspace(job)),
        coordination: Some(views::coordination(job)),
        scope: job.spec.scope.as_ref().map(views::scope),
        host_skills: Some(work.host_skills),
        output_schema: work.output_schema.clone(),
        session: work.session.clone().filter(|_| keeps_session),
        timeout_ms: Some(job.spec.limits.wall_ms),
        idle_timeout_ms: Some(job.spec.limits.idle_ms),
        first_event_timeout_ms: Some(job.spec.limits.first_event_ms),
        output_limit_bytes: Some(job.spec.limits.output_bytes),
        max_attempts: Some(job.spec.retry.attempts),
        priority: Some(job.spec.priority),
        ..JobRequest::default()
    }
}

fn effort(work: &AgentWork) -> Option<ReasoningEffort> {
    serde_json::from_value(serde_json::Value::from(work.reasoning_effort.clone()?)).ok()
}

fn find(daemon: &Daemon, id: &JobId) -> Result<Job, ApiError> {
    daemon
        .job(id)
        .map_err(|error| api_errors::of_store(&error))?
        .ok_or_else(|| api_errors::unknown_job(daemon, id.as_str()))
}
