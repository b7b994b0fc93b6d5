//! Takes back what jobs changed: what one changed, or what all did since a
//! state.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use convoke_api::{
    caller::Caller,
    changes::{KeptBoth, RollbackRequest, RollbackResponse, SkippedPath},
    error::{ApiError, RequestCode},
};
use convoke_core::{ids::JobId, job::Job, sandbox::Sandbox};
use convoke_workspace::{
    attribution::{Attributed, Known},
    checkpoint::{self, Checkpoint},
    history,
    private_repository::{Edge, PrivateRepository},
    rollback::{self, Report, Taken},
};

use crate::{
    acceptance, api_errors,
    changes::{Seen, of_checkpoint, of_repository},
    checkpoints, clock,
    config::ceiling_of,
    error_chain, findings, observe, power, spans,
    state::Daemon,
    told, wait,
};

/// How long it is waited for the state after a job that has just ended.
const SETTLES_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Takes changes back, or says what would be done.
///
/// # Errors
/// There is no such job or state, the job is not over, the caller may not write
/// in its tree, or the tree cannot be read.
pub async fn take_back(
    daemon: &Arc<Daemon>,
    request: RollbackRequest,
) -> Result<RollbackResponse, ApiError> {
    let target = Target::of(daemon, &request)?;
    let job = daemon
        .job(&target.job)
        .map_err(|error| api_errors::of_store(&error))?
        .ok_or_else(|| api_errors::unknown_job(daemon, target.job.as_str()))?;
    let is_apart = !job.spec.workspace.is_shared();
    if target.state.is_none() && is_apart && !request.history {
        return Err(ApiError::invalid(format!(
            "job {} worked in a working tree of its own, not in {}",
            job.id,
            job.spec.tree.display()
        ))
        .with_hint(match crate::apply::settled(daemon, &job).as_deref() {
            Some("applied") => format!(
                "what was applied is taken back with `convoke rollback --to {}.apply-1.before`",
                job.id
            ),
            Some(_) => "it was discarded: there is nothing to take back".to_owned(),
            None => format!("`convoke discard {}` drops what it did", job.id),
        }));
    }
    if !request.dry_run {
        check_history(&request)?;
        check_power(
            daemon,
            &request.caller,
            &job,
            "taking back changes writes in the working tree",
        )?;
    }
    if target.state.is_none() && !job.is_over() {
        return Err(ApiError::invalid(format!(
            "job {} is not over: what it changes can be taken back when it is",
            job.id
        ))
        .with_hint(format!("stop it first: `convoke cancel {}`", job.id)));
    }
    wait::wait_for_finalised(daemon, &job.id, SETTLES_WITHIN).await;
    let _turn = checkpoints::turn(&job.spec.tree).await;
    let daemon = Arc::clone(daemon);
    let done = tokio::task::spawn_blocking(move || {
        let repository =
            checkpoints::open(&daemon, &job.spec.tree).map_err(|e| of_repository(&e))?;
        let work = Work {
            daemon: &daemon,
            repository: &repository,
            job: &job,
            dry_run: request.dry_run,
        };
        // All refs or none of them, and first: if they moved on, nothing is done.
        let refs_restored = match request.history {
            true => work.history()?,
            false => Vec::new(),
        };
        let done = match &target.state {
            // Its files are in a tree of its own.
            None if is_apart => Ok(work.answer(Report::default(), None)),
            None => work.one_job(),
            Some(state) => work.since(state),
        };
        done.map(|done| RollbackResponse {
            refs_restored,
            ..done
        })
    });
    done.await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))?
}

/// What is to be taken back.
struct Target {
    job: JobId,
    /// The state to go back to; else the changes of the job.
    state: Option<String>,
}

impl Target {
    fn of(daemon: &Daemon, request: &RollbackRequest) -> Result<Self, ApiError> {
        if request.history && request.job_id.is_none() {
            return Err(ApiError::invalid(
                "`history` goes with `jobId`: it takes back what one job did to HEAD and refs",
            ));
        }
        match (&request.job_id, &request.checkpoint_id) {
            (Some(name), None) => Ok(Self {
                job: wait::resolve(daemon, name)?
                    .ok_or_else(|| api_errors::unknown_job(daemon, name))?,
                state: None,
            }),
            (None, Some(state)) => {
                let name = state.split('.').next().unwrap_or(state);
                Ok(Self {
                    job: JobId::parse(name).ok_or_else(|| unknown_state(state))?,
                    state: Some(state.clone()),
                })
            }
            _ => Err(ApiError::invalid(
                "one of `jobId` and `checkpointId` is needed, and not both",
            )),
        }
    }
}

fn unknown_state(state: &str) -> ApiError {
    ApiError::new(
        RequestCode::CheckpointMissing,
        format!("no state `{state}` is kept"),
    )
    .with_hint("states are named after jobs: `<jobId>.before` and `<jobId>.after`, and by the answers of rollbacks")
}

