//! How the jobs that a job waits for stand.

use convoke_core::{ids::JobId, scheduler::Need, spec::JobSpec};
use convoke_store::StoreError;

use crate::state::Daemon;

/// The needs of a job, as far as they are settled.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Those that have not ended.
    pub open: Vec<Need>,
    /// The first that ended without completing although it must complete.
    pub failed: Option<JobId>,
}

/// The needs of a job as if none had ended: the dispatcher knows of recent ends.
#[must_use]
pub fn all_open(spec: &JobSpec) -> Standing {
    let need = |job: &JobId, must_complete| Need {
        job: job.clone(),
        must_complete,
    };
    let completing = spec.needs.iter().map(|job| need(job, true));
    let ending = spec.after.iter().map(|job| need(job, false));
    Standing {
        open: completing.chain(ending).collect(),
        failed: None,
    }
}

/// Looks the needs of a job up.
///
/// # Errors
/// The database cannot be read.
pub fn standing(daemon: &Daemon, spec: &JobSpec) -> Result<Standing, StoreError> {
    let mut standing = Standing::default();
    let needs = spec
        .needs
        .iter()
        .map(|job| (job, true))
        .chain(spec.after.iter().map(|job| (job, false)));
    let needs: Vec<(JobId, bool)> = needs.map(|(job, must)| (job.clone(), must)).collect();
    let ids: Vec<JobId> = needs.iter().map(|(job, _)| job.clone()).collect();
    for ((job, must_complete), (_, found)) in
        needs.into_iter().zip(daemon.store.job_outcomes(&ids)?)
    {
        match found {
            Some(found) if !found.ended => standing.open.push(Need { job, must_complete }),
            Some(found) if found.state == "completed" || !must_complete => {}
            Some(_) | None => standing.failed = standing.failed.or(Some(job)),
        }
    }
    Ok(standing)
}
