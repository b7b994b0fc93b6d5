//! Jobs as the API shows them.

use std::path::PathBuf;

use convoke_api::{
    changes::{KeptBoth, SkippedPath, WorkspaceKind},
    coordination::{Coordination, Rerun},
    error::ApiError,
    job::{
        AttemptView, ConflictNote, JobView, LimitsView, LivenessView, ProcessView, QueueView,
        ViolationView,
    },
    spawn::Scope,
    values::State,
};
use convoke_core::{
    failure::FailureCode,
    finding::Finding,
    ids::JobId,
    job::{Job, JobState},
    lifecycle::Outcome,
    scheduler::Blocked,
    spec::{AgentTask, ReviewTarget, Work, Workspace},
    time::UnixMillis,
};

use crate::{api_errors, apply, clock, liveness, state::Daemon, workplaces};

/// Characters of a prompt shown as the summary.
const SUMMARY: usize = 200;

/// The job with this id.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn of_id(daemon: &Daemon, id: &JobId) -> Result<JobView, ApiError> {
    let job = daemon
        .job(id)
        .map_err(|error| api_errors::of_store(&error))?;
    job.map(|job| of_job(daemon, &job))
        .ok_or_else(|| api_errors::unknown_job(daemon, id.as_str()))
}

/// A job as shown.
#[must_use]
pub fn of_job(daemon: &Daemon, job: &Job) -> JobView {
    let end = job.end();
    let (kind, model) = match &job.spec.work {
        Work::Agent(work) => ("agent", work.model.clone()),
        Work::Command { .. } => ("command", None),
    };
    let mut view = JobView {
        job_id: job.id.to_string(),
        kind: kind.to_owned(),
        agent: job.spec.work.agent().to_owned(),
        state: State::parse(job.state.name()).unwrap_or(State::Queued),
        label: job.spec.label.clone(),
        working_directory: job.spec.working_directory.display().to_string(),
        sandbox: job.spec.sandbox.into(),
        access: job.spec.access.into(),
        workspace: workspace(job),
        coordination: coordination(job),
        worktree: workplaces::existing(daemon, job)
            .map(|apart| apart.folder().display().to_string()),
        worktree_decision: apply::settled(daemon, job),
        scope: job.spec.scope.as_ref().map(scope),
        model,
        summary: summary(&job.spec.work),
        accepted_at: job.accepted_at.to_rfc3339(),
        started_at: job.started_at.map(|at| at.to_rfc3339()),
        finished_at: match &job.state {
            JobState::Ended { at, .. } => Some(at.to_rfc3339()),
            _ => None,
        },
        attempts: job.attempts,
        max_attempts: job.spec.retry.attempts,
        attempt_history: attempts(job),
        thread: job.thread.clone(),
        parent_job_id: job.spec.parent.as_ref().map(ToString::to_string),
        needs: job.spec.needs.iter().map(ToString::to_string).collect(),
        queue: queue(daemon, job),
        process: process(daemon, job),
        liveness: liveness::of_job(daemon, job).map(|liveness| LivenessView {
            verdict: liveness.verdict.as_str().to_owned(),
            since: liveness.since.to_rfc3339(),
            reasons: liveness.reasons,
        }),
        exit_code: end.and_then(|end| end.exit_code),
        exit_signal: end.and_then(|end| end.exit_signal),
        code: None,
        message: None,
        hint: None,
        retryable: false,
        leftovers: end.map(|end| end.leftovers.clone()).unwrap_or_default(),
        holds_tree: end.is_some() && daemon.leftovers.contains(&job.id),
        violations: violations(job),
        conflicts: conflicts(job),
        reruns: reruns(job),
        limits: LimitsView {
            timeout_ms: job.spec.limits.wall_ms,
            idle_timeout_ms: job.spec.limits.idle_ms,
            first_event_timeout_ms: job.spec.limits.first_event_ms,
            output_limit_bytes: job.spec.limits.output_bytes,
        },
        owner: job.owner.to_string(),
        run_id: job.spec.run.as_ref().map(|run| run.id.to_string()),
        run_dir: job
            .spec
            .run
            .as_ref()
            .map(|run| run.folder.display().to_string()),
    };
    match end.map(|end| &end.outcome) {
        Some(Outcome::Failed(failure)) => {
            view.code = Some(failure.code.as_str().to_owned());
            view.message = Some(failure.message.clone());
            view.hint = Some(failure.code.hint().to_owned());
            view.retryable = failure.code.retryable();
        }
        Some(Outcome::Cancelled { reason }) => view.code = Some(reason.as_str().to_owned()),
        Some(Outcome::Completed) | None => {}
    }
    view
}

