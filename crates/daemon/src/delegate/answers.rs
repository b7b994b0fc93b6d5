//! The answer of a run, from its job and what was kept of it. It is the same however
//! often and however late it is asked for.

use std::{path::PathBuf, sync::Arc, time::Duration};

use convoke_api::{
    delegate::{
        Artifact, CheckedFile, DelegateAnswer, Deliverable, RunQuery, RunStatus, RunTiming,
        RunView, SelectedSkill, SkillOrigin, VerifiedCommand,
    },
    error::{ApiError, RequestCode},
    values::State,
};
use convoke_core::{
    failure::Failure,
    ids::JobId,
    job::{Job, JobState},
    lifecycle::Outcome,
    run::{Run, RunId},
};
use convoke_runs::{
    controllers::delegate::{self, Answer, Ended, Fate, Kept, Proof},
    files::{run_folder, skills::Origin},
};

use super::proof;
use crate::{state::Daemon, wait};

/// How long an answer waits for the folder of a run that has just ended.
const SETTLES_WITHIN: Duration = Duration::from_secs(20);

/// What to do about a run that could not begin.
const OBSTACLE_HINT: &str = "correct `skills`, or let `skills_mode` be \"auto\"; skills_index.json of the run lists what was found";

/// What Codex names when it refuses a folder that is in no git repository.
const REPOSITORY_OPTION: &str = "--skip-git-repo-check";

/// What to do about that.
const REPOSITORY_HINT: &str = "the folder is in no git repository: set `skip_git_repo_check` (`--skip-git-repo-check`) if that is fine, or name a folder in one";

/// Largest `result.json` that is read.
const LARGEST_RESULT: u64 = 64 * 1024 * 1024;

/// Characters of a task that a list shows.
const SUMMARY: usize = 200;

/// A run, with its answer if it is over.
///
/// # Errors
/// It cannot be read.
pub async fn of_id(daemon: &Arc<Daemon>, id: &JobId) -> Result<RunView, ApiError> {
    let job = wait::settled(daemon, id, SETTLES_WITHIN).await?;
    let daemon = Arc::clone(daemon);
    let built = tokio::task::spawn_blocking(move || {
        let mut view = view(&job).ok_or_else(|| super::unknown_run(&daemon, job.id.as_str()))?;
        if job.is_over() {
            let kept = kept(&daemon, &job);
            let run = job.spec.run.as_deref();
            let names = run.map(|run| run_folder::artifacts(&run.folder));
            let proof = proof::kept(&daemon, &job);
            let answer = answer(&job, kept.as_ref(), &names.unwrap_or_default(), proof);
            view.answer = answer.map(wire);
        }
        Ok(view)
    });
    built
        .await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))?
}

/// A run without its answer; none if the job is no run.
pub fn view(job: &Job) -> Option<RunView> {
    let run = job.spec.run.as_ref()?;
    Some(RunView {
        run_id: run.id.to_string(),
        run_dir: run.folder.display().to_string(),
        job_id: job.id.to_string(),
        state: State::parse(job.state.name()).unwrap_or(State::Queued),
        summary: summary(job),
        accepted_at: job.accepted_at.to_rfc3339(),
        existed: false,
        notices: Vec::new(),
        answer: None,
    })
}

/// The beginning of what the worker is told to do.
fn summary(job: &Job) -> String {
    let convoke_core::spec::Work::Agent(work) = &job.spec.work else {
        return String::new();
    };
    let convoke_core::spec::AgentTask::Prompt { prompt } = &work.task else {
        return String::new();
    };
    let task = prompt.split("## Task\n\n").nth(1).unwrap_or(prompt);
    let line = task.lines().next().unwrap_or_default();
    line.chars().take(SUMMARY).collect()
}

/// A run whose job is forgotten, from what its folder says, if that is there.
pub async fn forgotten(name: &str, query: RunQuery) -> Option<RunView> {
    // The name is no path.
    let run = RunId::parse(name)?;
    let home = PathBuf::from(query.codex_home?);
    let reading = tokio::task::spawn_blocking(move || {
        let folder = run_folder::runs_folder(&home).join(run.as_str());
        let path = folder.join(run_folder::RESULT);
        let is_small = fs_err::metadata(&path)
            .is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST_RESULT);
        let bytes = is_small.then(|| fs_err::read(&path).ok()).flatten()?;
        let answer: Answer = serde_json::from_slice(&bytes).ok()?;
        (answer.run_id == run.as_str()).then_some(answer)
    });
    let answer = wire(reading.await.ok().flatten()?);
    Some(RunView {
        run_id: answer.run_id.clone(),
        run_dir: answer.run_dir.clone(),
        job_id: answer.job_id.clone().unwrap_or_default(),
        state: State::parse(answer.status.as_str()).unwrap_or(State::Failed),
        summary: String::new(),
        accepted_at: answer.timing.started_at.clone(),
        existed: true,
        notices: Vec::new(),
        answer: Some(answer),
    })
}

