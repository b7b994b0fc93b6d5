//! Keeps the state of a job's working tree before and after it, so that its
//! changes can be told and taken back. Nothing depends on it: a failure is
//! remembered, and said to whoever asks for the changes.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use convoke_core::{
    ids::JobId,
    job::{Job, JobState},
    sandbox::Sandbox,
};
use convoke_workspace::{
    checkpoint::{self, Checkpoint, CheckpointError, CheckpointLimits},
    private_repository::{Edge, PrivateRepository, PrivateRepositoryError},
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{clock, error_chain, journals::Journals, state::Daemon, workplaces};

/// Name of the observation that says why there is no state.
const FAILED: &str = "checkpoint_failed";

/// How many trees are looked at together; see `observe`.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// Where the private repositories lie.
#[must_use]
pub fn folder(daemon: &Daemon) -> PathBuf {
    daemon.home.root().join("trees")
}

/// Whether states are kept around a job: it may write.
#[must_use]
pub fn are_kept(job: &Job) -> bool {
    job.spec.sandbox != Sandbox::ReadOnly
}

/// Opens the private repository of a working tree. Blocking, and waits for
/// others that use it.
///
/// # Errors
/// It cannot be opened.
pub fn open(daemon: &Daemon, tree: &Path) -> Result<PrivateRepository, PrivateRepositoryError> {
    PrivateRepository::open(&folder(daemon), tree)
}

/// The tree as it is now. Blocking.
///
/// # Errors
/// See [`checkpoint::take`].
pub fn take(
    daemon: &Daemon,
    repository: &PrivateRepository,
) -> Result<Checkpoint, CheckpointError> {
    checkpoint::take(repository, &limits(daemon))
}

/// How much of a tree is kept.
#[must_use]
pub fn limits(daemon: &Daemon) -> CheckpointLimits {
    CheckpointLimits {
        file_bytes: daemon.last_config().largest_file,
        ..CheckpointLimits::default()
    }
}

/// Keeps the state before an attempt, unless that was done: an attempt that is
/// taken up by a new daemon may have it.
pub async fn before(daemon: &Arc<Daemon>, job: &Job, attempt: u32) {
    keep(daemon, job, (Edge::Before, attempt)).await;
}

/// The same for an attempt whose agent is not known to run yet.
pub async fn before_if_missing(daemon: &Arc<Daemon>, job: &Job, attempt: u32) {
    if matches!(job.state, JobState::Starting { .. }) {
        before(daemon, job, attempt).await;
    }
}

/// Keeps the state after an attempt, before its end is told to anybody: what is
/// changed from then on is not the job's.
pub async fn after(daemon: &Arc<Daemon>, job: &Job, attempt: u32) {
    keep(daemon, job, (Edge::After, attempt)).await;
}

/// Lets one at a time work with the repository of a tree, so that those who wait
/// take no thread from others.
pub async fn turn(tree: &Path) -> tokio::sync::OwnedMutexGuard<()> {
    static TURNS: LazyLock<Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>> =
        LazyLock::new(Mutex::default);
    let turn = {
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(tree.to_owned()).or_default())
    };
    turn.lock_owned().await
}

async fn keep(daemon: &Arc<Daemon>, job: &Job, edge: (Edge, u32)) {
    // Without them nothing that was done in a working tree of its own could be
    // applied.
    let wanted = daemon.last_config().checkpoints || !job.spec.workspace.is_shared();
    if !are_kept(job) || !wanted {
        return;
    }
    let _turn = turn(&job.spec.tree).await;
    // The semaphore is never closed.
    let Ok(_permit) = AT_ONCE.acquire().await else {
        return;
    };
    let keeping = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || keep_now(&daemon, &job, edge)
    });
    let Ok(kept) = keeping.await else { return };
    if let Err(error) = kept {
        let why = error_chain(&error);
        tracing::warn!(job = %job.id, edge = ?edge.0, error = %why, "the state of the working tree is not kept");
        let value = json!({"edge": edge.0, "error": why});
        if let Err(error) = daemon
            .store
            .record_observation(&job.id, FAILED, value)
            .await
        {
            tracing::warn!(job = %job.id, error = %error_chain(&error), "nor is it noted why");
        }
    }
}

fn keep_now(daemon: &Arc<Daemon>, job: &Job, edge: (Edge, u32)) -> Result<(), CheckpointError> {
    if let Some(owner) = job.spec.workspace.own() {
        return keep_result(daemon, job, owner, edge);
    }
    let repository = open(daemon, &job.spec.tree)?;
    let writer = job.id.as_str();
    if repository.is_open(writer)? != (edge.0 == Edge::After) {
        return Ok(());
    }
    let now = clock::now().0;
    if edge.0 == Edge::Before {
        close_ended(daemon, &repository, now)?;
        let resumes = !repository.open_writers()?.is_empty();
        daemon.journals.start(daemon, &job.spec.tree, resumes);
    }
    record(daemon, &repository, || match take(daemon, &repository) {
        Ok(taken) => Ok(repository.keep(writer, edge, now, taken)?),
        Err(error) => {
            if edge.0 == Edge::After {
                // It writes no more, whatever it did.
                repository.close(writer, now)?;
            }
            Err(error)
        }
    })?;
    Ok(())
}

