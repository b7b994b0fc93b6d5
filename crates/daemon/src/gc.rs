//! Forgets ended jobs: on request, and by itself as `[retention]` says.
//!
//! In doubt a job stays: one that a live job refers to, whose runner holds its
//! lock or left no record, of which processes are left, or which ended just now.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use convoke_api::{
    error::{ApiError, RequestCode},
    gc::{ForgottenJob, GcRequest, GcResponse, KeptJob},
};
use convoke_core::{
    ids::{JobId, RunnerId},
    job::Job,
    retention::{Candidate, Retention},
    runner_protocol::paths,
    spec::{Resume, Work},
};
use convoke_store::folder_bytes;

use crate::{
    api_errors, checkpoints, clock, error_chain, executor::lock, state::Daemon, workplaces,
};

/// How often the daemon looks by itself.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// When it looks for the first time.
const FIRST_LOOK: Duration = Duration::from_secs(5 * 60);

/// Jobs forgotten in one transaction.
const AT_ONCE: usize = 100;

/// Looks again and again, until the daemon ends.
pub async fn watch(daemon: Arc<Daemon>) {
    // Not at the start, when there is enough to do.
    let first = tokio::time::Instant::now() + FIRST_LOOK;
    let mut interval = tokio::time::interval_at(first, LOOK_EVERY);
    loop {
        interval.tick().await;
        match collect(&daemon, &GcRequest::default()).await {
            Ok(done) if !done.forgotten.is_empty() => {
                tracing::info!(
                    jobs = done.forgotten.len(),
                    bytes = done.freed_bytes,
                    "old jobs were forgotten, as `[retention]` says"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error.message, "old jobs could not be forgotten"),
        }
    }
}

/// Forgets what the request says, else what the configuration says.
///
/// # Errors
/// The database or the folders cannot be read or written; what was forgotten
/// before stays forgotten.
pub async fn collect(daemon: &Arc<Daemon>, request: &GcRequest) -> Result<GcResponse, ApiError> {
    let retention = retention_of(daemon, request);
    let measured = tokio::task::spawn_blocking({
        let daemon = Arc::clone(daemon);
        move || {
            let mut measured = measure(&daemon, &retention)?;
            sort_out(&daemon, &mut measured);
            Ok(measured)
        }
    });
    let measured: Result<Measured, ApiError> = measured
        .await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))?;
    let measured = measured?;
    let mut answer = GcResponse {
        dry_run: request.dry_run,
        jobs: measured.jobs,
        bytes: measured.bytes,
        kept: measured.kept,
        ..GcResponse::default()
    };
    for some in measured.chosen.chunks(AT_ONCE) {
        let gone = if request.dry_run {
            some.iter().map(|(one, _)| one.job.clone()).collect()
        } else {
            forget(daemon, some).await?
        };
        for (candidate, _) in some.iter().filter(|(one, _)| gone.contains(&one.job)) {
            answer.freed_bytes += candidate.bytes;
            answer.forgotten.push(ForgottenJob {
                job_id: candidate.job.to_string(),
                bytes: candidate.bytes,
            });
        }
    }
    Ok(answer)
}

fn retention_of(daemon: &Daemon, request: &GcRequest) -> Retention {
    let asked =
        request.max_age_ms.is_some() || request.max_jobs.is_some() || request.max_bytes.is_some();
    if !asked {
        return daemon.last_config().retention;
    }
    Retention {
        age_ms: request.max_age_ms.unwrap_or(0),
        jobs: request.max_jobs.unwrap_or(0),
        bytes: request.max_bytes.unwrap_or(0),
        // Whoever asks for it knows what has ended.
        grace_ms: 0,
    }
}

struct Measured {
    jobs: usize,
    bytes: u64,
    chosen: Vec<(Candidate, Vec<RunnerId>)>,
    /// Those of them that must stay after all, and why.
    kept: Vec<KeptJob>,
}

/// Takes out of the chosen ones those that must stay. Blocking: the states of
/// working trees are read, which others may be using.
fn sort_out(daemon: &Daemon, measured: &mut Measured) {
    for (candidate, runners) in std::mem::take(&mut measured.chosen) {
        match obstacle(daemon, &candidate.job, &runners) {
            Some(reason) => measured.kept.push(KeptJob {
                job_id: candidate.job.to_string(),
                reason,
            }),
            None => measured.chosen.push((candidate, runners)),
        }
    }
}

