//! Conflicts that are to come: what jobs did so far in working trees of their own
//! is merged, for a try, with the tree they came from and with each other.

use std::{collections::BTreeSet, path::Path};

use convoke_api::{
    changes::{Conflict, ConflictHunk, ConflictKind},
    error::ApiError,
};
use convoke_core::ids::JobId;
use convoke_workspace::{
    apply::{self, Sides, Unmerged},
    checkpoint::Checkpoint,
    overlaps::Hunk,
    private_repository::{Edge, PrivateRepository},
};

use crate::{
    changes::{of_checkpoint, of_repository},
    checkpoints,
    conflicts::name_of,
    state::Daemon,
    workplaces,
};

/// Most jobs that are tried with each other, the latest ones.
const MOST_JOBS: usize = 8;

/// What a job began with, and what it made of it so far.
struct Pending {
    job: JobId,
    base: Checkpoint,
    now: Checkpoint,
}

/// Conflicts to come among the jobs with a working tree of their own made from
/// `tree`, and of them with the tree as it is; of some of them, or all. Blocking.
///
/// # Errors
/// A tree cannot be looked at, or git cannot be run.
pub fn of_tree(
    daemon: &Daemon,
    repository: &PrivateRepository,
    tree: &Path,
    chosen: Option<&BTreeSet<String>>,
) -> Result<Vec<Conflict>, ApiError> {
    let pending = pending(daemon, repository, tree)?;
    if pending.is_empty() {
        return Ok(Vec::new());
    }
    let is_chosen = |one: &Pending| chosen.is_none_or(|chosen| chosen.contains(one.job.as_str()));
    let present = checkpoints::take(daemon, repository).map_err(|error| of_checkpoint(&error))?;
    let mut conflicts = Vec::new();
    // What collides with the tree collides with what others made of it too.
    let mut with_tree = BTreeSet::new();
    for one in &pending {
        for unmerged in try_out(repository, one, &present)? {
            with_tree.insert((one.job.clone(), unmerged.path.clone()));
            if is_chosen(one) {
                conflicts.push(conflict(unmerged, &one.job, None));
            }
        }
    }
    for (at, second) in pending.iter().enumerate() {
        for first in &pending[..at] {
            if !is_chosen(first) && !is_chosen(second) {
                continue;
            }
            for unmerged in try_out(repository, first, &second.now)? {
                let known = [first, second]
                    .map(|one| with_tree.contains(&(one.job.clone(), unmerged.path.clone())));
                if !known.contains(&true) {
                    conflicts.push(conflict(unmerged, &first.job, Some(&second.job)));
                }
            }
        }
    }
    Ok(conflicts)
}

/// The jobs, the one that began first first.
fn pending(
    daemon: &Daemon,
    repository: &PrivateRepository,
    tree: &Path,
) -> Result<Vec<Pending>, ApiError> {
    let mut known = Vec::new();
    for (job, apart) in workplaces::made_from(daemon, tree) {
        let states = repository.states_of_own_tree(job.as_str());
        let states = states.map_err(|error| of_repository(&error))?;
        if let Some(base) = states.first().cloned() {
            known.push((base, states, job, apart));
        }
    }
    known.sort_by_key(|(base, ..)| base.at);
    let surplus = known.len().saturating_sub(MOST_JOBS);
    let mut all = Vec::new();
    for (base, states, job, apart) in known.into_iter().skip(surplus) {
        let is_live = {
            let dispatcher = daemon.dispatcher();
            let mut jobs = dispatcher.jobs();
            jobs.any(|live| live.spec.workspace.own() == Some(&job))
        };
        let result = states.last().filter(|state| state.edge == Edge::Result);
        let now = match result.filter(|_| !is_live) {
            Some(result) => result.checkpoint.clone(),
            None => {
                let state = apart.state(daemon, repository, &job, &base.checkpoint);
                state.map_err(|error| of_checkpoint(&error))?
            }
        };
        all.push(Pending {
            job,
            base: base.checkpoint,
            now,
        });
    }
    Ok(all)
}

fn try_out(
    repository: &PrivateRepository,
    job: &Pending,
    ours: &Checkpoint,
) -> Result<Vec<Unmerged>, ApiError> {
    let sides = Sides {
        base: &job.base,
        theirs: &job.now,
        ours,
    };
    let planned = apply::plan(repository, sides).map_err(|error| of_repository(&error))?;
    Ok(planned.conflicts)
}

fn conflict(unmerged: Unmerged, job: &JobId, other: Option<&JobId>) -> Conflict {
    let shown = |job: &JobId, hunks: Vec<Hunk>| -> Vec<ConflictHunk> {
        let hunks = hunks.into_iter().map(|hunk| ConflictHunk {
            job_id: job.to_string(),
            start: hunk.start,
            lines: hunk.lines,
        });
        hunks.collect()
    };
    let jobs: Vec<String> = [Some(job), other]
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    let mut hunks = shown(job, unmerged.theirs);
    if let Some(other) = other {
        hunks.extend(shown(other, unmerged.ours));
    }
    Conflict {
        id: name_of(&jobs, &unmerged.path),
        kind: ConflictKind::Forecast,
        path: unmerged.path,
        job_ids: jobs,
        hunks,
        resolved: false,
    }
}
