//! One attempt, from its committed intent or from what a restart finds, to its
//! verdict.

use std::{path::PathBuf, sync::Arc, time::Duration};

use convoke_core::{
    dispatcher::{Input, Verdict},
    failure::{Failure, FailureCode},
    ids::{JobId, RunnerId},
    job::{Job, JobState},
    lifecycle::{JobEnd, JournalPoint, Outcome},
    mask::Masker,
    runner_protocol::{ExitCause, ExitRecord, RunnerIdentity, RunnerSpec, StartFailure, paths},
    spec::Work,
};

use tokio::sync::watch;

use super::{
    denials,
    follow::{Followed, Follower},
    lock, lost,
    prepare::{self, read_exit},
    runner_process, verdict,
};
use crate::{
    checkpoints, delegate, error_chain, findings, leftovers, observe, overlays, secrets, spares,
    state::Daemon, strict, workplaces,
};

/// Starts the runner, unless one exists, and follows it to the end.
pub async fn start(daemon: Arc<Daemon>, id: JobId, attempt: u32) {
    let Some(job) = live_job(&daemon, &id, attempt) else {
        return;
    };
    if stop_requested(&daemon, &id) {
        let cause = Failure::new(FailureCode::Internal, "stopped before it started");
        return report(&daemon, &job, attempt, Verdict::NeverStarted { cause });
    }
    if let Err(failure) = workplaces::prepare(&daemon, &job).await {
        let end = JobEnd::without_process(Outcome::Failed(failure));
        return report(&daemon, &job, attempt, Verdict::Settled(end));
    }
    if let Err(failure) = strict::ready(&daemon, &job, attempt).await {
        let end = JobEnd::without_process(Outcome::Failed(failure));
        return report(&daemon, &job, attempt, Verdict::Settled(end));
    }
    // What was taken back is part of it now.
    let Some(job) = live_job(&daemon, &id, attempt) else {
        return;
    };
    let gate = watch::Sender::new(false);
    tokio::join!(
        // The runner starts meanwhile, and holds its agent.
        async {
            let (observed, kept) = (
                observe::before(&daemon, &job, attempt),
                checkpoints::before(&daemon, &job, attempt),
            );
            if observe::needs_no_program(&daemon, &job) {
                kept.await;
                observed.await;
            } else {
                tokio::join!(observed, kept);
            }
            gate.send_replace(true);
        },
        start_runner(&daemon, &job, attempt, gate.subscribe())
    );
}

/// Starts the runner and follows it; the agent is let go once `may_go` says so.
async fn start_runner(
    daemon: &Arc<Daemon>,
    job: &Job,
    attempt: u32,
    may_go: watch::Receiver<bool>,
) {
    let prepared = prepare_folder_and_spec(daemon, job, attempt).await;
    crate::test_hooks::reach("attempt_prepared");
    let launched = prepared.and_then(|(folder, spec)| {
        launch(daemon, &folder, &spec).map_err(never_started)?;
        Ok((folder, spec.socket))
    });
    spares::refill(daemon);
    delegate::started(daemon, job).await;
    match launched {
        Ok((folder, socket)) => follow(daemon, job, attempt, folder, socket, may_go).await,
        Err(verdict) => report(daemon, job, attempt, *verdict),
    }
}

/// What a runner is started from: its folder and its description.
async fn prepare_folder_and_spec(
    daemon: &Daemon,
    job: &Job,
    attempt: u32,
) -> Result<(PathBuf, RunnerSpec), Box<Verdict>> {
    let runner = RunnerId::of_attempt(&job.id, attempt);
    let folder = daemon.home.create_runner_folder(&runner);
    let folder = folder
        .map_err(|error| never_started(Failure::new(FailureCode::Internal, error_chain(&error))))?;
    crate::test_hooks::reach("runner_folder_created");
    match prepare::prepare(daemon, job, attempt).await {
        Ok(spec) => Ok((folder, spec)),
        Err(failure) => {
            let end = JobEnd::without_process(Outcome::Failed(failure));
            Err(Box::new(Verdict::Settled(end)))
        }
    }
}