/// Where a job works.
#[must_use]
pub fn workspace(job: &Job) -> WorkspaceKind {
    match job.spec.workspace {
        Workspace::Shared => WorkspaceKind::Shared,
        Workspace::Worktree { .. } => WorkspaceKind::Worktree,
        Workspace::Overlay { .. } => WorkspaceKind::Overlay,
    }
}

/// What a job expects of a tree that it shares.
#[must_use]
pub fn coordination(job: &Job) -> Coordination {
    match job.spec.coordination.is_dirty() {
        true => Coordination::Dirty,
        false => Coordination::Strict,
    }
}

/// A scope as shown, and asked for.
#[must_use]
pub fn scope(scope: &convoke_core::scope::Scope) -> Scope {
    let shown = |folders: &[PathBuf]| {
        let folders = folders.iter();
        folders.map(|folder| folder.display().to_string()).collect()
    };
    Scope {
        write: shown(&scope.write),
        read: shown(&scope.read),
    }
}

fn violations(job: &Job) -> Vec<ViolationView> {
    let found = job.findings.iter().filter_map(|finding| match finding {
        Finding::Violation(violation) => Some(ViolationView {
            rule: violation.rule.as_str().to_owned(),
            message: violation.message.clone(),
            items: violation.items.clone(),
        }),
        Finding::Conflict(_) | Finding::TakenBack(_) => None,
    });
    found.collect()
}

fn conflicts(job: &Job) -> Vec<ConflictNote> {
    // What could not be told apart is still there.
    let last = |finding: &Finding| matches!(finding, Finding::TakenBack(taken) if taken.inseparable.is_empty());
    let undone = job.findings.iter().rposition(last).unwrap_or(0);
    let found = job.findings.iter().enumerate();
    let found = found.filter_map(|(at, finding)| match finding {
        Finding::Conflict(conflict) => Some(ConflictNote {
            id: conflict.id.clone(),
            kind: conflict.kind.clone(),
            path: conflict.path.clone(),
            job_ids: conflict.jobs.iter().map(ToString::to_string).collect(),
            resolved: at < undone,
        }),
        Finding::Violation(_) | Finding::TakenBack(_) => None,
    });
    found.collect()
}

fn reruns(job: &Job) -> Vec<Rerun> {
    let taken = job.findings.iter().filter_map(|finding| match finding {
        Finding::TakenBack(taken) => Some(taken),
        _ => None,
    });
    taken
        .map(|taken| Rerun {
            attempt: taken.attempt,
            job_ids: taken.jobs.iter().map(ToString::to_string).collect(),
            message: taken.to_string(),
            restored: taken.restored.clone(),
            kept_both: taken
                .kept_both
                .iter()
                .map(|kept| KeptBoth {
                    path: kept.path.clone(),
                    copy: kept.copy.clone(),
                })
                .collect(),
            skipped: taken
                .left
                .iter()
                .map(|left| SkippedPath {
                    path: left.path.clone(),
                    reason: left.reason.clone(),
                })
                .collect(),
            checkpoint_id: taken.checkpoint.clone(),
        })
        .collect()
}

fn summary(work: &Work) -> String {
    let text = match work {
        Work::Command { argv } => argv.join(" "),
        Work::Agent(work) => match &work.task {
            AgentTask::Prompt { prompt } => prompt.clone(),
            AgentTask::Review { target, .. } => match target {
                ReviewTarget::Uncommitted => "review of uncommitted changes".to_owned(),
                ReviewTarget::Base { branch } => format!("review of changes against {branch}"),
                ReviewTarget::Commit { sha } => format!("review of commit {sha}"),
                ReviewTarget::Custom { prompt } => format!("review: {prompt}"),
            },
        },
    };
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.chars().take(SUMMARY).collect()
}

fn process(daemon: &Daemon, job: &Job) -> Option<ProcessView> {
    job.state.attempt()?;
    let live = daemon.live.get(&job.id)?;
    let process = live.process();
    Some(ProcessView {
        pid: process.as_ref().map(|process| process.pid),
        containment: process.map_or_else(|| "none".to_owned(), |process| process.containment),
        last_output_at: live.output().last_at.map(|at| at.to_rfc3339()),
    })
}

