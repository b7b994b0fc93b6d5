//! From a request to accepted jobs: validate, bound by power, put on disk,
//! then answer.

mod baseline;
mod build;
mod check;
mod repeats;
mod scope;
mod workspace;

use std::{collections::HashMap, sync::Arc};

use convoke_api::{
    caller::Caller,
    error::{ApiError, RequestCode},
    spawn::{JobRequest, SpawnRequest, SpawnResponse, SpawnResult},
};
use convoke_core::{
    dispatcher::Input,
    event::Source,
    ids::JobId,
    job::Job,
    lifecycle::{LifecycleEvent, LifecycleRecord},
    owner::Owner,
    run::Run,
    spec::{JobSpec, Resume, Work},
};
use convoke_store::{Acceptance, NewJob};

pub use build::{Continuation, folder_of};
pub use check::{folder, is_confined};
pub use repeats::key_of;

use crate::{
    api_errors, clock, config::Config, disk_space, error_chain, lifecycle_events, live::LiveJob,
    needs, spares, state::Daemon, views,
};

/// Most jobs of one request.
const MOST_JOBS: usize = 1_000;

/// What makes a job a run.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The run; its name says which job it is to be.
    pub run: Run,
    /// What is kept of it besides its job.
    pub kept: Vec<u8>,
    /// The conversation to continue, if any.
    pub thread: Option<String>,
}

/// What a single job of a request is besides what the request says.
#[derive(Clone, Debug)]
enum Special {
    /// It goes on where another one stops.
    Continues(Continuation),
    /// It is a run.
    Run(Box<RunPlan>),
}

/// A job that is ready to be put on disk.
struct Built {
    new: NewJob,
    environment: std::collections::BTreeMap<String, String>,
    /// The work as asked for, if secrets occur in it.
    secret_work: Option<Work>,
    notices: Vec<String>,
    /// What is kept of it as a run.
    kept: Option<Vec<u8>>,
}

/// Accepts the jobs of a request; each succeeds or fails on its own.
///
/// # Errors
/// Nothing can be accepted: the request as a whole is not valid, or the state
/// cannot be written.
pub async fn spawn(daemon: &Arc<Daemon>, request: SpawnRequest) -> Result<SpawnResponse, ApiError> {
    spawn_special(daemon, request, None).await
}

/// Like [`spawn`], for a single job that is a run.
///
/// # Errors
/// As [`spawn`].
pub async fn spawn_run(
    daemon: &Arc<Daemon>,
    request: SpawnRequest,
    plan: RunPlan,
) -> Result<SpawnResponse, ApiError> {
    spawn_special(daemon, request, Some(Special::Run(Box::new(plan)))).await
}

/// Like [`spawn`], for a single job that goes on where another stops.
///
/// # Errors
/// As [`spawn`].
pub async fn spawn_continuing(
    daemon: &Arc<Daemon>,
    request: SpawnRequest,
    continuation: Option<Continuation>,
) -> Result<SpawnResponse, ApiError> {
    spawn_special(daemon, request, continuation.map(Special::Continues)).await
}

async fn spawn_special(
    daemon: &Arc<Daemon>,
    request: SpawnRequest,
    special: Option<Special>,
) -> Result<SpawnResponse, ApiError> {
    let (continuation, plan) = match special {
        None => (None, None),
        Some(Special::Continues(continuation)) => (Some(continuation), None),
        Some(Special::Run(plan)) => (None, Some(plan)),
    };
    if daemon.shutdown.is_cancelled() {
        return Err(ApiError::new(
            RequestCode::ShuttingDown,
            "the daemon is stopping and takes no new jobs",
        ));
    }
    if request.jobs.is_empty() || request.jobs.len() > MOST_JOBS {
        return Err(ApiError::invalid(format!(
            "`jobs` has {} entries; it must have 1 to {MOST_JOBS}",
            request.jobs.len()
        )));
    }
    let config = daemon
        .config()
        .map_err(|error| api_errors::of_config(&error))?;
    disk_space::check(daemon, &config)?;
    // Whoever continues a job holds it already.
    let continues = plan.as_ref().is_some_and(|plan| plan.thread.is_some());
    let has_sessions = continues || request.jobs.iter().any(|job| job.session.is_some());
    let _turns = if has_sessions && continuation.is_none() {
        Some(daemon.conversations.lock().await)
    } else {
        None
    };
    let ids = match &plan {
        Some(plan) => vec![plan.run.id.job()],
        None => new_ids(request.jobs.len())?,
    };
    let labels = labels_of(&request.jobs, &ids);
    let mut built: Vec<Result<Built, ApiError>> = Vec::with_capacity(ids.len());
    for (index, (job, id)) in request.jobs.iter().zip(&ids).enumerate() {
        let key = repeats::key_of(&request, job, index);
        let context = build::Context {
            daemon,
            config: &config,
            caller: &request.caller,
            labels: &labels,
            continuation: continuation.as_ref(),
            plan: plan.as_deref(),
            earlier_turn: earlier_turn(&built, job),
        };
        let next = build::build(&context, job, id.clone(), key).await;
        built.push(next);
    }
    refuse_circles(&ids, &mut built);
    baseline::check(daemon, &mut built).await;
    refuse_orphans(&ids, &mut built);
    accept(daemon, &config, built).await
}

