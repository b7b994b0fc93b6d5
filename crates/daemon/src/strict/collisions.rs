//! Whether other strict jobs changed the same files while one was at work.

use std::{collections::BTreeSet, sync::Arc};

use convoke_api::{
    changes::ConflictKind,
    error::{ApiError, RequestCode},
};
use convoke_core::{
    coordination::Clash,
    dispatcher::Verdict,
    failure::{Failure, FailureCode},
    ids::JobId,
    job::Job,
    lifecycle::{JobEnd, Outcome},
    spec::Work,
};
use convoke_workspace::private_repository::PrivateRepository;

use crate::{checkpoints, conflicts, state::Daemon};

/// The verdict on an attempt of a strict job: where it did its work beside others
/// that changed the same files, it is to run again. Called once the state after it
/// is kept.
pub async fn judged(daemon: &Arc<Daemon>, job: &Job, verdict: Verdict) -> Verdict {
    let end = match verdict {
        Verdict::Settled(end) if end.outcome == Outcome::Completed && job.spec.is_strict() => end,
        other => return other,
    };
    match clash(daemon, job).await {
        Ok(None) => Verdict::Settled(end),
        Ok(Some(clash)) => Verdict::Clashed {
            end,
            clash: Box::new(clash),
        },
        Err(error) => {
            let message = format!(
                "strict coordination: it is not known whether another job changed the same files in {}: {}",
                job.spec.tree.display(),
                error.message
            );
            let outcome = Outcome::Failed(Failure::new(FailureCode::Workspace, message));
            Verdict::Settled(JobEnd { outcome, ..end })
        }
    }
}

fn is_agent(job: &Job) -> bool {
    matches!(job.spec.work, Work::Agent(_))
}

async fn clash(daemon: &Arc<Daemon>, job: &Job) -> Result<Option<Clash>, ApiError> {
    let trees = checkpoints::folder(daemon);
    if PrivateRepository::was_alone(&trees, &job.spec.tree, job.id.as_str()) {
        return Ok(None);
    }
    let found = conflicts::collisions(daemon, job).await?.ok_or_else(|| {
        ApiError::new(
            RequestCode::CheckpointMissing,
            "no state of it before the job is kept",
        )
    })?;
    let mut clash = (BTreeSet::new(), BTreeSet::new());
    for conflict in found.iter().filter(|conflict| !conflict.resolved) {
        let others = conflict.job_ids.iter().filter_map(|id| JobId::parse(id));
        for other in others.filter(|other| *other != job.id) {
            let known = daemon.job(&other).ok().flatten();
            // Programs are at work all the time: what changed twice may well be one's.
            let is_agents = |other: &Job| [other, job].iter().all(|one| is_agent(one));
            let counts = |other: &Job| {
                other.spec.is_strict()
                    && (conflict.kind != ConflictKind::Possible || is_agents(other))
            };
            if known.as_ref().is_some_and(counts) {
                clash.0.insert(other);
                clash.1.insert(conflict.path.clone());
            }
        }
    }
    let (with, paths) = clash;
    Ok((!with.is_empty()).then(|| Clash {
        with: with.into_iter().collect(),
        paths: paths.into_iter().collect(),
    }))
}