fn queue(daemon: &Daemon, job: &Job) -> Option<QueueView> {
    if !matches!(job.state, JobState::Queued { .. }) {
        return None;
    }
    let (blocked, position) = daemon.dispatcher().why_queued(&job.id, clock::now())?;
    let tree = job.spec.tree.display();
    let (reason, message) = match &blocked {
        Blocked::Total { cap } => (
            "cap",
            format!(
                "{}, the most this daemon runs at once (`limits.total`)",
                run(*cap, "job")
            ),
        ),
        Blocked::Readers { cap } => (
            "cap",
            format!(
                "{} in {tree}, the most in one tree (`limits.readers`, CONVOKE_K_READ)",
                run(*cap, "reader")
            ),
        ),
        Blocked::Writers { cap } => (
            "cap",
            format!(
                "{} in {tree}, the most in one tree (`limits.writers`, CONVOKE_K_WRITE)",
                run(*cap, "writer")
            ),
        ),
        Blocked::Owner { cap } => (
            "cap",
            format!(
                "{} for this caller, the most it may have (CODEX_MCP_MAX_JOBS)",
                run(*cap, "job")
            ),
        ),
        Blocked::Scope { jobs } => {
            let jobs: Vec<&str> = jobs.iter().map(JobId::as_str).collect();
            (
                "scope",
                format!(
                    "folders that it may write are those of {} (`scope`)",
                    jobs.join(", ")
                ),
            )
        }
        Blocked::Conflict { jobs } => {
            let jobs: Vec<&str> = jobs.iter().map(JobId::as_str).collect();
            (
                "conflict",
                format!(
                    "strict jobs run again in {tree}, one after the other, because they changed the same files; this one waits for {}",
                    jobs.join(", ")
                ),
            )
        }
        Blocked::Needs { jobs } => {
            let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
            ("needs", format!("it waits for {}", jobs.join(", ")))
        }
        Blocked::BackOff { until } => paused(job, until),
    };
    let message = message + &held_by_leftovers(daemon, &job.id, &blocked);
    let until = match blocked {
        Blocked::BackOff { until } => Some(until.to_rfc3339()),
        _ => None,
    };
    Some(QueueView {
        reason: reason.to_owned(),
        until,
        position: u32::try_from(position).unwrap_or(u32::MAX),
        message,
    })
}

/// That ended jobs are among those that take the tree, if so.
fn held_by_leftovers(daemon: &Daemon, job: &JobId, blocked: &Blocked) -> String {
    let by_others = matches!(
        blocked,
        Blocked::Readers { .. } | Blocked::Writers { .. } | Blocked::Scope { .. }
    );
    if !by_others {
        return String::new();
    }
    let left = daemon.dispatcher().left_in_tree_of(job);
    let Some(first) = left.first() else {
        return String::new();
    };
    let left: Vec<&str> = left.iter().map(JobId::as_str).collect();
    format!(
        "; processes are left of {}, which has ended: end them, or `convoke release {first}`",
        left.join(", ")
    )
}

/// Why a job pauses that has failed before, and until when.
fn paused(job: &Job, until: &UnixMillis) -> (&'static str, String) {
    let cause = match &job.state {
        JobState::Queued { cause, .. } => cause.as_ref(),
        _ => None,
    };
    let until = until.to_rfc3339();
    match cause {
        Some(failure) if failure.code == FailureCode::RateLimited => (
            "rateLimit",
            format!(
                "the provider's rate limit; attempt {} starts at {until}",
                job.attempts + 1
            ),
        ),
        Some(failure) => (
            "backOff",
            format!(
                "the attempt before failed ({}); the next one starts at {until}",
                failure.code
            ),
        ),
        None => ("backOff", format!("the next attempt starts at {until}")),
    }
}

/// Every attempt, the live or last one included.
fn attempts(job: &Job) -> Vec<AttemptView> {
    let past = job.past.iter().map(|past| AttemptView {
        attempt: past.attempt,
        counted: past.counted && past.clash.is_none(),
        started_at: past.started_at.to_rfc3339(),
        ended_at: Some(past.ended_at.to_rfc3339()),
        code: Some(past.cause.code.as_str().to_owned()),
        message: Some(past.cause.message.clone()),
    });
    past.chain(last_attempt(job)).collect()
}

/// The attempt that is live or settled the job.
fn last_attempt(job: &Job) -> Option<AttemptView> {
    let started_at = job.attempt_started_at?;
    let (ended_at, failure) = match &job.state {
        JobState::Queued { .. } => return None,
        JobState::Ended { at, end } => {
            // A job that ended in line made no attempt after those before.
            let settled = job
                .past
                .last()
                .is_none_or(|past| started_at >= past.ended_at);
            if !settled {
                return None;
            }
            let failure = match &end.outcome {
                Outcome::Failed(failure) => Some(failure),
                _ => None,
            };
            (Some(at.to_rfc3339()), failure)
        }
        _ => (None, None),
    };
    Some(AttemptView {
        attempt: job.attempts,
        counted: true,
        started_at: started_at.to_rfc3339(),
        ended_at,
        code: failure.map(|failure| failure.code.as_str().to_owned()),
        message: failure.map(|failure| failure.message.clone()),
    })
}

fn run(count: u32, what: &str) -> String {
    if count == 1 {
        format!("1 {what} runs")
    } else {
        format!("{count} {what}s run")
    }
}
