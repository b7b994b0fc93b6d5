//! Accepts a run, or finds the one that does the same already.

use std::{collections::BTreeMap, sync::Arc};

use convoke_api::{
    caller::Caller,
    delegate::{RunView, StartRunRequest},
    error::{ApiError, RequestCode},
    spawn::{JobRequest, SpawnRequest},
};
use convoke_core::{
    ids::JobId,
    job::Job,
    mask::Masker,
    owner::Owner,
    run::{RUN_VERSION, Run, RunId},
};
use convoke_runs::{
    controllers::{
        delegate::{KEPT_VERSION, Kept, Request, output_schema, prompt},
        skills::{Wanted, select},
    },
    files::{
        run_folder,
        skills::{self, Places},
    },
};
use convoke_store::{JobFilter, PageRequest};

use super::{answers, artifacts, request};
use crate::{
    acceptance::{self, RunPlan},
    api_errors, clock, environment,
    state::Daemon,
};

/// How long after its end the answer of a run is given to a call that asks for the same,
/// if it never reached anybody.
const UNDELIVERED_MS: u64 = 10 * 60 * 1000;
/// So many ended jobs of an owner are looked through for it.
const LOOKED_THROUGH: usize = 200;

/// Starts a run, or attaches to one.
///
/// # Errors
/// The request is not valid, asks for too much power, or cannot be written down.
pub async fn start(daemon: &Arc<Daemon>, asked: StartRunRequest) -> Result<RunView, ApiError> {
    let wanted = request::read(&asked.run, &asked.caller)?;
    let places = request::places(&wanted, &asked.caller);
    let digest = request::digest(&wanted, &places);
    // Of two equal calls at once the second must find the run of the first.
    let _turn = daemon.delegations.lock().await;
    if asked.attach {
        daemon.all_committed().await;
        let owner = acceptance::owner_of(&asked.caller);
        if let Some(id) = same(daemon, &owner, &digest)? {
            let view = answers::of_id(daemon, &id).await?;
            return Ok(RunView {
                existed: true,
                ..view
            });
        }
    }
    let planned = tokio::task::spawn_blocking({
        let (daemon, caller) = (Arc::clone(daemon), asked.caller.clone());
        move || plan(&daemon, &caller, &places, wanted, digest)
    });
    let (job, plan) = planned
        .await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))??;
    accept(daemon, asked, job, plan).await
}

async fn accept(
    daemon: &Arc<Daemon>,
    asked: StartRunRequest,
    job: JobRequest,
    plan: RunPlan,
) -> Result<RunView, ApiError> {
    let spawn = SpawnRequest {
        caller: asked.caller,
        jobs: vec![JobRequest {
            sandbox: asked.run.sandbox.or(job.sandbox),
            ..job
        }],
        idempotency_key: None,
    };
    let response = acceptance::spawn_run(daemon, spawn, plan).await?;
    let result = response.results.into_iter().next();
    let unanswered = || ApiError::new(RequestCode::Internal, "no answer about the run");
    let result = result.ok_or_else(unanswered)?;
    if let Some(error) = result.error {
        return Err(error);
    }
    let id = result.job.and_then(|job| JobId::parse(&job.job_id));
    let id = id.ok_or_else(unanswered)?;
    crate::test_hooks::reach("run_accepted");
    let mut notices = result.notices;
    if let Err(why) = artifacts::begin(daemon, &id).await {
        notices.push(format!("{why}; it is tried again when the run ends"));
    }
    crate::test_hooks::reach("run_folder_begun");
    let view = answers::of_id(daemon, &id).await?;
    Ok(RunView {
        existed: result.existed,
        notices,
        ..view
    })
}