/// Whoever points refs back writes in `.git`.
fn check_history(request: &RollbackRequest) -> Result<(), ApiError> {
    if request.history && acceptance::is_confined(request.caller.sandbox.map(Sandbox::from)) {
        return Err(ApiError::new(
            RequestCode::PowerExceeded,
            "`history` writes in the repository's `.git`, which the sandbox of the calling session keeps it from",
        )
        .with_hint("ask the user to run `convoke rollback JOB --history`"));
    }
    Ok(())
}

/// Whether the caller may write in the tree of a job. `what` says why that is
/// needed.
///
/// # Errors
/// It may not.
pub fn check_power(
    daemon: &Daemon,
    caller: &Caller,
    job: &Job,
    what: &str,
) -> Result<(), ApiError> {
    let config = daemon
        .config()
        .map_err(|error| api_errors::of_config(&error))?;
    let ceiling = ceiling_of(&job.spec.tree).map_err(|error| api_errors::of_config(&error))?;
    let folder = acceptance::folder_of(caller)?;
    let bounds = power::Bounds {
        caller: caller.sandbox.map(Sandbox::from),
        caller_folder: &folder,
        policy: config.max_sandbox,
        repository: ceiling.max_sandbox,
    };
    let tree = &job.spec.tree;
    if fs_err::canonicalize(tree).map_or(true, |real| real != *tree) {
        return Err(ApiError::new(
            RequestCode::PowerExceeded,
            format!("{what}: {} is gone, or leads elsewhere now", tree.display()),
        )
        .with_hint("put the folder back in its place"));
    }
    let needed = Sandbox::WorkspaceWrite;
    power::grant_sandbox(&bounds, Some(needed), needed).map_err(|mut error| {
        error.message = format!("{what}: {}", error.message);
        error
    })?;
    power::check_folder(&bounds, needed, "jobId", &job.spec.tree)
}

/// A name for what is about to write on behalf of a job: `<job>.<what>-<number>`.
///
/// # Errors
/// The states cannot be read.
pub fn free_name(
    repository: &PrivateRepository,
    job: &Job,
    what: &str,
) -> Result<String, ApiError> {
    let states = repository.states().map_err(|error| of_repository(&error))?;
    let name = |n: usize| format!("{}.{what}-{n}", job.id);
    let free = |n: &usize| !states.iter().any(|state| state.writer == name(*n));
    Ok(name((1..).find(free).unwrap_or(1)))
}

#[derive(Clone, Copy)]
struct Work<'a> {
    daemon: &'a Arc<Daemon>,
    repository: &'a PrivateRepository,
    job: &'a Job,
    dry_run: bool,
}

