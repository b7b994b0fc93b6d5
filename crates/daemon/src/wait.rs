//! Waiting for jobs to end. Level-triggered: the answer depends on how the
//! jobs stand, not on having asked in time.

use std::{sync::Arc, time::Duration};

use convoke_api::{
    control::{WaitRequest, WaitResponse},
    error::ApiError,
    values::State,
};
use convoke_core::{
    ids::JobId,
    job::{Job, JobState},
};
use convoke_store::Resolved;
use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::{api_errors, state::Daemon};

/// Longest wait of one request.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The pause before a job is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Waits until the first of some jobs has ended, or time is up.
///
/// # Errors
/// The database cannot be read.
pub async fn wait_any(
    daemon: &Arc<Daemon>,
    request: &WaitRequest,
) -> Result<WaitResponse, ApiError> {
    let mut jobs = Vec::new();
    let mut missing = Vec::new();
    for name in &request.job_ids {
        match resolve(daemon, name)? {
            Some(id) => jobs.push((name.clone(), id)),
            None => missing.push(name.clone()),
        }
    }
    let answer = |completed: Option<(String, State)>, timed_out| WaitResponse {
        state: completed.as_ref().map(|(_, state)| *state),
        completed_job_id: completed.map(|(name, _)| name),
        timed_out,
        missing_job_ids: missing.clone(),
    };
    if let Some(ended) = first_ended(daemon, &jobs)? {
        return Ok(answer(Some(ended), false));
    }
    if jobs.is_empty() {
        return Ok(answer(None, false));
    }
    let patience = Duration::from_millis(request.timeout_ms).min(LONGEST);
    let shutdown = daemon.shutdown.clone();
    let waited = async {
        tokio::select! {
            () = any_ends(daemon, &jobs) => {}
            () = shutdown.cancelled() => {}
        }
    };
    let timed_out = tokio::time::timeout(patience, waited).await.is_err();
    let ended = first_ended(daemon, &jobs)?;
    let timed_out = timed_out && ended.is_none();
    if ended.is_none() && !timed_out {
        return Err(ApiError::new(
            convoke_api::error::RequestCode::ShuttingDown,
            "the daemon stopped during the wait; the jobs go on",
        )
        .with_hint("ask again"));
    }
    Ok(answer(ended, timed_out))
}

/// Waits until a job has ended or the time is up.
pub async fn wait_for_end(daemon: &Arc<Daemon>, id: &JobId, patience: Duration) {
    let _ = tokio::time::timeout(patience.min(LONGEST), ends(daemon, id)).await;
}

/// Waits until nothing about a job changes any more, or the time is up.
pub async fn wait_for_finalised(daemon: &Arc<Daemon>, id: &JobId, patience: Duration) {
    let Some(live) = daemon.live.get(id) else {
        return;
    };
    let mut progress = live.watch();
    drop(live);
    let _ = tokio::time::timeout(patience, progress.wait_for(|progress| progress.finalised)).await;
}

/// A job; if it has ended, waited for until nothing about it changes any more or
/// the time is up.
///
/// # Errors
/// There is no such job, or the database cannot be read.
pub async fn settled(
    daemon: &Arc<Daemon>,
    id: &JobId,
    patience: Duration,
) -> Result<Job, ApiError> {
    let job = daemon
        .job(id)
        .map_err(|error| api_errors::of_store(&error))?
        .ok_or_else(|| api_errors::unknown_job(daemon, id.as_str()))?;
    if job.is_over() {
        wait_for_finalised(daemon, id, patience).await;
    }
    Ok(job)
}

async fn any_ends(daemon: &Arc<Daemon>, jobs: &[(String, JobId)]) {
    let mut all: FuturesUnordered<_> = jobs.iter().map(|(_, id)| ends(daemon, id)).collect();
    all.next().await;
}

/// Cancel-safe: only waits for a level.
async fn ends(daemon: &Arc<Daemon>, id: &JobId) {
    loop {
        if let Some(live) = daemon.live.get(id) {
            let mut progress = live.watch();
            drop(live);
            if progress.wait_for(|progress| progress.ended).await.is_ok() {
                return;
            }
        } else if has_ended(daemon, id) {
            return;
        }
        look_again_later().await;
    }
}

/// The pause before something is looked at again that nobody tells about: the
/// end of a job whose event file could not be opened.
pub async fn look_again_later() {
    tokio::time::sleep_until(tokio::time::Instant::now() + LOOK_AGAIN).await;
}

/// Whether the end of a job is on disk, or the job unknown.
fn has_ended(daemon: &Daemon, id: &JobId) -> bool {
    let Ok(standings) = daemon.store.job_outcomes(std::slice::from_ref(id)) else {
        return false;
    };
    standings
        .into_iter()
        .all(|(_, standing)| standing.is_none_or(|standing| standing.ended))
}

/// The job a name stands for: its id, else a unique beginning or a label.
pub fn resolve(daemon: &Daemon, name: &str) -> Result<Option<JobId>, ApiError> {
    if let Some(id) = JobId::parse(name)
        && daemon.live.get(&id).is_some()
    {
        return Ok(Some(id));
    }
    match daemon
        .store
        .resolve_prefix(name)
        .map_err(|error| api_errors::of_store(&error))?
    {
        Resolved::One(id) => Ok(Some(id)),
        Resolved::Unknown => Ok(None),
        Resolved::Ambiguous(ids) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            Err(
                ApiError::invalid(format!("`{name}` fits several jobs: {}", ids.join(", ")))
                    .with_hint("give more of the id"),
            )
        }
    }
}

/// Of the jobs that are over, the one that ended first.
fn first_ended(
    daemon: &Daemon,
    jobs: &[(String, JobId)],
) -> Result<Option<(String, State)>, ApiError> {
    let ids: Vec<JobId> = jobs.iter().map(|(_, id)| id.clone()).collect();
    let standings = daemon
        .store
        .job_outcomes(&ids)
        .map_err(|error| api_errors::of_store(&error))?;
    let mut first: Option<(u64, &str, State)> = None;
    for ((name, id), (_, standing)) in jobs.iter().zip(standings) {
        if !standing.is_some_and(|standing| standing.ended) {
            continue;
        }
        let job = daemon
            .store
            .job(id)
            .map_err(|error| api_errors::of_store(&error))?;
        if let Some(job) = job
            && let JobState::Ended { at, .. } = &job.state
            && first
                .as_ref()
                .is_none_or(|(earliest, _, _)| at.0 < *earliest)
        {
            first = Some((
                at.0,
                name,
                State::parse(job.state.name()).unwrap_or(State::Failed),
            ));
        }
    }
    Ok(first.map(|(_, name, state)| (name.to_owned(), state)))
}