/// The owner a caller stands for.
#[must_use]
pub fn owner_of(caller: &Caller) -> Owner {
    match &caller.thread {
        Some(id) => Owner::Thread { id: id.clone() },
        None if caller.client.is_empty() || caller.client == "cli" => Owner::User {
            uid: rustix::process::getuid().as_raw(),
        },
        None => Owner::Client {
            name: caller.client.clone(),
            folder: caller.folder.clone(),
        },
    }
}

fn new_ids(count: usize) -> Result<Vec<JobId>, ApiError> {
    (0..count)
        .map(|_| {
            getrandom::u64().map(JobId::from_random).map_err(|error| {
                ApiError::new(RequestCode::Internal, format!("no random numbers: {error}"))
            })
        })
        .collect()
}

fn labels_of(jobs: &[JobRequest], ids: &[JobId]) -> HashMap<String, JobId> {
    jobs.iter()
        .zip(ids)
        .filter_map(|(job, id)| Some((job.label.clone()?, id.clone())))
        .collect()
}

/// Jobs of one request that need each other in a circle could never start.
fn refuse_circles(ids: &[JobId], built: &mut [Result<Built, ApiError>]) {
    // What is left when jobs without open needs are taken away again and again.
    let mut left: Vec<usize> = (0..built.len()).filter(|i| built[*i].is_ok()).collect();
    loop {
        let open = |index: &usize| {
            let needs = built[*index]
                .as_ref()
                .map(|b| b.new.spec.needs.as_slice())
                .unwrap_or_default();
            left.iter().any(|other| needs.contains(&ids[*other]))
        };
        let still: Vec<usize> = left.iter().filter(|index| open(index)).copied().collect();
        if still.len() == left.len() {
            break;
        }
        left = still;
    }
    for index in left {
        built[index] = Err(ApiError::invalid(
            "`needs` goes round in a circle, or leads to one",
        ));
    }
}

/// The last job before this one, of the same request, in the same session.
fn earlier_turn<'a>(
    earlier: &'a [Result<Built, ApiError>],
    request: &JobRequest,
) -> Option<&'a JobId> {
    let session = request.session.as_deref()?;
    earlier
        .iter()
        .rev()
        .flatten()
        .find(|built| session_of(&built.new.spec) == Some(session))
        .map(|built| &built.new.id)
}

fn session_of(spec: &JobSpec) -> Option<&str> {
    match &spec.work {
        Work::Agent(work) => work.session.as_deref(),
        Work::Command { .. } => None,
    }
}

/// A job that needs a refused job of the same request, or is the next turn of
/// its session, is refused too.
fn refuse_orphans(ids: &[JobId], built: &mut [Result<Built, ApiError>]) {
    loop {
        let refused: Vec<&JobId> = ids
            .iter()
            .zip(built.iter())
            .filter(|(_, b)| b.is_err())
            .map(|(id, _)| id)
            .collect();
        let orphan = built.iter().position(|b| {
            b.as_ref()
                .is_ok_and(|b| waits_for(&b.new.spec).any(|n| refused.contains(&n)))
        });
        let Some(orphan) = orphan else { return };
        built[orphan] = Err(ApiError::invalid(
            "a job of this request that this one needs, or the turn before it in its session, was refused",
        ));
    }
}