/// The job to be accepted, with all that is known of the run before it.
fn plan(
    daemon: &Daemon,
    caller: &Caller,
    places: &Places,
    wanted: Request,
    digest: String,
) -> Result<(JobRequest, RunPlan), ApiError> {
    let config = daemon
        .config()
        .map_err(|error| api_errors::of_config(&error))?;
    let runs = request::runs_folder(places)?;
    run_folder::create_all(&runs).map_err(|error| {
        let message = format!("cannot make the folder of runs {}: {error}", runs.display());
        ApiError::new(RequestCode::StateUnavailable, message)
            .with_hint("make it writable for you, or set CODEX_HOME for the caller")
    })?;
    let at = clock::now();
    let random = getrandom::u64().map_err(|error| {
        ApiError::new(RequestCode::Internal, format!("no random numbers: {error}"))
    })?;
    let id = RunId::new(at, random);
    let kept = chosen(places, wanted, at.to_rfc3339());
    let errors = &kept.selection.errors;
    let run = Run {
        version: RUN_VERSION,
        folder: runs.join(id.as_str()),
        digest,
        needs_repository: !kept.request.skip_git_repo_check,
        obstacle: (!errors.is_empty()).then(|| errors.join("; ")),
        id,
    };
    let job = job_of(&kept, &run.id);
    let environment = environment::of_job(&config, &BTreeMap::new(), &caller.environment);
    let plan = RunPlan {
        kept: masked(&kept, &Masker::of_environment(&environment)),
        thread: kept.request.thread_id,
        run,
    };
    Ok((job, plan))
}

/// What was asked for, with the skills chosen for it and what the worker is told.
fn chosen(places: &Places, wanted: Request, received_at: String) -> Kept {
    let index = skills::index(
        places,
        wanted.include_repo_skills,
        wanted.include_global_skills,
    );
    let selection = select(
        &index,
        &Wanted {
            mode: wanted.skills_mode,
            names: &wanted.skills,
            max_skills: wanted.max_skills,
            task: &wanted.task,
        },
    );
    Kept {
        version: KEPT_VERSION,
        received_at,
        prompt: prompt(&wanted, &selection.selected),
        request: wanted,
        skills_index: serde_json::to_value(&index).expect("texts and numbers are JSON"),
        selection,
    }
}

/// What is kept, as bytes without secrets. A secret ends nowhere but within a text of the
/// JSON, so that what is left is JSON still.
fn masked(kept: &Kept, masker: &Masker) -> Vec<u8> {
    let text = serde_json::to_string(kept).expect("texts and numbers are JSON");
    masker.mask_text(&text).into_bytes()
}

fn job_of(kept: &Kept, id: &RunId) -> JobRequest {
    let wanted = &kept.request;
    let effort = wanted.reasoning_effort.clone().map(serde_json::Value::from);
    JobRequest {
        prompt: Some(kept.prompt.clone()),
        label: Some(id.to_string()),
        model: wanted.model.clone(),
        reasoning_effort: effort.and_then(|effort| serde_json::from_value(effort).ok()),
        sandbox: Some(convoke_api::values::Sandbox::ReadOnly),
        working_directory: Some(wanted.cwd.display().to_string()),
        config_overrides: wanted.config_overrides.clone(),
        // Its deliverables are where its caller looks for them, whatever the default is.
        workspace: Some(convoke_api::changes::WorkspaceKind::Shared),
        output_schema: Some(output_schema()),
        ..JobRequest::default()
    }
}

/// The run of an owner that does the same: a live one, else one that ended lately and
/// whose answer nobody got. One that was stopped on request is not what is asked for.
fn same(daemon: &Daemon, owner: &Owner, digest: &str) -> Result<Option<JobId>, ApiError> {
    let is_same = |job: &Job| {
        let run = job.spec.run.as_ref();
        job.owner == *owner && run.is_some_and(|run| run.digest == digest)
    };
    let live = daemon
        .dispatcher()
        .jobs()
        .find(|job| is_same(job) && !is_stopping(job))
        .map(|job| job.id.clone());
    if live.is_some() {
        return Ok(live);
    }
    let filter = JobFilter {
        owner: Some(owner.clone()),
        states: vec!["completed".to_owned(), "failed".to_owned()],
        ..JobFilter::default()
    };
    let page = PageRequest {
        limit: LOOKED_THROUGH,
        cursor: None,
    };
    let ended = daemon
        .store
        .jobs(&filter, &page)
        .map_err(|error| api_errors::of_store(&error))?;
    let now = clock::now();
    for row in ended.items {
        let recent = row
            .finished_at
            .is_some_and(|at| now.since(at) < UNDELIVERED_MS);
        if !recent || daemon.home.is_delivered(&row.id) {
            continue;
        }
        let job = daemon
            .store
            .job(&row.id)
            .map_err(|error| api_errors::of_store(&error))?;
        if job.is_some_and(|job| is_same(&job)) {
            return Ok(Some(row.id));
        }
    }
    Ok(None)
}

fn is_stopping(job: &Job) -> bool {
    matches!(job.state, convoke_core::job::JobState::Stopping { .. })
}
