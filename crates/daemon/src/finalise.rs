//! What follows the end of a job: its session, the last of its events, the state
//! after, the removal of its secrets, the hook. Done once, and again after a
//! crash in between.

use std::{sync::Arc, time::Duration};

use convoke_core::{
    ids::{JobId, RunnerId},
    job::{Job, JobState},
    lifecycle::Outcome,
    spec::Work,
};
use convoke_store::Session;

use crate::{
    checkpoints, delegate, error_chain, executor::denials, hook, live::LiveJob, observe, rebuild,
    rebuild::RebuildError, scope_folders, scrub, secrets, state::Daemon,
};

/// First pause after events could not be written; doubled up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Finalises a job in a task of its own, unless that is under way.
pub fn start(daemon: &Arc<Daemon>, id: JobId) {
    if daemon
        .live
        .get(&id)
        .is_some_and(|live| !live.begin_finalising())
    {
        return;
    }
    let daemon = Arc::clone(daemon);
    daemon.tasks.clone().spawn(async move {
        let job = match daemon.store.job(&id) {
            Ok(Some(job)) => job,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(job = %id, error = %error_chain(&error), "a job that ended cannot be read");
                return;
            }
        };
        keep_session(&daemon, &job).await;
        if !complete_events(&daemon, &job).await {
            // The daemon ends; the next one finalises the job.
            return;
        }
        finalise(&daemon, &job).await;
        if let Some(live) = daemon.live.get(&id) {
            live.set_finalised();
        }
        daemon.live.remove(&id);
        hook::run(&daemon, &job).await;
        daemon.finalised.notify_one();
    });
}

async fn finalise(daemon: &Arc<Daemon>, job: &Job) {
    if job.attempts > 0 {
        tokio::join!(
            observe::after(daemon, job),
            checkpoints::after(daemon, job, job.attempts),
            denials::complete(daemon, job)
        );
    }
    scope_folders::remove_empty(daemon, job);
    // While secrets are told from other words.
    let is_complete = delegate::complete(daemon, job).await;
    crate::test_hooks::reach("before_scrub");
    if !remove_secrets(daemon, job).await || !is_complete {
        return;
    }
    crate::test_hooks::reach("secrets_removed");
    if let Err(error) = daemon.store.set_finalised(&job.id).await {
        tracing::warn!(job = %job.id, error = %error_chain(&error), "the job is finalised again at the next start");
    }
}

/// Sees to it that the event file holds all events, however long the disk takes
/// to have room for them; `false` if the daemon ends before. Once the job is
/// finalised nobody looks for missing events any more.
async fn complete_events(daemon: &Arc<Daemon>, job: &Job) -> bool {
    let mut pause = FIRST_PAUSE;
    loop {
        let completing = tokio::task::spawn_blocking({
            let (daemon, job) = (Arc::clone(daemon), job.clone());
            move || complete_events_now(&daemon, &job)
        });
        match completing.await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => {
                tracing::error!(job = %job.id, error = %error_chain(&error), "the events of the job are not all written; it is tried again");
            }
            Err(error) => {
                tracing::error!(job = %job.id, %error, "the events of the job are not all written; it is tried again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(tokio::time::Instant::now() + pause) => {}
            () = daemon.shutdown.cancelled() => return false,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn complete_events_now(daemon: &Daemon, job: &Job) -> Result<(), RebuildError> {
    let live = match daemon.live.get(&job.id) {
        Some(live) if !live.is_incomplete() => {
            return live.write_out().map_err(RebuildError::Events);
        }
        Some(live) => live,
        None => {
            let path = daemon.home.job_events(&job.id);
            Arc::new(LiveJob::open(&path).map_err(RebuildError::Events)?)
        }
    };
    // What could not be written would only be in the way.
    live.events().truncate_to(0).map_err(RebuildError::Events)?;
    rebuild::ensure(daemon, job, &live)?;
    live.set_incomplete(false);
    live.write_out().map_err(RebuildError::Events)
}

/// A session goes on in the conversation of its last turn that had one.
async fn keep_session(daemon: &Daemon, job: &Job) {
    let Work::Agent(work) = &job.spec.work else {
        return;
    };
    let (Some(id), Some(thread)) = (&work.session, &job.thread) else {
        return;
    };
    let known = daemon.store.session(&job.owner, id).ok().flatten();
    let goes_on = known
        .as_ref()
        .is_some_and(|session| session.thread_id.as_deref() == Some(thread));
    // Stamped with the end of the turn, so that a turn whose end is finalised
    // again is known.
    let ended_at = match &job.state {
        JobState::Ended { at, .. } => *at,
        _ => return,
    };
    if known
        .as_ref()
        .is_some_and(|session| session.last_accessed_at >= ended_at)
    {
        return;
    }
    let completed = matches!(job.end().map(|end| &end.outcome), Some(Outcome::Completed));
    let turns = known
        .as_ref()
        .filter(|_| goes_on)
        .map_or(0, |session| session.turn_count);
    let session = Session {
        owner: job.owner.clone(),
        id: id.clone(),
        thread_id: Some(thread.clone()),
        created_at: known
            .filter(|_| goes_on)
            .map_or(job.accepted_at, |session| session.created_at),
        last_accessed_at: ended_at,
        turn_count: turns + u64::from(completed),
        model: work.model.clone(),
    };
    if let Err(error) = daemon.store.save_session(session).await {
        tracing::warn!(job = %job.id, session = id, error = %error_chain(&error), "the session was not kept");
    }
}

/// Blanks the secrets in the journals, then deletes the environment; whether
/// both succeeded.
async fn remove_secrets(daemon: &Arc<Daemon>, job: &Job) -> bool {
    let daemon = Arc::clone(daemon);
    let (id, attempts) = (job.id.clone(), job.attempts);
    let removed = tokio::task::spawn_blocking(move || {
        let masker = match secrets::masker_of(&daemon, &id) {
            Ok(Some(masker)) => masker,
            // Deleted before a crash: the journals were blanked before that.
            Ok(None) => return true,
            Err(error) => {
                tracing::error!(job = %id, error = %error_chain(&error), "secrets in the journal could not be blanked");
                return false;
            }
        };
        for attempt in 1..=attempts {
            let folder = daemon
                .home
                .runner_folder(&RunnerId::of_attempt(&id, attempt));
            if let Err(error) = scrub::runner_folder(&folder, &masker) {
                tracing::error!(job = %id, attempt, %error, "secrets in the journal could not be blanked");
                return false;
            }
        }
        crate::test_hooks::reach("journals_blanked");
        match daemon.home.delete_env(&id) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(job = %id, error = %error_chain(&error), "the environment could not be deleted");
                false
            }
        }
    });
    removed.await.unwrap_or(false)
}
