//! Starts a job that brings together what several jobs did to the same files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    sync::Arc,
};

use convoke_api::{
    changes::{ChangesQuery, JobChanges, ReconcileRequest, ReconcileResponse},
    error::{ApiError, RequestCode},
    spawn::{JobRequest, SpawnRequest},
    values::Sandbox,
};
use convoke_core::{
    job::Job,
    spec::{AgentTask, Work},
};

use crate::{acceptance, api_errors, changes, results, state::Daemon, wait};

/// Most jobs that are brought together at once.
const MOST_JOBS: usize = 8;

/// Bytes of one patch, of one task and of one file that are told; of more the
/// job is told where to look.
const PATCH: u64 = 24 * 1024;
const TASK: usize = 8 * 1024;
const FILE: usize = 16 * 1024;

/// Bytes of a patch that are looked through.
const MOST_PATCH: u64 = 8 << 20;

/// Bytes of all files together.
const FILES: usize = 96 * 1024;

/// What the job is told first.
const INTRODUCTION: &str = "\
Several agents worked on the same files at once. Bring together what they did: keep what each of \
them was asked for, and lose nothing of either. Read every file again right before you change it, \
change as little as you can, and leave other files alone. Start no other agents. No commit, branch, \
checkout, reset or stash. Where both cannot be kept, keep what fits the tasks best and say what was \
left out. End with a list headed `modifiedFiles`, one path a line, or `(none)`.
";

/// Starts it.
///
/// # Errors
/// A job is not known or not over, the jobs worked in different trees or changed
/// no path in common, or the job is refused.
pub async fn start(
    daemon: &Arc<Daemon>,
    request: ReconcileRequest,
) -> Result<ReconcileResponse, ApiError> {
    let jobs = jobs(daemon, &request.job_ids)?;
    let mut seen = Vec::new();
    for job in &jobs {
        let query = ChangesQuery {
            diff_limit: Some(MOST_PATCH),
        };
        seen.push(changes::of_job(daemon, &job.id, query).await?);
    }
    let files = in_common(&seen);
    if files.is_empty() {
        return Err(ApiError::invalid(
            "these jobs changed no path in common: there is nothing to bring together",
        )
        .with_hint("`codex_conflicts` and `convoke conflicts` list what jobs changed at once"));
    }
    let (folder, label) = (jobs[0].spec.working_directory.clone(), label(&jobs));
    let more = request.prompt;
    let composed = tokio::task::spawn_blocking({
        let files = files.clone();
        move || prompt(&jobs, &seen, &files, more.as_deref())
    });
    let prompt = composed
        .await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))?;
    let spawn = SpawnRequest {
        caller: request.caller,
        jobs: vec![JobRequest {
            prompt: Some(prompt),
            label: Some(label),
            sandbox: Some(Sandbox::WorkspaceWrite),
            working_directory: Some(folder.display().to_string()),
            ..JobRequest::default()
        }],
        idempotency_key: None,
    };
    let result = acceptance::spawn(daemon, spawn).await?.results.pop();
    let result =
        result.ok_or_else(|| ApiError::new(RequestCode::Internal, "no answer about the job"))?;
    match (&result.job, result.error) {
        (None, Some(error)) => Err(error),
        (_, error) => Ok(ReconcileResponse {
            result: convoke_api::spawn::SpawnResult { error, ..result },
            files: files.into_iter().collect(),
        }),
    }
}

fn jobs(daemon: &Daemon, names: &[String]) -> Result<Vec<Job>, ApiError> {
    if names.len() < 2 || names.len() > MOST_JOBS {
        return Err(ApiError::invalid(format!(
            "`jobIds` names {} jobs; it must name 2 to {MOST_JOBS}",
            names.len()
        )));
    }
    let mut jobs: Vec<Job> = Vec::new();
    for name in names {
        let unknown = || api_errors::unknown_job(daemon, name);
        let id = wait::resolve(daemon, name)?.ok_or_else(unknown)?;
        let job = daemon
            .job(&id)
            .map_err(|error| api_errors::of_store(&error))?
            .ok_or_else(unknown)?;
        if !job.is_over() {
            return Err(ApiError::invalid(format!(
                "job {id} is not over: what it does can be brought together when it is"
            ))
            .with_hint("wait for it with `codex_wait_any`, or stop it"));
        }
        if let Some(first) = jobs.first()
            && first.spec.tree != job.spec.tree
        {
            return Err(ApiError::invalid(format!(
                "job {} worked in {}, and job {id} in {}",
                first.id,
                first.spec.tree.display(),
                job.spec.tree.display()
            )));
        }
        if jobs.iter().all(|known| known.id != id) {
            jobs.push(job);
        }
    }
    if jobs.len() < 2 {
        return Err(ApiError::invalid("`jobIds` names one job only"));
    }
    Ok(jobs)
}