async fn accept(
    daemon: &Arc<Daemon>,
    config: &Config,
    built: Vec<Result<Built, ApiError>>,
) -> Result<SpawnResponse, ApiError> {
    let mut results: Vec<Option<SpawnResult>> = Vec::with_capacity(built.len());
    let mut group = Vec::new();
    let mut waiting = Vec::new();
    for (index, built) in built.into_iter().enumerate() {
        match built {
            Err(error) => results.push(Some(refused(error))),
            Ok(built) => {
                results.push(None);
                waiting.push((index, built.new.id.clone(), built.notices));
                let home = daemon.home.clone();
                let id = built.new.id.clone();
                let created = tokio::task::spawn_blocking(move || {
                    home.create_job_folder(&id, &built.environment, built.secret_work.as_ref())?;
                    built.kept.map_or(Ok(()), |kept| home.write_run(&id, &kept))
                });
                let created = created
                    .await
                    .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))
                    .and_then(|created| created.map_err(|error| api_errors::of_home(&error)));
                if let Err(error) = created {
                    // Nothing of the request is accepted, so nothing is kept.
                    for (_, id, _) in &waiting {
                        forget_folder(daemon, id);
                    }
                    return Err(error);
                }
                group.push(built.new);
            }
        }
    }
    crate::test_hooks::reach("before_accept_commit");
    let accepted = group.clone();
    let acceptances = daemon.store.accept_all(group).await.map_err(|error| {
        for (_, id, _) in &waiting {
            forget_folder(daemon, id);
        }
        api_errors::of_store(&error)
    })?;
    crate::test_hooks::reach("after_accept_commit");
    for ((index, id, notices), acceptance) in waiting.into_iter().zip(acceptances) {
        // One that cannot be shown is told so; the others are accepted all the
        // same.
        let settled = settle(daemon, config, &id, notices, acceptance);
        results[index] = Some(settled.unwrap_or_else(refused));
    }
    write_down(daemon, accepted);
    crate::test_hooks::reach("before_accept_reply");
    Ok(SpawnResponse {
        results: results.into_iter().flatten().collect(),
    })
}

/// What is read only when the database is lost holds up no answer.
fn write_down(daemon: &Arc<Daemon>, accepted: Vec<NewJob>) {
    let home = daemon.home.clone();
    daemon.tasks.spawn_blocking(move || {
        for new in accepted {
            if let Err(error) = home.write_accepted(&new) {
                // A job that existed already has no folder of this name.
                tracing::debug!(job = %new.id, error = %error_chain(&error), "it is not written down how the job was accepted");
            }
        }
    });
    spares::refill_few(daemon);
}

fn refused(error: ApiError) -> SpawnResult {
    SpawnResult {
        job: None,
        existed: false,
        notices: Vec::new(),
        error: Some(error),
    }
}

fn forget_folder(daemon: &Daemon, id: &JobId) {
    if let Err(error) = daemon.home.remove_job_folder(id) {
        tracing::warn!(job = %id, error = %crate::error_chain(&error), "the folder of a job that was not accepted stays");
    }
}

fn settle(
    daemon: &Arc<Daemon>,
    config: &Config,
    id: &JobId,
    notices: Vec<String>,
    acceptance: Acceptance,
) -> Result<SpawnResult, ApiError> {
    match acceptance {
        Acceptance::New(job, seq) => {
            enter(daemon, *job, seq);
            let view = views::of_id(daemon, id)?;
            Ok(SpawnResult {
                job: Some(view),
                existed: false,
                notices,
                error: None,
            })
        }
        Acceptance::Existing(existing) => {
            forget_folder(daemon, id);
            let view = views::of_id(daemon, &existing)?;
            Ok(SpawnResult {
                job: Some(view),
                existed: true,
                notices,
                error: None,
            })
        }
        Acceptance::Conflict { job } => {
            forget_folder(daemon, id);
            let message =
                format!("`idempotencyKey` was used before, with other arguments, for job {job}");
            Ok(refused(
                ApiError::new(RequestCode::IdempotencyConflict, message)
                    .with_hint("use a new key for new work"),
            ))
        }
        Acceptance::QueueFull { queued, running } => {
            forget_folder(daemon, id);
            let message = format!(
                "Too many concurrent jobs: {running} run and {queued} wait, the limit `limits.queue` is {}",
                config.queue_limit
            );
            Ok(refused(ApiError::new(RequestCode::QueueFull, message).with_hint(
                "wait for jobs to end; `limits.queue`, `limits.total` and CODEX_MCP_MAX_JOBS set how many wait and run",
            )))
        }
    }
}

