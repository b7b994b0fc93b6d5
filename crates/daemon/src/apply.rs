//! What becomes of the changes of a job with a working tree of its own: they are
//! brought into the caller's tree, all or none, or discarded.

use std::sync::Arc;

use convoke_api::{
    caller::Caller,
    changes::{
        ApplyConflict, ApplyHunk, ApplyRequest, ApplyResponse, DiscardRequest, DiscardResponse,
    },
    error::{ApiError, RequestCode},
};
use convoke_core::{finding::Finding, ids::JobId, job::Job, lifecycle::Outcome};
use convoke_workspace::{
    apply::{self, Applied, Sides, Unmerged},
    checkpoint::Checkpoint,
    overlaps::Hunk,
    private_repository::{Edge, PrivateRepository, PrivateRepositoryError},
    rollback::{self, Taken},
};
use serde_json::json;

use crate::{
    apart, api_errors,
    changes::{of_checkpoint, of_repository},
    checkpoints, clock, error_chain,
    rollback::{check_power, free_name},
    state::Daemon,
    wait, workplaces,
};

/// How long it is waited for the state after a job that has just ended.
const SETTLES_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Name of the observation that says what became of the changes: `applied` or
/// `discarded`.
const SETTLED: &str = "worktree_settled";

/// Brings the changes of a job into the caller's tree, or says what would be done.
///
/// # Errors
/// There is no such job, it has no working tree of its own or is not over, the
/// caller may not write in the tree, or the tree cannot be read.
pub async fn apply(
    daemon: &Arc<Daemon>,
    id: &JobId,
    request: ApplyRequest,
) -> Result<ApplyResponse, ApiError> {
    let job = isolated(daemon, id, &request.caller, request.dry_run)?;
    if let Some(how) = settled(daemon, &job) {
        return Err(
            ApiError::invalid(format!("the changes of job {id} were {how} already"))
                .with_hint(format!("`convoke diff {id}` still shows them")),
        );
    }
    wait::wait_for_finalised(daemon, id, SETTLES_WITHIN).await;
    let _turn = checkpoints::turn(&job.spec.tree).await;
    let applying = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || apply_now(&daemon, &job, request.dry_run)
    });
    let response = applying
        .await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))??;
    // Where nothing was seen there may be something that is not looked at.
    if !response.dry_run && response.conflicts.is_empty() && !response.applied.is_empty() {
        settle(daemon, &job, "applied").await;
    }
    Ok(response)
}

/// Drops the working tree of a job. What it changed can still be looked at.
///
/// # Errors
/// There is no such job, it has no working tree of its own or is not over, or the
/// caller may not write in the tree.
pub async fn discard(
    daemon: &Arc<Daemon>,
    id: &JobId,
    request: DiscardRequest,
) -> Result<DiscardResponse, ApiError> {
    let job = isolated(daemon, id, &request.caller, false)?;
    let success = settled(daemon, &job).is_none();
    if success {
        wait::wait_for_finalised(daemon, id, SETTLES_WITHIN).await;
        let _turn = checkpoints::turn(&job.spec.tree).await;
        settle(daemon, &job, "discarded").await;
    }
    Ok(DiscardResponse { success })
}

/// A job that is over and has a working tree of its own.
fn isolated(daemon: &Daemon, id: &JobId, caller: &Caller, dry_run: bool) -> Result<Job, ApiError> {
    let job = daemon
        .job(id)
        .map_err(|error| api_errors::of_store(&error))?
        .ok_or_else(|| api_errors::unknown_job(daemon, id.as_str()))?;
    if job.spec.workspace.is_shared() {
        return Err(ApiError::invalid(format!(
            "job {id} worked in the tree itself: there is nothing to apply or discard"
        ))
        .with_hint(format!("`convoke rollback {id}` takes its changes back")));
    }
    let owner = job.spec.workspace.own();
    let dispatcher = daemon.dispatcher();
    let at_work = dispatcher
        .jobs()
        .find(|other| other.spec.workspace.own() == owner);
    if let Some(other) = at_work {
        return Err(ApiError::invalid(format!(
            "job {} is not over and works in that working tree",
            other.id
        ))
        .with_hint(format!(
            "wait for it, or stop it: `convoke cancel {}`",
            other.id
        )));
    }
    drop(dispatcher);
    if !dry_run {
        check_power(daemon, caller, &job, "this writes in the working tree")?;
    }
    Ok(job)
}