/// Measures every ended job and chooses. Blocking.
fn measure(daemon: &Daemon, retention: &Retention) -> Result<Measured, ApiError> {
    let of_home = |error| api_errors::of_home(&error);
    let ended = daemon
        .store
        .ended_jobs()
        .map_err(|error| api_errors::of_store(&error))?;
    let mut runners: HashMap<JobId, Vec<RunnerId>> = HashMap::new();
    for runner in daemon.home.runner_folders().map_err(of_home)? {
        if let Some((job, _)) = runner.attempt() {
            runners.entry(job).or_default().push(runner);
        }
    }
    let candidates: Vec<Candidate> = ended
        .into_iter()
        .map(|job| {
            let own = runners.get(&job.id).map(Vec::as_slice).unwrap_or_default();
            let folders = own.iter().map(|runner| daemon.home.runner_folder(runner));
            let bytes = folders
                .chain([daemon.home.job_folder(&job.id)])
                .map(|folder| folder_bytes(&folder))
                .sum();
            Candidate {
                job: job.id,
                finished_at: job.finished_at,
                bytes,
            }
        })
        .collect();
    let needed = needed(daemon);
    let (jobs, bytes) = (
        candidates.len(),
        candidates.iter().map(|candidate| candidate.bytes).sum(),
    );
    let chosen = retention.to_forget(clock::now(), candidates, &needed);
    Ok(Measured {
        jobs,
        bytes,
        kept: Vec::new(),
        chosen: chosen
            .into_iter()
            .map(|one| {
                let own = runners.remove(&one.job).unwrap_or_default();
                (one, own)
            })
            .collect(),
    })
}

/// Jobs that live ones refer to.
fn needed(daemon: &Daemon) -> HashSet<JobId> {
    let dispatcher = daemon.dispatcher();
    dispatcher.jobs().flat_map(refers_to).collect()
}

fn refers_to(job: &Job) -> Vec<JobId> {
    let spec = &job.spec;
    let resumed = match &spec.work {
        Work::Agent(work) => match &work.resume {
            Some(Resume::Job(earlier)) => Some(earlier),
            _ => None,
        },
        Work::Command { .. } => None,
    };
    let all = spec.needs.iter().chain(&spec.after).chain(&spec.parent);
    let all = all.chain(resumed).chain(spec.workspace.own());
    all.cloned().collect()
}

/// Why a job must stay, if it must.
fn obstacle(daemon: &Daemon, job: &JobId, runners: &[RunnerId]) -> Option<String> {
    if daemon.live.get(job).is_some() {
        return Some("it is not settled yet".to_owned());
    }
    if workplaces::is_undecided(daemon, job) {
        return Some(format!(
            "its changes are neither applied nor discarded: `convoke apply {job}`, `convoke discard {job}`"
        ));
    }
    if let Some(user) = workplaces::user_of(daemon, job) {
        return Some(format!("its working tree is that of job {user} too"));
    }
    if daemon.leftovers.contains(job) {
        return Some(format!(
            "processes of it are left; `convoke release {job}` lets go of them"
        ));
    }
    runners.iter().find_map(|runner| {
        let folder = daemon.home.runner_folder(runner);
        if !lock::is_free(&folder) {
            return Some(format!("runner {runner} holds its lock"));
        }
        let ran = folder.join(paths::IDENTITY).exists();
        (ran && !folder.join(paths::EXIT).exists())
            .then(|| format!("runner {runner} left no record of its end"))
    })
}

/// Forgets some jobs; those that are forgotten.
async fn forget(
    daemon: &Arc<Daemon>,
    some: &[(Candidate, Vec<RunnerId>)],
) -> Result<Vec<JobId>, ApiError> {
    let of_home = |error| api_errors::of_home(&error);
    let mut moved = Vec::new();
    for (candidate, runners) in some {
        match daemon.home.move_to_trash(&candidate.job, runners) {
            Ok(()) => moved.push(candidate.job.clone()),
            Err(error) => {
                tracing::warn!(job = %candidate.job, error = %error_chain(&error), "the job is kept");
            }
        }
    }
    crate::test_hooks::reach("moved_to_trash");
    let forgotten = daemon.store.forget(moved).await;
    crate::test_hooks::reach("forgotten");
    // Whatever was not forgotten goes back to its place.
    let gone = forgotten.as_ref().cloned().unwrap_or_default();
    let emptied = tokio::task::spawn_blocking({
        let (home, gone) = (daemon.home.clone(), gone.clone());
        move || home.empty_trash(|job| !gone.contains(job))
    });
    emptied
        .await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))?
        .map_err(of_home)?;
    forgotten.map_err(|error| api_errors::of_store(&error))?;
    if !gone.is_empty() {
        let daemon = Arc::clone(daemon);
        let _ = tokio::task::spawn_blocking(move || checkpoints::forget(&daemon)).await;
    }
    Ok(gone)
}