/// Brings an accepted job to life: its first event, then the dispatcher. The
/// job is on disk, so nothing that fails here keeps it from running; events
/// that could not be written are added by the executor.
fn enter(daemon: &Arc<Daemon>, job: Job, seq: u64) {
    let record = LifecycleRecord {
        seq,
        job: job.id.clone(),
        at: job.accepted_at,
        event: LifecycleEvent::Accepted {
            spec: Box::new(job.spec.clone()),
            owner: job.owner.clone(),
        },
    };
    match LiveJob::open(&daemon.home.job_events(&job.id)) {
        Ok(live) => {
            if let Some(event) = lifecycle_events::of_record(&record)
                && let Err(error) = live.append(Source::Lifecycle(seq), record.at, event)
            {
                tracing::error!(job = %job.id, error = %crate::error_chain(&error), "the first event could not be written");
            }
            daemon.live.insert(job.id.clone(), Arc::new(live));
        }
        Err(error) => {
            tracing::error!(job = %job.id, error = %crate::error_chain(&error), "the events of the job cannot be opened");
        }
    }
    let standing = needs::standing(daemon, &job.spec).unwrap_or_else(|error| {
        tracing::error!(job = %job.id, error = %crate::error_chain(&error), "the needs of the job could not be looked up");
        needs::all_open(&job.spec)
    });
    daemon.committed(std::slice::from_ref(&record));
    daemon.submit(Input::Accepted {
        job: Box::new(job),
        open_needs: standing.open,
        failed_need: standing.failed,
    });
}

fn waits_for(spec: &JobSpec) -> impl Iterator<Item = &JobId> {
    spec.needs.iter().chain(&spec.after)
}

/// The live jobs that work in a conversation, which a further turn there must wait for.
/// Holds as long as [`Daemon::conversations`] is held.
fn turns_of(daemon: &Daemon, thread: &str) -> Vec<JobId> {
    let is_there = |job: &&Job| {
        let resumes = |work: &Work| match work {
            Work::Agent(work) => work.resume == Some(Resume::Thread(thread.to_owned())),
            Work::Command { .. } => false,
        };
        job.thread.as_deref() == Some(thread) || resumes(&job.spec.work)
    };
    let dispatcher = daemon.dispatcher();
    dispatcher
        .jobs()
        .filter(is_there)
        .map(|job| job.id.clone())
        .collect()
}

/// The conversation a new turn of a session goes on in, and the live job it
/// must wait for: `earlier` of the same request, else the last accepted. The
/// answer holds as long as [`Daemon::conversations`] is held.
fn session_turn(
    daemon: &Daemon,
    owner: &Owner,
    session: &str,
    reset: bool,
    earlier: Option<&JobId>,
) -> Result<(Option<Resume>, Option<JobId>), ApiError> {
    let of_session = |job: &&Job| job.owner == *owner && session_of(&job.spec) == Some(session);
    let live = earlier.cloned().or_else(|| {
        daemon
            .dispatcher()
            .jobs()
            .filter(of_session)
            .max_by_key(|job| job.accepted_seq)
            .map(|job| job.id.clone())
    });
    if reset {
        return Ok((None, live));
    }
    if let Some(live) = live {
        return Ok((Some(Resume::Job(live.clone())), Some(live)));
    }
    let known = daemon
        .store
        .session(owner, session)
        .map_err(|error| api_errors::of_store(&error))?;
    Ok((
        known.and_then(|known| known.thread_id).map(Resume::Thread),
        None,
    ))
}

fn now() -> convoke_core::time::UnixMillis {
    clock::now()
}