/// What became of the changes, `applied` or `discarded`, if that was decided. Jobs
/// that went on in one working tree share it.
#[must_use]
pub fn settled(daemon: &Daemon, job: &Job) -> Option<String> {
    let owner = job.spec.workspace.own()?;
    let mut known = daemon.store.observations(owner).ok()?;
    known.remove(SETTLED)?.as_str().map(str::to_owned)
}

async fn settle(daemon: &Arc<Daemon>, job: &Job, how: &str) {
    let Some(owner) = job.spec.workspace.own() else {
        return;
    };
    if let Err(error) = daemon
        .store
        .record_observation(owner, SETTLED, json!(how))
        .await
    {
        tracing::warn!(job = %job.id, error = %error_chain(&error), "what became of its changes is not noted");
    }
    let removing = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || workplaces::remove(&daemon, &job)
    });
    if let Ok(Err(error)) = removing.await {
        tracing::warn!(job = %job.id, error = %error_chain(&error), "its working tree stays until the job is forgotten");
    }
}

/// What the job began with, and what it made of it: as its working tree is now, if
/// it is there. Nobody is at work in it.
fn states(
    daemon: &Daemon,
    repository: &PrivateRepository,
    job: &Job,
) -> Result<(Checkpoint, Checkpoint), ApiError> {
    let failed = |error| of_repository(&error);
    let owner = job.spec.workspace.own().unwrap_or(&job.id);
    let states = repository.states_of_own_tree(owner.as_str());
    let mut states = states.map_err(failed)?;
    let missing = || {
        ApiError::new(
            RequestCode::CheckpointMissing,
            format!("no result of job {} is kept", job.id),
        )
        .with_hint("it never ran, only read, or its working tree could not be looked at")
    };
    let base = states.first().cloned().ok_or_else(missing)?.checkpoint;
    let last = states.pop().filter(|state| state.edge == Edge::Result);
    let Some(apart) = workplaces::existing(daemon, job) else {
        return Ok((base, last.ok_or_else(missing)?.checkpoint));
    };
    let now = apart.state(daemon, repository, owner, &base);
    let now = now.map_err(|error| of_checkpoint(&error))?;
    if last.is_none_or(|last| last.checkpoint != now) {
        let (edge, at) = ((Edge::Result, job.attempts), clock::now().0);
        let kept = repository.keep(owner.as_str(), edge, at, now.clone());
        kept.map_err(failed)?;
    }
    Ok((base, now))
}