/// What was kept of a run when it was accepted.
pub fn kept(daemon: &Daemon, job: &Job) -> Option<Kept> {
    let bytes = match daemon.home.read_run(&job.id) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(job = %job.id, error = %crate::error_chain(&error), "what was kept of the run cannot be read");
            return None;
        }
    };
    serde_json::from_slice(&bytes)
        .inspect_err(
            |error| tracing::error!(job = %job.id, %error, "what was kept of the run is damaged"),
        )
        .ok()
}

/// The answer of a run that is over.
pub fn answer(
    job: &Job,
    kept: Option<&Kept>,
    artifacts: &[&'static str],
    proof: Option<Proof>,
) -> Option<Answer> {
    let run = job.spec.run.as_deref()?;
    let JobState::Ended { at, end } = &job.state else {
        return None;
    };
    let selection = kept.map(|kept| &kept.selection);
    Some(delegate::answer(&Ended {
        run_id: run.id.as_str(),
        run_dir: &run.folder,
        job_id: job.id.as_str(),
        thread: job.thread.as_deref(),
        skills: selection.map_or(&[], |selection| selection.selected.as_slice()),
        warnings: selection.map_or(&[], |selection| selection.warnings.as_slice()),
        message: end.final_message.as_deref(),
        started_at: job.started_at.unwrap_or(job.accepted_at),
        finished_at: *at,
        fate: fate(run, &end.outcome),
        artifacts,
        proof,
    }))
}

fn fate(run: &Run, outcome: &Outcome) -> Fate {
    match outcome {
        Outcome::Completed => Fate::Completed,
        Outcome::Cancelled { reason } => Fate::Cancelled {
            reason: reason.as_str().to_owned(),
        },
        Outcome::Failed(failure) => Fate::Failed {
            code: failure.code.as_str().to_owned(),
            message: failure.message.clone(),
            hint: hint(run, failure).to_owned(),
        },
    }
}

/// What to do about a failure, in the words of the tools that start runs.
fn hint(run: &Run, failure: &Failure) -> &'static str {
    let refused = run.needs_repository && failure.message.contains(REPOSITORY_OPTION);
    match run.obstacle {
        Some(_) => OBSTACLE_HINT,
        None if refused => REPOSITORY_HINT,
        None => failure.code.hint(),
    }
}

fn wire(answer: Answer) -> DelegateAnswer {
    let path = |path: std::path::PathBuf| path.display().to_string();
    DelegateAnswer {
        run_id: answer.run_id,
        run_dir: path(answer.run_dir),
        subagent_thread_id: answer.subagent_thread_id,
        selected_skills: answer
            .selected_skills
            .into_iter()
            .map(|skill| SelectedSkill {
                name: skill.name,
                description: skill.description,
                origin: match skill.origin {
                    Origin::Repo => SkillOrigin::Repo,
                    Origin::Global => SkillOrigin::Global,
                },
                path: path(skill.path),
            })
            .collect(),
        summary: answer.summary,
        deliverables: answer
            .deliverables
            .into_iter()
            .map(|made| Deliverable {
                path: made.path,
                description: made.description,
            })
            .collect(),
        open_questions: answer.open_questions,
        next_actions: answer.next_actions,
        artifacts: answer
            .artifacts
            .into_iter()
            .map(|artifact| Artifact {
                name: artifact.name,
                path: path(artifact.path),
            })
            .collect(),
        timing: RunTiming {
            started_at: answer.timing.started_at,
            finished_at: answer.timing.finished_at,
            duration_ms: answer.timing.duration_ms,
        },
        status: match answer.status.as_str() {
            "completed" => RunStatus::Completed,
            "cancelled" => RunStatus::Cancelled,
            _ => RunStatus::Failed,
        },
        error: answer.error,
        job_id: Some(answer.job_id),
        code: answer.code,
        warnings: answer.warnings,
        proof: answer.proof.map(wire_proof),
        truncated: false,
    }
}

fn wire_proof(proof: Proof) -> convoke_api::delegate::Proof {
    convoke_api::delegate::Proof {
        claimed: proof.claimed,
        checked: proof
            .checked
            .into_iter()
            .map(|checked| CheckedFile {
                path: checked.path,
                exists: checked.exists,
                observed: checked.observed,
            })
            .collect(),
        verified: proof
            .verified
            .into_iter()
            .map(|verified| VerifiedCommand {
                command: verified.command,
                exit_code: verified.exit_code,
            })
            .collect(),
    }
}