fn never_started(cause: Failure) -> Box<Verdict> {
    Box::new(Verdict::NeverStarted { cause })
}

/// Takes up an attempt after a restart: its runner lives, has ended, has died,
/// or never came to be.
pub async fn adopt(daemon: Arc<Daemon>, id: JobId, attempt: u32) {
    let Some(job) = live_job(&daemon, &id, attempt) else {
        return;
    };
    let folder = daemon
        .home
        .runner_folder(&RunnerId::of_attempt(&id, attempt));
    let socket = read_socket(&folder).unwrap_or_default();
    resume_journal(&daemon, &job).await;
    let gate = watch::Sender::new(false);
    tokio::join!(
        async {
            // Before what is to be undone is undone it has not begun.
            let may_begin = job.to_undo().is_none();
            tokio::join!(observe::before_if_missing(&daemon, &job, attempt), async {
                if may_begin {
                    checkpoints::before_if_missing(&daemon, &job, attempt).await;
                }
            });
            gate.send_replace(true);
        },
        follow(&daemon, &job, attempt, folder, socket, gate.subscribe())
    );
}

/// Records again what changes in the tree, if the attempt is at work there.
async fn resume_journal(daemon: &Arc<Daemon>, job: &Job) {
    let _turn = checkpoints::turn(&job.spec.tree).await;
    let resuming = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || daemon.journals.resume(&daemon, &job)
    });
    if let Err(error) = resuming.await {
        tracing::warn!(job = %job.id, %error, "what changes in its tree is not recorded");
    }
}

fn live_job(daemon: &Daemon, id: &JobId, attempt: u32) -> Option<Job> {
    daemon
        .dispatcher()
        .job(id)
        .filter(|job| job.state.attempt() == Some(attempt))
        .cloned()
}

fn stop_requested(daemon: &Daemon, id: &JobId) -> bool {
    daemon.stop_channel(id).borrow().is_some()
}

/// Where the runner listens: as it was told, else as it says itself.
fn read_socket(folder: &std::path::Path) -> Option<PathBuf> {
    let told = read_json::<RunnerSpec>(&folder.join(paths::SPEC)).map(|spec| spec.socket);
    told.or_else(|| {
        read_json::<RunnerIdentity>(&folder.join(paths::IDENTITY)).map(|runner| runner.socket)
    })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Writes the description, takes the lock and starts the runner with it. A
/// lock that is held means that a runner lives already.
fn launch(daemon: &Daemon, folder: &std::path::Path, spec: &RunnerSpec) -> Result<(), Failure> {
    let internal =
        |error: &dyn std::error::Error| Failure::new(FailureCode::Internal, error_chain(error));
    let lock = match lock::take(folder) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Ok(()),
        Err(source) => {
            let error = runner_process::RunnerStartError::Lock {
                path: folder.to_owned(),
                source,
            };
            return Err(internal(&error));
        }
    };
    if read_exit(folder).is_some() {
        return Ok(());
    }
    crate::test_hooks::reach("lock_taken");
    runner_process::write_spec(folder, spec).map_err(|error| internal(&error))?;
    crate::test_hooks::reach("spec_written");
    runner_process::spawn(&daemon.program, folder, lock).map_err(|error| internal(&error))?;
    crate::test_hooks::reach("runner_spawned");
    Ok(())
}