fn apply_now(daemon: &Arc<Daemon>, job: &Job, dry_run: bool) -> Result<ApplyResponse, ApiError> {
    let failed = |error| of_repository(&error);
    let repository = checkpoints::open(daemon, &job.spec.tree).map_err(failed)?;
    let (base, theirs) = states(daemon, &repository, job)?;
    let take = || checkpoints::take(daemon, &repository).map_err(|error| of_checkpoint(&error));
    let ours = take()?;
    let sides = Sides {
        base: &base,
        theirs: &theirs,
        ours: &ours,
    };
    let planned = apply::plan(&repository, sides).map_err(failed)?;
    let moved = base_moved(&repository, job, sides, &planned).map_err(failed)?;
    let answer = |applied, undo| {
        let mut answer = answer(job, applied, dry_run, undo);
        answer.notices.extend(moved.clone());
        answer
    };
    if dry_run || !planned.conflicts.is_empty() || planned.applied.is_empty() {
        return Ok(answer(planned, None));
    }
    let writer = free_name(&repository, job, "apply")?;
    let keep = |edge, checkpoint: Checkpoint| {
        let kept = repository.keep(&writer, (edge, 1), clock::now().0, checkpoint);
        kept.map_err(failed)
    };
    let undo = checkpoints::record(daemon, &repository, || keep(Edge::Before, ours.clone()))?;
    let half_way = |error: ApiError| {
        let words =
            format!("what was written before is taken back by `convoke rollback --to {undo}`");
        error.with_hint(words)
    };
    let written = apply::write(&repository, sides);
    let mut after = ours.clone();
    checkpoints::record(daemon, &repository, || {
        after = take().map_err(half_way)?;
        keep(Edge::After, after.clone())
    })?;
    let written = written.map_err(|error| half_way(failed(error)))?;
    if written.conflicts.is_empty() {
        return Ok(answer(written, Some(undo)));
    }
    // Somebody edited the tree in this very moment, which stays: all or nothing of
    // what is the job's.
    let states = Taken {
        before: &ours,
        after: &after,
        now: &after,
    };
    let suffix = format!("before-{writer}");
    let undone = rollback::take_back(&repository, states, &suffix, false, |path| {
        match written.applied.iter().any(|applied| applied == path) {
            true => Ok(()),
            false => Err("it was not applied".to_owned()),
        }
    });
    undone.map_err(|error| half_way(failed(error)))?;
    Ok(answer(written, None))
}

/// What is to be said of paths that changed beneath the layer of a job since it began,
/// and that it changed as well.
fn base_moved(
    repository: &PrivateRepository,
    job: &Job,
    sides: Sides<'_>,
    planned: &Applied,
) -> Result<Option<String>, PrivateRepositoryError> {
    if !job.spec.workspace.is_overlay() {
        return Ok(None);
    }
    let conflicts = planned.conflicts.iter().map(|one| &one.path);
    let paths: Vec<String> = planned.applied.iter().chain(conflicts).cloned().collect();
    let moved = apart::moved(repository, sides.base, sides.ours, &paths)?;
    Ok((!moved.is_empty()).then(|| {
        format!(
            "changed in {} too since the job began: {}",
            job.spec.tree.display(),
            moved.join(", ")
        )
    }))
}

fn answer(
    job: &Job,
    applied: Applied,
    dry_run: bool,
    checkpoint_id: Option<String>,
) -> ApplyResponse {
    let is_whole = applied.conflicts.is_empty();
    ApplyResponse {
        applied: match is_whole {
            true => applied.applied,
            false => Vec::new(),
        },
        conflicts: applied.conflicts.into_iter().map(conflict).collect(),
        dry_run,
        top: job.spec.tree.display().to_string(),
        checkpoint_id,
        notices: notices(job),
    }
}

/// What one should know of a job before its changes count.
fn notices(job: &Job) -> Vec<String> {
    let mut notices = Vec::new();
    match job.end().map(|end| &end.outcome) {
        Some(Outcome::Failed(failure)) => notices.push(format!(
            "the job failed ({}): {}",
            failure.code, failure.message
        )),
        Some(Outcome::Cancelled { .. }) => notices.push("the job was cancelled".to_owned()),
        Some(Outcome::Completed) | None => {}
    }
    notices.extend(job.findings.iter().filter_map(|finding| match finding {
        Finding::Violation(violation) => Some(violation.message.clone()),
        Finding::Conflict(_) | Finding::TakenBack(_) => None,
    }));
    notices
}

fn conflict(unmerged: Unmerged) -> ApplyConflict {
    let shown = |side: &'static str, hunks: Vec<Hunk>| {
        hunks.into_iter().map(move |hunk| ApplyHunk {
            side: side.to_owned(),
            start: hunk.start,
            lines: hunk.lines,
        })
    };
    ApplyConflict {
        path: unmerged.path,
        reason: unmerged.reason,
        hunks: shown("job", unmerged.theirs)
            .chain(shown("tree", unmerged.ours))
            .collect(),
    }
}