/// Keeps a state of a tree; what changes meanwhile is on record after it. Answers the
/// name of the state.
///
/// # Errors
/// Whatever `keep` answers.
pub fn record<E>(
    daemon: &Arc<Daemon>,
    repository: &PrivateRepository,
    keep: impl FnOnce() -> Result<String, E>,
) -> Result<String, E> {
    let hold = daemon.journals.hold(repository.top());
    let kept = keep();
    Journals::mark(daemon, hold, repository, kept.as_ref().ok().cloned());
    kept
}

/// Keeps what a job with a working tree of its own made of it. What it began with
/// was kept when the working tree was made.
fn keep_result(
    daemon: &Daemon,
    job: &Job,
    owner: &JobId,
    (edge, attempt): (Edge, u32),
) -> Result<(), CheckpointError> {
    let Some(apart) = workplaces::existing(daemon, job).filter(|_| edge == Edge::After) else {
        return Ok(());
    };
    let repository = open(daemon, &job.spec.tree)?;
    let states = repository.states_of_own_tree(owner.as_str())?;
    let (Some(base), Some(last)) = (states.first(), states.last()) else {
        return Ok(());
    };
    let taken = apart.state(daemon, &repository, owner, &base.checkpoint)?;
    if last.edge != Edge::Result || last.checkpoint != taken {
        let result = (Edge::Result, attempt);
        repository.keep(owner.as_str(), result, clock::now().0, taken)?;
    }
    Ok(())
}

/// Closes writers of which no state after could be kept: rollbacks of a daemon
/// that died, and jobs that are over. Else they would count as writing for ever.
fn close_ended(
    daemon: &Daemon,
    repository: &PrivateRepository,
    now: u64,
) -> Result<(), PrivateRepositoryError> {
    for writer in repository.open_writers()? {
        // The repository is locked, so that no rollback is under way.
        let is_over = JobId::parse(&writer).is_none_or(|job| {
            daemon.live.get(&job).is_none()
                && daemon
                    .store
                    .job(&job)
                    .is_ok_and(|known| known.is_none_or(|job| job.is_over()))
        });
        if is_over {
            repository.close(&writer, now)?;
        }
    }
    Ok(())
}

/// Why there is no state around a job, if that is known.
#[must_use]
pub fn failure(daemon: &Daemon, job: &JobId) -> Option<String> {
    let mut known = daemon.store.observations(job).ok()?;
    let failed = known.remove(FAILED)?;
    failed["error"].as_str().map(str::to_owned)
}

/// Forgets what is kept of jobs that are forgotten. Blocking.
pub fn forget(daemon: &Daemon) {
    workplaces::forget(daemon);
    let Ok(entries) = fs_err::read_dir(folder(daemon)) else {
        return;
    };
    for entry in entries.flatten() {
        let Some(top) = PrivateRepository::tree_of(&entry.path()) else {
            continue;
        };
        let forgotten = open(daemon, &top).and_then(|repository| {
            let forgotten = daemon.journals.paused(&top, || {
                repository.forget(|writer| {
                    // Rollbacks are named after the job they took back.
                    let name = writer.split('.').next().unwrap_or(writer);
                    JobId::parse(name).is_some_and(|job| is_known(daemon, &job))
                })
            });
            // The next time, where something is being kept in this very moment.
            let forgotten = forgotten.unwrap_or(Ok(0))?;
            Ok((forgotten, repository.all_states()?.is_empty()))
        });
        match forgotten {
            Ok((_, true)) if is_gone(&top) => {
                // Nothing is kept of it, and nothing will be.
                if let Err(error) = fs_err::remove_dir_all(entry.path()) {
                    tracing::warn!(%error, "the repository of a tree that is gone stays");
                }
            }
            Ok((0, _)) => {}
            Ok((count, _)) => tracing::info!(tree = %top.display(), count, "states were forgotten"),
            Err(error) => {
                tracing::warn!(tree = %top.display(), error = %error_chain(&error), "states of forgotten jobs stay");
            }
        }
    }
}

/// Whether a tree is there no more, rather than out of reach.
fn is_gone(top: &Path) -> bool {
    let found = fs_err::symlink_metadata(top);
    found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Whether there is a job. Not known for sure counts as known.
#[must_use]
pub fn is_known(daemon: &Daemon, job: &JobId) -> bool {
    if daemon.home.job_folder(job).exists() {
        return true;
    }
    let standings = daemon.store.job_outcomes(std::slice::from_ref(job));
    standings.map_or(true, |found| found.iter().any(|(_, found)| found.is_some()))
}