async fn follow(
    daemon: &Arc<Daemon>,
    job: &Job,
    attempt: u32,
    folder: PathBuf,
    socket: PathBuf,
    may_go: watch::Receiver<bool>,
) {
    let masker = masker_when_known(daemon, &job.id).await;
    let mut follower = match Follower::open(
        Arc::clone(daemon),
        job,
        attempt,
        folder.clone(),
        socket,
        masker,
        may_go,
    ) {
        Ok(follower) => follower,
        Err(error) => {
            let failure = Failure::new(FailureCode::Internal, error_chain(&error));
            let end = JobEnd::without_process(Outcome::Failed(failure));
            return report(daemon, job, attempt, Verdict::Settled(end));
        }
    };
    match follower.run().await {
        Followed::Detached => {}
        Followed::RunnerGone => match settle(daemon, job, attempt, folder).await {
            Settled::Ended(exit) => {
                follower.read_to_end(exit.journal_len);
                forget_overlay(job, &exit);
                let point = JournalPoint {
                    attempt,
                    offset: exit.journal_len,
                };
                let (violations, (), ()) = tokio::join!(
                    findings::look(daemon, job, point),
                    keep_denied(daemon, job, follower.projection().denied()),
                    leftovers::keep(daemon, &job.id, &exit.leftovers)
                );
                let verdict = verdict::judge(
                    &exit,
                    follower.projection(),
                    &job.spec.limits,
                    output_schema(job),
                    program_name(job),
                );
                let verdict = findings::judged(daemon, verdict, &violations);
                let verdict = strict::judged(daemon, job, verdict).await;
                report(daemon, job, attempt, verdict);
            }
            Settled::NeverStarted(cause) => {
                checkpoints::after(daemon, job, attempt).await;
                report(daemon, job, attempt, Verdict::NeverStarted { cause })
            }
            Settled::Detached => {}
            Settled::Alive => Box::pin(adopt(Arc::clone(daemon), job.id.clone(), attempt)).await,
        },
    }
}

/// Has it tried out anew whether a layer is possible, where one could not be laid.
fn forget_overlay(job: &Job, exit: &ExitRecord) {
    let is_overlay = |kind: &StartFailure| *kind == StartFailure::Overlay;
    if matches!(&exit.cause, ExitCause::StartFailed { kind, .. } if is_overlay(kind)) {
        overlays::forget(&job.spec.tree);
    }
}

enum Settled {
    Ended(ExitRecord),
    NeverStarted(Failure),
    /// Another runner took the lock meanwhile.
    Alive,
    /// The daemon ends before it is known.
    Detached,
}

/// It could not be established how a runner ended.
#[derive(Debug, thiserror::Error)]
#[error("it is not known how runner {runner} ended: its folder cannot be used")]
struct SettleError {
    runner: RunnerId,
    #[source]
    source: std::io::Error,
}

