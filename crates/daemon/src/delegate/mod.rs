//! Delegated runs: jobs about which everything is kept in a folder of the requester's.
//!
//! The job is the run: it is accepted, queued, watched, stopped and taken up after a
//! crash as any other. `request` reads what was asked, `start` accepts it or finds the
//! run that does the same already, `artifacts` writes the folder from what the state
//! home remembers, `answers` puts the answer together from the same.

mod answers;
mod artifacts;
mod proof;
mod request;
mod start;

use std::sync::Arc;

use convoke_api::{
    control::CancelRequest,
    delegate::{CancelRunResponse, RunQuery, RunView, RunsPage, RunsQuery},
    error::{ApiError, RequestCode},
};
use convoke_core::{ids::JobId, job::Job, run::RunId};
use convoke_store::{JobFilter, PageRequest};

pub use answers::forgotten;
pub use artifacts::{complete, started};
pub use start::start;

use crate::{api_errors, control, lists, state::Daemon, wait};

/// Most runs of one list.
const MOST_LISTED: usize = 50;

/// The job of a run, named by the run's name or by anything that names its job.
///
/// # Errors
/// There is no such run, or the database cannot be read.
pub fn find(daemon: &Daemon, name: &str) -> Result<Job, ApiError> {
    let id = match RunId::parse(name) {
        Some(run) => Some(run.job()),
        None => wait::resolve(daemon, name)?,
    };
    let job = id.map(|id| daemon.job(&id)).transpose();
    let job = job.map_err(|error| api_errors::of_store(&error))?.flatten();
    let is_it = |job: &Job| {
        let run = job.spec.run.as_ref();
        run.is_some_and(|run| RunId::parse(name).is_none_or(|name| run.id == name))
    };
    job.filter(is_it).ok_or_else(|| unknown_run(daemon, name))
}

fn unknown_run(daemon: &Daemon, name: &str) -> ApiError {
    ApiError::new(RequestCode::UnknownRun, format!("Unknown run: {name}")).with_hint(format!(
        "the state home {} was searched; `delegate_status` without `run_id` lists runs, and the folder of a run that is forgotten there keeps its `result.json`",
        daemon.home.root().display()
    ))
}

/// One run, after its end if that comes in time.
///
/// # Errors
/// There is no such run, or it cannot be read.
pub async fn run(daemon: &Arc<Daemon>, id: &JobId, query: RunQuery) -> Result<RunView, ApiError> {
    let patience = std::time::Duration::from_millis(query.wait_ms);
    tokio::select! {
        () = wait::wait_for_end(daemon, id, patience) => {}
        () = daemon.shutdown.cancelled() => {}
    }
    answers::of_id(daemon, id).await
}

/// Runs of one owner, or of all, newest first.
///
/// # Errors
/// The owner is none, or the database cannot be read.
pub fn list(daemon: &Daemon, query: &RunsQuery) -> Result<RunsPage, ApiError> {
    let filter = JobFilter {
        owner: query.owner.as_deref().map(lists::owner).transpose()?,
        ..JobFilter::default()
    };
    let mut runs = Vec::new();
    let mut cursor = None;
    // Other jobs stand between them; so many pages are enough to find some.
    for _ in 0..10 {
        let request = PageRequest { limit: 200, cursor };
        let page = daemon
            .store
            .jobs(&filter, &request)
            .map_err(|error| api_errors::of_store(&error))?;
        let named = |label: &Option<String>| label.as_deref().and_then(RunId::parse).is_some();
        for row in page.items.iter().filter(|row| named(&row.label)) {
            let job = daemon
                .job(&row.id)
                .map_err(|error| api_errors::of_store(&error))?;
            runs.extend(job.and_then(|job| answers::view(&job)));
            if runs.len() == MOST_LISTED {
                return Ok(RunsPage { runs });
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(RunsPage { runs })
}

/// Stops a run.
///
/// # Errors
/// As [`control::cancel`].
pub async fn cancel(daemon: &Arc<Daemon>, job: &Job) -> Result<CancelRunResponse, ApiError> {
    let cancelled = control::cancel(daemon, &job.id, &CancelRequest::default()).await?;
    let run = job.spec.run.as_ref().map(|run| run.id.to_string());
    Ok(CancelRunResponse {
        run_id: run.unwrap_or_default(),
        success: cancelled.success,
    })
}

/// Remembers that the answer of a run reached whoever asked.
///
/// # Errors
/// It cannot be written down.
pub fn delivered(daemon: &Daemon, job: &Job) -> Result<(), ApiError> {
    daemon
        .home
        .mark_delivered(&job.id)
        .map_err(|error| api_errors::of_home(&error))
}
