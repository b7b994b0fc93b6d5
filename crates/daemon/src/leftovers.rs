//! Processes that are left of ended jobs because they could not be ended. What
//! such a job may write counts as in use until they are gone, or until a person
//! lets go of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use convoke_api::{
    control::ReleaseResponse,
    error::{ApiError, RequestCode},
};
use convoke_core::{dispatcher::Input, ids::JobId, runner_protocol::ProcessNote};
use convoke_runner::sweep;
use convoke_store::{Blocking, StoreError};
use tokio::sync::Notify;

use crate::{api_errors, clock, error_chain, secrets, state::Daemon, views};

/// How often it is looked whether they are gone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is left, by job.
#[derive(Debug, Default)]
pub struct Leftovers {
    known: Mutex<BTreeMap<JobId, Blocking>>,
    added: Notify,
}

impl Leftovers {
    /// Whether something of this job is left.
    #[must_use]
    pub fn contains(&self, job: &JobId) -> bool {
        self.lock().contains_key(job)
    }

    fn add(&self, blocking: Blocking) {
        self.lock().insert(blocking.job.clone(), blocking);
        self.added.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<JobId, Blocking>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes what an attempt left, before its end is decided: a crash in between
/// must not let go of it.
pub async fn keep(daemon: &Daemon, job: &JobId, processes: &[ProcessNote]) {
    if processes.is_empty() {
        return;
    }
    // What may hold secrets that are not known is left out.
    let masker = secrets::masker_of(daemon, job).map(Option::unwrap_or_default);
    let shown = |command: &str| match &masker {
        Ok(masker) => masker.mask_text(command),
        Err(_) => String::new(),
    };
    let blocking = Blocking {
        job: job.clone(),
        boot_id: sweep::boot_id(),
        processes: processes
            .iter()
            .map(|process| ProcessNote {
                command: shown(&process.command),
                ..process.clone()
            })
            .collect(),
    };
    if let Err(error) = daemon.store.block(blocking.clone()).await {
        tracing::error!(%job, error = %error_chain(&error), "a restart will not know what is left of the job");
    }
    daemon.leftovers.add(blocking);
}

/// Takes over what a daemon before knew to be left.
///
/// # Errors
/// The database cannot be read.
pub fn restore(daemon: &Daemon) -> Result<(), StoreError> {
    for blocking in daemon.store.blocking()? {
        if let Some(job) = daemon.store.job(&blocking.job)? {
            if job.is_over() {
                daemon.dispatcher().restore_leftovers(&job);
            }
            daemon.leftovers.add(blocking);
        }
    }
    Ok(())
}

/// Looks again and again whether what is left is gone.
pub async fn watch(daemon: Arc<Daemon>) {
    loop {
        let known: Vec<Blocking> = daemon.leftovers.lock().values().cloned().collect();
        if known.is_empty() {
            daemon.leftovers.added.notified().await;
        }
        for blocking in known {
            if is_over(&daemon, &blocking.job)
                && !blocking.processes.iter().any(|one| lives(&blocking, one))
            {
                let job = blocking.job;
                tracing::info!(%job, "what was left of the job is gone");
                if let Err(error) = let_go(&daemon, &job).await {
                    tracing::error!(%job, error = %error_chain(&error), "it is tried again");
                }
            }
        }
        tokio::time::sleep_until(tokio::time::Instant::now() + LOOK_EVERY).await;
    }
}

/// Lets go of what is left of a job, as a person asked for.
///
/// # Errors
/// There is no such job, it is not over, or the database cannot be written.
pub async fn release(daemon: &Arc<Daemon>, id: &JobId) -> Result<ReleaseResponse, ApiError> {
    let before = views::of_id(daemon, id)?;
    if !before.state.is_over() {
        return Err(ApiError::new(
            RequestCode::InvalidArgument,
            format!(
                "job {id} is {}: only what is left of a job that is over can be let go",
                before.state.as_str()
            ),
        )
        .with_hint(format!("stop it first: `convoke cancel {id}`")));
    }
    // A decided end is seen before it is committed.
    daemon.all_committed().await;
    let released = daemon.leftovers.contains(id);
    if released {
        let failed = |error: &StoreError| api_errors::of_store(error);
        let what = "a person let go of what is left of it";
        let noted = daemon.store.audit(clock::now(), id, what).await;
        noted.map_err(|error| failed(&error))?;
        let_go(daemon, id).await.map_err(|error| failed(&error))?;
    }
    Ok(ReleaseResponse {
        released,
        job: views::of_id(daemon, id)?,
    })
}

async fn let_go(daemon: &Daemon, job: &JobId) -> Result<(), StoreError> {
    daemon.store.unblock(job).await?;
    daemon.leftovers.lock().remove(job);
    daemon.submit(Input::LeftoversGone { job: job.clone() });
    Ok(())
}

fn is_over(daemon: &Daemon, job: &JobId) -> bool {
    daemon.dispatcher().job(job).is_none()
}

/// Whether this process is still there: none of another boot of the machine is.
fn lives(blocking: &Blocking, process: &ProcessNote) -> bool {
    blocking.boot_id == sweep::boot_id() && sweep::is_alive(process)
}