impl Work<'_> {
    /// Points refs back where they were before the job; answers which.
    fn history(&self) -> Result<Vec<String>, ApiError> {
        let is_program = matches!(self.job.spec.work, convoke_core::spec::Work::Command { .. });
        if !is_program && !findings::may_write_history(self.job, &self.job.spec.tree) {
            return Err(ApiError::invalid(format!(
                "the sandbox of job {} kept it from the history: what changed there was not its doing",
                self.job.id
            ))
            .with_hint("leave `history` out, or use git yourself"));
        }
        let seen = observe::snapshots(self.daemon, self.job);
        let (before, after) = seen.ok_or_else(|| {
            ApiError::new(
                RequestCode::CheckpointMissing,
                format!(
                    "where HEAD and the refs of {} pointed around job {} is not known",
                    self.job.spec.tree.display(),
                    self.job.id
                ),
            )
            .with_hint("`git reflog` shows where they pointed")
        })?;
        let mut moves = history::moves(&before.history(), &after.history());
        let is_apart = !self.job.spec.workspace.is_shared();
        // A working tree of its own has a HEAD of its own.
        moves.retain(|one| !is_apart || one.name != "HEAD");
        // What points where it did already is not to be moved.
        let now = history::read(&self.job.spec.tree).map_err(|error| {
            ApiError::new(RequestCode::StateUnavailable, error_chain(&error))
                .with_hint("nothing was changed")
        })?;
        moves.retain(|one| now.at(&one.name) != one.from);
        if !self.dry_run {
            // What keeps the files from being taken back is found out first.
            let tried = Work {
                dry_run: true,
                ..*self
            };
            if !is_apart {
                tried.one_job()?;
            }
            history::undo(&self.job.spec.tree, &moves).map_err(|error| {
                ApiError::new(RequestCode::StateUnavailable, error_chain(&error))
                    .with_hint("no file was changed; what moved on since must be put right by hand")
            })?;
        }
        Ok(moves.iter().map(|one| one.back().shown()).collect())
    }

    /// Takes back what the job alone changed.
    fn one_job(&self) -> Result<RollbackResponse, ApiError> {
        let seen = Seen::of(self.daemon, self.repository, self.job)?;
        if !seen.is_settled {
            return Err(ApiError::new(
                RequestCode::CheckpointMissing,
                format!("the state after job {} is not kept, so that its changes cannot be told from later ones", self.job.id),
            )
            .with_hint(format!("`convoke rollback --to {}` goes back to the state before it", seen.before.id)));
        }
        let found = seen.attributed(self.repository, self.job.id.as_str())?;
        let (before, after) = (&seen.before.checkpoint, &seen.end);
        self.perform(before, after, |path| may(found.get(path)))
    }

    /// Takes back what jobs changed since a state.
    fn since(&self, name: &str) -> Result<RollbackResponse, ApiError> {
        let states = self
            .repository
            .states()
            .map_err(|error| of_repository(&error))?;
        let place = states
            .iter()
            .position(|state| state.id == name)
            .ok_or_else(|| unknown_state(name))?;
        let now = self.now()?;
        let writing = spans::writing_at(&states[..place]);
        let spans = spans::between(self.repository, (place, &states[place..]), &writing, &now)
            .map_err(|error| of_repository(&error))?;
        // By path, whether a writer and whether nobody known changed it.
        let mut by: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
        let still_written = !spans::writing_at(&states).is_empty();
        let last = states.len() - 1;
        let settled = spans.iter().filter(|one| still_written || one.at < last);
        let mut known = Known {
            top: self.repository.top().to_owned(),
            ..Known::default()
        };
        let writers = spans.iter().flat_map(|one| one.span.writers.iter());
        for writer in writers.collect::<BTreeSet<_>>() {
            told::note(self.daemon, writer, &mut known);
        }
        for span in settled.map(|one| &one.span) {
            for (path, steps) in &span.changed {
                for step in steps {
                    let whose = known.whose(span, path, step);
                    let (writer, nobody) = by.entry(path).or_default();
                    *writer |= !whose.writers.is_empty();
                    *nobody |= whose.writers.is_empty();
                }
            }
        }
        // What came after the last writer are later edits.
        let after = match (still_written, states.last()) {
            (false, Some(last)) => last.checkpoint.clone(),
            _ => now,
        };
        self.perform(&states[place].checkpoint, &after, |path| {
            match by.get(path) {
                Some((true, false)) => Ok(()),
                Some((true, true)) => Err("both jobs and others changed it since".to_owned()),
                _ => Err("no job changed it".to_owned()),
            }
        })
    }

    fn now(&self) -> Result<Checkpoint, ApiError> {
        checkpoints::take(self.daemon, self.repository).map_err(|error| of_checkpoint(&error))
    }

    fn perform(
        &self,
        before: &Checkpoint,
        after: &Checkpoint,
        may: impl Fn(&str) -> Result<(), String>,
    ) -> Result<RollbackResponse, ApiError> {
        let failed = |error| of_repository(&error);
        if !checkpoint::is_whole(self.repository, &before.tree).map_err(failed)? {
            return Err(ApiError::new(
                RequestCode::CheckpointMissing,
                "objects of the state are missing in its repository: it cannot be gone back to",
            ));
        }
        let now = self.now()?;
        let states = Taken {
            before,
            after,
            now: &now,
        };
        let suffix = format!("before-{}", self.job.id);
        if self.dry_run {
            let report = rollback::take_back(self.repository, states, &suffix, true, may);
            return Ok(self.answer(report.map_err(failed)?, None));
        }
        let writer = free_name(self.repository, self.job, "rollback")?;
        let keep = |edge, checkpoint| {
            let at = clock::now().0;
            let kept = self.repository.keep(&writer, (edge, 1), at, checkpoint);
            kept.map_err(failed)
        };
        let record = |edge, checkpoint: &dyn Fn() -> Checkpoint| {
            checkpoints::record(self.daemon, self.repository, || keep(edge, checkpoint()))
        };
        let undo = record(Edge::Before, &|| now.clone())?;
        let report = rollback::take_back(self.repository, states, &suffix, false, may);
        // Kept also when it ended half-way: it can be undone.
        record(Edge::After, &|| self.now().unwrap_or_else(|_| now.clone()))?;
        Ok(self.answer(report.map_err(failed)?, Some(undo)))
    }

    fn answer(&self, report: Report, checkpoint_id: Option<String>) -> RollbackResponse {
        RollbackResponse {
            dry_run: self.dry_run,
            top: self.repository.top().display().to_string(),
            restored: report.restored,
            kept_both: report
                .kept_both
                .into_iter()
                .map(|kept| KeptBoth {
                    path: kept.path,
                    copy: kept.copy,
                })
                .collect(),
            skipped: report
                .skipped
                .into_iter()
                .map(|left| SkippedPath {
                    path: left.path,
                    reason: left.reason,
                })
                .collect(),
            refs_restored: Vec::new(),
            checkpoint_id,
        }
    }
}

/// Whether a path is the job's alone.
fn may(attributed: Option<&Attributed>) -> Result<(), String> {
    match attributed {
        Some(found) if found.is_certain() => Ok(()),
        Some(found) if found.with.is_empty() && found.is_unseen => {
            Err("nobody watched when it changed: it may be somebody else's".to_owned())
        }
        Some(found) if found.with.is_empty() => {
            Err("somebody who is no job changed it too".to_owned())
        }
        Some(found) => {
            let others: Vec<&str> = found.with.iter().map(String::as_str).collect();
            Err(format!("it may be the change of {} too", others.join(", ")))
        }
        None => Err("the job did not change it".to_owned()),
    }
}