/// Paths that more than one of the jobs changed, or may have.
fn in_common(seen: &[JobChanges]) -> BTreeSet<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for changes in seen {
        for change in &changes.changes {
            *counts.entry(&change.path).or_default() += 1;
        }
    }
    let shared = counts.into_iter().filter(|(_, count)| *count > 1);
    shared.map(|(path, _)| path.to_owned()).collect()
}

fn label(jobs: &[Job]) -> String {
    let names: Vec<&str> = jobs
        .iter()
        .map(|job| job.spec.label.as_deref().unwrap_or(job.id.as_str()))
        .collect();
    results::cut(&format!("reconcile {}", names.join(" and ")), 80).to_owned()
}

fn prompt(
    jobs: &[Job],
    seen: &[JobChanges],
    files: &BTreeSet<String>,
    more: Option<&str>,
) -> String {
    let top = &jobs[0].spec.tree;
    let mut text = INTRODUCTION.to_owned();
    if let Some(more) = more {
        let _ = writeln!(text, "\n{}", more.trim());
    }
    let _ = writeln!(text, "\n# Files\n\nBelow {}:\n", top.display());
    for file in files {
        let _ = writeln!(text, "- {file}");
    }
    for (job, changes) in jobs.iter().zip(seen) {
        let name = job.spec.label.as_deref().unwrap_or(job.id.as_str());
        let _ = writeln!(text, "\n# What {name} was asked for\n\n{}", task(job));
        let _ = writeln!(text, "\n# What {name} changed\n\n{}", patch(changes, files));
    }
    let _ = writeln!(text, "\n# The files as they are now");
    let mut left = FILES;
    for file in files {
        let _ = writeln!(text, "\n## {file}\n\n{}", content(top, file, &mut left));
    }
    text
}

fn task(job: &Job) -> String {
    match &job.spec.work {
        Work::Agent(work) => match &work.task {
            AgentTask::Prompt { prompt } => results::cut(prompt, TASK).to_owned(),
            AgentTask::Review { .. } => "A code review.".to_owned(),
        },
        Work::Command { argv } => format!("The command `{}`.", argv.join(" ")),
    }
}

/// The parts of a patch that concern some files.
fn patch(changes: &JobChanges, files: &BTreeSet<String>) -> String {
    let parts = changes.diff.split_inclusive('\n').fold(
        Vec::<String>::new(),
        |mut parts: Vec<String>, line| {
            match parts.last_mut() {
                Some(part) if !line.starts_with("diff --git ") => part.push_str(line),
                _ => parts.push(line.to_owned()),
            }
            parts
        },
    );
    let concerns = |part: &&String| {
        let head = part.lines().next().unwrap_or_default();
        files
            .iter()
            .any(|file| head.ends_with(&format!(" b/{file}")))
    };
    let own: String = parts.iter().filter(concerns).map(String::as_str).collect();
    let limit = usize::try_from(PATCH).unwrap_or(usize::MAX);
    let shown = results::cut(&own, limit);
    let note = match shown.len() < own.len() {
        true => format!("\n(cut; all of it: `convoke diff {}`)", changes.job_id),
        false => String::new(),
    };
    format!("```diff\n{}```{note}", with_line_end(shown))
}

fn content(top: &Path, file: &str, left: &mut usize) -> String {
    let most = FILE.min(*left) as u64;
    match convoke_workspace::read_within(top, file, most) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "It is gone.".to_owned(),
        Err(_) => "It is no file any more: look at it.".to_owned(),
        Ok(Err(bytes)) => format!("It has {bytes} bytes: read it."),
        Ok(Ok(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => {
                *left -= text.len();
                format!("```\n{}```", with_line_end(&text))
            }
            Err(_) => "It is no text: look at it.".to_owned(),
        },
    }
}

fn with_line_end(text: &str) -> String {
    match text.is_empty() || text.ends_with('\n') {
        true => text.to_owned(),
        false => format!("{text}\n"),
    }
}
