//! Records the state of a job's repository before and after it.

use std::path::{Path, PathBuf};

use convoke_core::{
    ids::JobId,
    job::{Job, JobState},
};
use convoke_workspace::{
    changes, checkpoint,
    git::GitError,
    private_repository::PrivateRepository,
    repository, snapshot,
    snapshot::Snapshot,
    snapshot_memory::{self, Grounds},
};
use serde_json::Value;
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{checkpoints, error_chain, state::Daemon, workplaces};

/// Names of observations in the store.
const BEFORE: &str = "before";
const AFTER: &str = "after";

/// How many repositories are looked at together. One that hangs, on a network
/// drive for instance, then takes no more than its share of the threads that
/// all blocking work of the daemon runs on.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// What is known of a job's repository.
#[derive(Clone, Debug)]
pub struct Observed {
    /// State before the first attempt.
    pub before: Snapshot,
    /// State after the end.
    pub after: Snapshot,
    /// Paths that changed between, by whomever.
    pub changed: Vec<String>,
}

/// Records the state before the first attempt. Nothing depends on it, so a
/// failure is only logged.
pub async fn before(daemon: &Daemon, job: &Job, attempt: u32) {
    if attempt == 1 {
        record(daemon, &job.id, top_of(daemon, job), BEFORE).await;
    }
}

/// Records the state before the first attempt of a job whose agent is not known
/// to run yet, unless that was done.
pub async fn before_if_missing(daemon: &Daemon, job: &Job, attempt: u32) {
    let observations = daemon.store.observations(&job.id);
    let missing = observations.is_ok_and(|known| !known.contains_key(BEFORE));
    if missing && matches!(job.state, JobState::Starting { .. }) {
        before(daemon, job, attempt).await;
    }
}

/// Whether it is likely that neither git nor any other program need be asked. Both
/// looks go through the same memory then, one after the other.
#[must_use]
pub fn needs_no_program(daemon: &Daemon, job: &Job) -> bool {
    checkpoint::may_be_remembered(&checkpoints::folder(daemon), &job.spec.tree)
}

/// Records the state after the end.
pub async fn after(daemon: &Daemon, job: &Job) {
    record(daemon, &job.id, top_of(daemon, job), AFTER).await;
}

/// The repository a job works in, if it works in one.
#[must_use]
pub fn top_of(daemon: &Daemon, job: &Job) -> Option<PathBuf> {
    if job.spec.workspace.is_overlay() {
        // What is in its repository goes into the layer too; the tree's is others'.
        return None;
    }
    let place = workplaces::of(daemon, job);
    let top = repository::top_level(&place.folder)?;
    // The state home may lie in a repository, which is none of the job's.
    (job.spec.workspace.is_shared() || top.starts_with(&place.top)).then_some(top)
}

async fn record(daemon: &Daemon, job: &JobId, top: Option<PathBuf>, kind: &'static str) {
    let Some(top) = top else { return };
    // The semaphore is never closed.
    let Ok(_permit) = AT_ONCE.acquire().await else {
        return;
    };
    let trees = checkpoints::folder(daemon);
    let taken = tokio::task::spawn_blocking(move || look_at(&trees, &top)).await;
    let value = match taken {
        Ok(Ok(snapshot)) => serde_json::to_value(snapshot).unwrap_or(Value::Null),
        Ok(Err(error)) => {
            tracing::warn!(%job, kind, error = %error_chain(&error), "the state of the repository is not known");
            return;
        }
        Err(_) => return,
    };
    if let Err(error) = daemon.store.record_observation(job, kind, value).await {
        tracing::warn!(%job, kind, error = %error_chain(&error), "the state of the repository was not kept");
    }
}

/// What git says of a repository now. Blocking.
///
/// # Errors
/// Git cannot be run or fails.
pub fn now(daemon: &Daemon, top: &Path) -> Result<Snapshot, GitError> {
    look_at(&checkpoints::folder(daemon), top)
}

/// What git says of a repository; if it said it before and nothing changed, it is
/// not asked again.
fn look_at(trees: &Path, top: &Path) -> Result<Snapshot, GitError> {
    let grounds = || -> Option<Grounds> {
        if !checkpoint::may_be_remembered(trees, top) {
            return None;
        }
        let repository = PrivateRepository::open(trees, top).ok()?;
        Grounds::now(top, checkpoint::remembered(&repository)?)
    };
    let before = grounds();
    if let Some(before) = &before
        && let Some(known) = snapshot_memory::recall(top, before)
    {
        return Ok(known);
    }
    let taken = snapshot::take(top)?;
    if let Some(before) = before
        && grounds().as_ref() == Some(&before)
    {
        snapshot_memory::remember(top, before, &taken);
    }
    Ok(taken)
}

/// The state before the first attempt, if it is known. Blocking.
#[must_use]
pub fn before_of(daemon: &Daemon, job: &Job) -> Option<Snapshot> {
    let mut observations = daemon.store.observations(&job.id).ok()?;
    serde_json::from_value(observations.remove(BEFORE)?).ok()
}

/// The states before the first attempt and after the end, if both are known.
/// Blocking.
#[must_use]
pub fn snapshots(daemon: &Daemon, job: &Job) -> Option<(Snapshot, Snapshot)> {
    let mut observations = daemon.store.observations(&job.id).ok()?;
    let before = serde_json::from_value(observations.remove(BEFORE)?).ok()?;
    let after = serde_json::from_value(observations.remove(AFTER)?).ok()?;
    Some((before, after))
}

/// What was observed of a job, once both states are known. Blocking: call it
/// on a thread of the runtime that is meant for that.
#[must_use]
pub fn observed(daemon: &Daemon, job: &Job) -> Option<Observed> {
    let (before, after) = snapshots(daemon, job)?;
    let top = top_of(daemon, job)?;
    // Git is run only for the commits between.
    let _permit = (before.head != after.head)
        .then(|| Handle::current().block_on(AT_ONCE.acquire()))
        .transpose()
        .ok()?;
    let changed = changes::paths_changed(&top, &before, &after).unwrap_or_else(|error| {
        tracing::warn!(job = %job.id, error = %error_chain(&error), "commits made meanwhile cannot be compared");
        Vec::new()
    });
    Some(Observed {
        before,
        after,
        changed,
    })
}