/// First pause before it is tried again to establish how a runner ended;
/// doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Establishes how a runner that holds no lock ended. Tried until it succeeds:
/// an agent that ran must not be taken for one that never did.
async fn settle(daemon: &Daemon, job: &Job, attempt: u32, folder: PathBuf) -> Settled {
    if let Some(exit) = read_exit(&folder) {
        return Settled::Ended(exit);
    }
    let runner = RunnerId::of_attempt(&job.id, attempt);
    let ran = daemon.dispatcher().job(&job.id).is_some_and(|job| {
        !matches!(
            job.state,
            JobState::Starting { .. } | JobState::Stopping { .. }
        )
    });
    let mut pause = FIRST_PAUSE;
    loop {
        let blocking = tokio::task::spawn_blocking({
            let (folder, runner) = (folder.clone(), runner.clone());
            move || settle_blocking(&folder, &runner, ran)
        });
        match blocking.await {
            Ok(Ok(settled)) => return settled,
            Ok(Err(error)) => {
                tracing::error!(job = %job.id, attempt, error = %error_chain(&error), "it is tried again");
            }
            Err(error) => tracing::error!(job = %job.id, attempt, %error, "it is tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep_until(tokio::time::Instant::now() + pause) => {}
            () = daemon.shutdown.cancelled() => return Settled::Detached,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// `ran`: the agent is known to have run.
fn settle_blocking(
    folder: &std::path::Path,
    runner: &RunnerId,
    ran: bool,
) -> Result<Settled, SettleError> {
    if let Some(exit) = read_exit(folder) {
        return Ok(Settled::Ended(exit));
    }
    let unusable = |source| SettleError {
        runner: runner.clone(),
        source,
    };
    let identity = folder.join(paths::IDENTITY);
    if !identity.try_exists().map_err(unusable)? {
        if ran {
            // Somebody deleted the folder; the runner ends its agent then.
            return Ok(Settled::Ended(lost::of_deleted_folder(runner)));
        }
        return Ok(Settled::NeverStarted(Failure::new(
            FailureCode::Lost,
            "the runner ended before it started the agent",
        )));
    }
    let Some(lock) = lock::take(folder).map_err(unusable)? else {
        return Ok(Settled::Alive);
    };
    // It may have written its record between the two looks.
    if let Some(exit) = read_exit(folder) {
        return Ok(Settled::Ended(exit));
    }
    let exit = lost::settle(folder, runner, &lock).map_err(unusable)?;
    Ok(Settled::Ended(exit))
}

/// How long to wait before the environment is looked at again.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// The job's masker. Nothing the agent printed is read before it is known; it
/// stays in the journal meanwhile.
async fn masker_when_known(daemon: &Daemon, job: &JobId) -> Arc<Masker> {
    loop {
        match secrets::masker_of(daemon, job) {
            Ok(masker) => return Arc::new(masker.unwrap_or_default()),
            Err(error) => {
                tracing::error!(%job, error = %error_chain(&error), "the job is not read on until its secrets are known");
            }
        }
        tokio::time::sleep_until(tokio::time::Instant::now() + LOOK_AGAIN).await;
    }
}

fn report(daemon: &Daemon, job: &Job, attempt: u32, verdict: Verdict) {
    crate::test_hooks::reach("before_verdict");
    let verdict = masked(daemon, &job.id, verdict);
    daemon.submit(Input::AttemptOver {
        job: job.id.clone(),
        attempt,
        verdict: Box::new(verdict),
    });
}

/// The verdict without secrets: messages quote what programs printed, and
/// command lines.
fn masked(daemon: &Daemon, job: &JobId, verdict: Verdict) -> Verdict {
    if let Verdict::Settled(end) = &verdict
        && !matches!(end.outcome, Outcome::Failed(_))
        && end.leftovers.is_empty()
    {
        // There are no words in it.
        return verdict;
    }
    let Ok(Some(masker)) = secrets::masker_of(daemon, job) else {
        return verdict;
    };
    let hide = |failure: Failure| {
        Failure::new(failure.code, masker.mask_text(&failure.message)).until(failure.until)
    };
    match verdict {
        // It says nothing that a program printed.
        clashed @ Verdict::Clashed { .. } => clashed,
        Verdict::NeverStarted { cause } => Verdict::NeverStarted { cause: hide(cause) },
        Verdict::Settled(mut end) => {
            if let Outcome::Failed(failure) = end.outcome {
                end.outcome = Outcome::Failed(hide(failure));
            }
            for leftover in &mut end.leftovers {
                *leftover = masker.mask_text(leftover);
            }
            Verdict::Settled(end)
        }
    }
}

/// Keeps what the agent told of being denied; what it did not tell is looked
/// for when the job is finalised.
async fn keep_denied(daemon: &Daemon, job: &Job, denied: &[String]) {
    if !denied.is_empty() {
        denials::keep(daemon, &job.id, denied).await;
    }
}

fn output_schema(job: &Job) -> Option<&serde_json::Value> {
    match &job.spec.work {
        Work::Agent(work) => work.output_schema.as_ref(),
        Work::Command { .. } => None,
    }
}

fn program_name(job: &Job) -> &str {
    match &job.spec.work {
        Work::Agent(_) => "codex",
        Work::Command { argv } => argv.first().map_or("the command", String::as_str),
    }
}
