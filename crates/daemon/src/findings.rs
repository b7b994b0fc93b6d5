//! Looks at what an attempt did besides what it told, once its processes are gone
//! and before its end is told: rules that it broke, and collisions with other
//! jobs. Both become part of the job's record, and events in its feed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use convoke_api::error::ApiError;
use convoke_core::{
    dispatcher::{Input, Verdict},
    failure::{Failure, FailureCode},
    finding::{Finding, Rule, Violation},
    job::Job,
    lifecycle::{JobEnd, JournalPoint, Outcome},
    sandbox::Sandbox,
    spec::Work,
};
use convoke_workspace::{
    git::GitError,
    history::{self, Move},
    private_repository::PrivateRepository,
};

use crate::{
    changes::{Seen, of_repository},
    checkpoints,
    config::OnViolation,
    conflicts, error_chain,
    executor::denials,
    observe,
    state::Daemon,
};

/// Keeps the state after the attempt, looks, and lets the dispatcher know; answers
/// with the rules that were broken. `point` is the end of the attempt's journal.
pub async fn look(daemon: &Arc<Daemon>, job: &Job, point: JournalPoint) -> Vec<Violation> {
    let (mut violations, ()) = tokio::join!(violations(daemon, job), async {
        checkpoints::after(daemon, job, point.attempt).await;
        conflicts::look(daemon, job, point).await;
    });
    violations.extend(scope_left(daemon, job).await);
    if !violations.is_empty() {
        let findings = violations.iter().cloned().map(Finding::Violation);
        daemon.submit(Input::Found {
            job: job.id.clone(),
            findings: findings.collect(),
            after: Some(point),
        });
    }
    violations
}

/// The verdict on an attempt that broke rules: by the user's policy it fails.
#[must_use]
pub fn judged(daemon: &Daemon, verdict: Verdict, violations: &[Violation]) -> Verdict {
    let Some(first) = violations.first() else {
        return verdict;
    };
    match verdict {
        Verdict::Settled(end)
            if end.outcome == Outcome::Completed
                && daemon.last_config().on_violation == OnViolation::Fail =>
        {
            let failure = Failure::new(
                FailureCode::Policy,
                format!("{} (`workspace.violations` is `fail`)", first.message),
            );
            Verdict::Settled(JobEnd {
                outcome: Outcome::Failed(failure),
                ..end
            })
        }
        other => other,
    }
}

async fn violations(daemon: &Arc<Daemon>, job: &Job) -> Vec<Violation> {
    if matches!(job.spec.work, Work::Command { .. }) {
        return Vec::new();
    }
    let looking = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || {
            let moved = history_moved(&daemon, &job).unwrap_or_else(|error| {
                tracing::warn!(job = %job.id, error = %error_chain(&error), "it is not known whether the job changed the history");
                None
            });
            let tried = history_tried(&daemon, &job);
            moved.into_iter().chain(tried).collect()
        }
    });
    looking.await.unwrap_or_default()
}

/// What the agent tried to do to the history, and its sandbox refused.
fn history_tried(daemon: &Daemon, job: &Job) -> Option<Violation> {
    // Its conversation may be known since this attempt began.
    let job = daemon.dispatcher().job(&job.id).cloned()?;
    let commands = denials::of_history(daemon, &job);
    (!commands.is_empty()).then(|| Violation {
        rule: Rule::History,
        message: "the agent tried to change the history of the repository, which jobs may not; its sandbox refused it".to_owned(),
        items: commands,
    })
}

fn history_moved(daemon: &Daemon, job: &Job) -> Result<Option<Violation>, GitError> {
    let Some(top) = observe::top_of(daemon, job) else {
        return Ok(None);
    };
    if !may_write_history(job, &top) {
        return Ok(None);
    }
    let Some(before) = observe::before_of(daemon, job) else {
        return Ok(None);
    };
    if before.mark.is_some() && before.mark == history::mark(&top) {
        return Ok(None);
    }
    let moves = history::moves(&before.history(), &history::read(&top)?);
    if moves.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = moves.iter().map(|one| one.name.as_str()).collect();
    Ok(Some(Violation {
        rule: Rule::History,
        message: format!(
            "the history of {} changed while the job ran, and nothing kept the job from it: {}",
            top.display(),
            names.join(", ")
        ),
        items: moves.iter().map(Move::shown).collect(),
    }))
}

/// What the job certainly changed outside of the folders it may write. Where its
/// sandbox keeps to them this finds nothing.
async fn scope_left(daemon: &Arc<Daemon>, job: &Job) -> Option<Violation> {
    if folders_of(job).is_empty() || !checkpoints::are_kept(job) {
        return None;
    }
    let _turn = checkpoints::turn(&job.spec.tree).await;
    let looking = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || changed_outside_of_scope(&daemon, &job)
    });
    let outside = match looking.await {
        Ok(Ok(outside)) => outside,
        Ok(Err(error)) => {
            tracing::warn!(job = %job.id, %error.message, "it is not known whether the job kept to its scope");
            return None;
        }
        Err(_) => return None,
    };
    let folders = folders_of(job).iter();
    let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
    (!outside.is_empty()).then(|| Violation {
        rule: Rule::Scope,
        message: format!(
            "the job changed {} outside of {}, which is all it may write",
            match outside.len() {
                1 => "a file".to_owned(),
                count => format!("{count} files"),
            },
            folders.join(", ")
        ),
        items: outside,
    })
}

/// The folders a job may write, if it said which.
fn folders_of(job: &Job) -> &[PathBuf] {
    job.spec.scope.as_ref().map_or(&[], |scope| &scope.write)
}

fn changed_outside_of_scope(daemon: &Daemon, job: &Job) -> Result<Vec<String>, ApiError> {
    let top = &job.spec.tree;
    if !PrivateRepository::exists(&checkpoints::folder(daemon), top) {
        return Ok(Vec::new());
    }
    let repository = checkpoints::open(daemon, top).map_err(|error| of_repository(&error))?;
    let seen = Seen::of(daemon, &repository, job)?;
    let found = seen.attributed(&repository, job.id.as_str())?;
    let allowed = |path: &String| {
        let scope = job.spec.scope.as_ref();
        scope.is_none_or(|scope| scope.may_write(&top.join(path)))
    };
    Ok(found
        .into_iter()
        .filter(|(path, whose)| whose.is_certain() && !allowed(path))
        .map(|(path, _)| path)
        .collect())
}

/// Whether an agent's sandbox lets it write where HEAD and the refs are. What
/// others did to them meanwhile is not its doing. A program does what the user
/// started it for.
#[must_use]
pub fn may_write_history(job: &Job, top: &Path) -> bool {
    let Work::Agent(work) = &job.spec.work else {
        return false;
    };
    match job.spec.sandbox {
        Sandbox::ReadOnly => false,
        Sandbox::DangerFullAccess => true,
        // Codex keeps `.git` of the folders that may be written, but not a folder
        // that is such a one, or lies in it, or holds it under another name.
        Sandbox::WorkspaceWrite => {
            let folders = history::folders(top);
            work.add_dirs.iter().any(|folder| {
                folders.iter().any(|(own, common)| {
                    [own, common].into_iter().any(|git| {
                        let covered = git.starts_with(folder) && !top.starts_with(folder);
                        covered || folder.starts_with(git)
                    })
                })
            })
        }
    }
}
