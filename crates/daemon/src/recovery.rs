//! What a start finds: takes up every job that is not settled.

use std::sync::Arc;

use convoke_core::{dispatcher::Input, ids::JobId, job::Job};
use convoke_store::StoreError;

use crate::{
    damage, error_chain, executor, finalise, leftovers, live::LiveJob, needs, rebuild,
    state::Daemon,
};

/// Jobs found that have a live attempt.
#[derive(Debug, Default)]
pub struct Found {
    attempts: Vec<(JobId, u32)>,
    /// Jobs in line that can never start.
    hopeless: Vec<(Job, needs::Standing)>,
    /// Jobs whose end was the last thing done. Read before anything is started:
    /// what ends from then on is finalised by its end.
    ended: Vec<JobId>,
}

/// Restores every job that is not over, so that requests can be served. Their
/// attempts are taken up by [`adopt`].
///
/// # Errors
/// The database cannot be read.
pub async fn restore(daemon: &Arc<Daemon>) -> Result<Found, StoreError> {
    repair_unreadable(daemon).await?;
    let mut found = Found {
        ended: daemon.store.unfinalised()?,
        ..Found::default()
    };
    let last_seq = daemon.store.last_seq()?;
    if let Some(last) = daemon
        .store
        .records_after(last_seq.saturating_sub(1), 1)?
        .first()
    {
        daemon.dispatcher().restore_clock(last.at);
    }
    for job in daemon.store.live_jobs()?.jobs {
        open_events(daemon, &job);
        if let Some(attempt) = job.state.attempt() {
            found.attempts.push((job.id.clone(), attempt));
            if let convoke_core::job::JobState::Stopping { reason, force, .. } = job.state {
                let stop = crate::state::StopCommand { reason, force };
                daemon.stop_channel(&job.id).send_replace(Some(stop));
            }
        }
        let standing = needs::standing(daemon, &job.spec)?;
        match standing.failed {
            // Accepted, and not yet ended for its need, when the daemon died.
            Some(_) if job.state.attempt().is_none() => found.hopeless.push((job, standing)),
            _ => daemon.dispatcher().restore(job, standing.open),
        }
    }
    leftovers::restore(daemon)?;
    daemon.last_record.send_replace(last_seq);
    Ok(found)
}

/// Live jobs whose records cannot be read get new ones from their folders.
async fn repair_unreadable(daemon: &Daemon) -> Result<(), StoreError> {
    for (job, why) in daemon.store.live_jobs()?.unreadable {
        let found = format!("the records of job {job} cannot be read: {why}");
        let done = match daemon.store.repair_job(&daemon.home, &job).await {
            Ok(true) => "they were built anew from the folders of the job".to_owned(),
            Ok(false) => "the job is left aside: its `job.json` cannot be read either".to_owned(),
            Err(error) => format!("the job is left aside: {}", error_chain(&error)),
        };
        damage::report(&daemon.home, &found, &done);
    }
    Ok(())
}

/// Takes up the attempts that were found, finalises jobs whose end was the
/// last thing done, and starts what can start.
pub fn adopt(daemon: &Arc<Daemon>, found: Found) {
    for (job, standing) in found.hopeless {
        daemon.submit(Input::Accepted {
            job: Box::new(job),
            open_needs: standing.open,
            failed_need: standing.failed,
        });
    }
    for (job, attempt) in found.attempts {
        executor::adopt(daemon, job, attempt);
    }
    for id in found.ended {
        if let Ok(Some(job)) = daemon.store.job(&id) {
            open_events(daemon, &job);
            if let Some(live) = daemon.live.get(&id) {
                live.set_ended();
            }
        }
        finalise::start(daemon, id);
    }
    daemon.submit(Input::Tick);
    let sweeper = Arc::clone(daemon);
    daemon
        .tasks
        .spawn_blocking(move || forget_unaccepted(&sweeper));
}

fn open_events(daemon: &Arc<Daemon>, job: &Job) {
    let live = match LiveJob::open(&daemon.home.job_events(&job.id)) {
        Ok(live) => live,
        Err(error) => {
            tracing::error!(job = %job.id, error = %error_chain(&error), "the events of the job cannot be opened");
            return;
        }
    };
    match rebuild::ensure(daemon, job, &live) {
        Ok(true) => live.set_rebuilt(),
        Ok(false) => {}
        Err(error) => {
            tracing::error!(job = %job.id, error = %error_chain(&error), "the events of the job are not complete");
            live.set_incomplete(true);
            live.set_unwritten();
        }
    }
    daemon.live.insert(job.id.clone(), Arc::new(live));
}

/// Deletes folders of jobs that were never accepted: the daemon died between
/// making the folder and the commit, and nobody was told the id.
fn forget_unaccepted(daemon: &Daemon) {
    let known = |job: &JobId| {
        // Not known for sure counts as known.
        let standings = daemon.store.job_outcomes(std::slice::from_ref(job));
        standings.map_or(true, |found| found.iter().any(|(_, found)| found.is_some()))
    };
    if let Err(error) = daemon.home.empty_trash(known) {
        tracing::warn!(error = %error_chain(&error), "folders of forgotten jobs stay");
    }
    let Ok(folders) = daemon.home.job_folders() else {
        return;
    };
    for chunk in folders.chunks(500) {
        let Ok(known) = daemon.store.job_outcomes(chunk) else {
            return;
        };
        for (id, standing) in known {
            // A folder made since the start belongs to a request under way.
            let old = fs_err::metadata(daemon.home.job_folder(&id))
                .and_then(|meta| meta.modified())
                .is_ok_and(|at| convoke_core::time::UnixMillis::of(at) < daemon.started_at);
            if standing.is_none()
                && old
                && let Err(error) = daemon.home.remove_job_folder(&id)
            {
                tracing::warn!(job = %id, error = %error_chain(&error), "the folder of a job that was not accepted stays");
            }
        }
    }
}
