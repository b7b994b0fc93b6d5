//! Writes the folder of a run from what the state home remembers: the first files when
//! it is accepted, how its agent was started with each attempt, and everything when it is
//! finalised, which is done again after a crash.

use std::sync::Arc;

use convoke_core::{
    ids::{JobId, RunnerId},
    job::Job,
    mask::Masker,
    run::Run,
    runner_protocol::{RunnerSpec, paths},
};
use convoke_runs::{
    controllers::delegate::{Kept, output_schema},
    files::run_folder::{self, RunFolder, RunFolderError},
};
use serde_json::{Value, json};

use super::{answers, proof};
use crate::{
    error_chain,
    executor::streams::{self, StreamError},
    secrets,
    state::Daemon,
};

/// The folder of a run is not as it should be.
#[derive(Debug, thiserror::Error)]
enum ArtifactError {
    /// It cannot be written.
    #[error("the folder of the run is not written")]
    Folder(#[from] RunFolderError),
    /// What the agent printed cannot be read.
    #[error("what the agent of the run printed is not copied")]
    Streams(#[from] StreamError),
    /// Secrets cannot be told from other words.
    #[error("the secrets of the run are not known, so nothing of it is copied")]
    Secrets(#[from] convoke_store::HomeError),
}

/// Writes what is known of a run when it is accepted.
///
/// # Errors
/// In words: the run goes on all the same.
pub async fn begin(daemon: &Arc<Daemon>, id: &JobId) -> Result<(), String> {
    let Some(job) = daemon.job(id).ok().flatten() else {
        return Ok(());
    };
    in_background(daemon, job, |daemon, job, run| {
        let folder = RunFolder::create(&run.folder)?;
        let kept = answers::kept(daemon, job);
        Ok(first(&folder, kept.as_ref())?)
    })
    .await
}

/// Writes how the agent of a run was started, if the job is one.
pub async fn started(daemon: &Arc<Daemon>, job: &Job) {
    if job.spec.run.is_none() {
        return;
    }
    let written = in_background(daemon, job.clone(), |daemon, job, run| {
        let masker = secrets::masker_of(daemon, &job.id)?.unwrap_or_default();
        let folder = RunFolder::create(&run.folder)?;
        // A daemon that died right after the acceptance has begun nothing.
        if run_folder::artifacts(&run.folder).is_empty() {
            first(&folder, answers::kept(daemon, job).as_ref())?;
        }
        let turns = command_lines(daemon, job, run, &masker);
        Ok(folder.write_json(run_folder::CODEX_EXEC, &turns)?)
    });
    if let Err(why) = written.await {
        tracing::warn!(job = %job.id, why, "how the agent of the run was started is not written down yet");
    }
}

/// Writes everything about a run that is over; whether that is done, or the job no run.
pub async fn complete(daemon: &Arc<Daemon>, job: &Job) -> bool {
    if job.spec.run.is_none() {
        return true;
    }
    match in_background(daemon, job.clone(), write_all).await {
        Ok(()) => true,
        Err(why) => {
            tracing::error!(job = %job.id, why, "the folder of the run is written at the next start of the daemon");
            false
        }
    }
}

async fn in_background(
    daemon: &Arc<Daemon>,
    job: Job,
    write: impl FnOnce(&Daemon, &Job, &Run) -> Result<(), ArtifactError> + Send + 'static,
) -> Result<(), String> {
    let daemon = Arc::clone(daemon);
    let written = tokio::task::spawn_blocking(move || match job.spec.run.as_deref() {
        Some(run) => write(&daemon, &job, run).map_err(|error| error_chain(&error)),
        None => Ok(()),
    });
    written.await.unwrap_or_else(|error| Err(error.to_string()))
}

fn write_all(daemon: &Daemon, job: &Job, run: &Run) -> Result<(), ArtifactError> {
    let masker = secrets::masker_of(daemon, &job.id)?.unwrap_or_default();
    let folder = RunFolder::create(&run.folder)?;
    let kept = answers::kept(daemon, job);
    first(&folder, kept.as_ref())?;
    folder.write_json(
        run_folder::CODEX_EXEC,
        &command_lines(daemon, job, run, &masker),
    )?;
    crate::test_hooks::reach("run_folder_half");
    copy_streams(daemon, job, &folder, &masker)?;
    folder.write_json(run_folder::LAST_MESSAGE, &last_message(job))?;
    folder.write_json(run_folder::THREAD, &json!({"thread_id": job.thread}))?;
    let proof = proof::take(daemon, job);
    if let Some(answer) = answers::answer(job, kept.as_ref(), &run_folder::ALL, proof) {
        folder.write_json(run_folder::RESULT, &answer)?;
    }
    crate::test_hooks::reach("run_result_written");
    Ok(folder.tidy()?)
}

/// What is known before any agent starts.
fn first(folder: &RunFolder, kept: Option<&Kept>) -> Result<(), RunFolderError> {
    folder.write_json(run_folder::OUTPUT_SCHEMA, &output_schema())?;
    let Some(kept) = kept else {
        return Ok(());
    };
    let request = json!({
        "tool": kept.request.tool(),
        "received_at": kept.received_at,
        "request": kept.request,
    });
    folder.write_json(run_folder::REQUEST, &request)?;
    folder.write_json(run_folder::SKILLS_INDEX, &kept.skills_index)?;
    folder.write_json(run_folder::SELECTED_SKILLS, &kept.selection)?;
    folder.write_text(run_folder::PROMPT, &kept.prompt)
}

/// How Codex was started, turn by turn. The first turn is the run's; one after it
/// repairs the form of the answer, or goes on after a failure that passes.
fn command_lines(daemon: &Daemon, job: &Job, run: &Run, masker: &Masker) -> Value {
    let live = job.state.attempt().unwrap_or_default();
    let turns: Vec<Value> = (1..=job.attempts.max(live))
        .filter_map(|attempt| {
            let runner = daemon
                .home
                .runner_folder(&RunnerId::of_attempt(&job.id, attempt));
            let bytes = std::fs::read(runner.join(paths::SPEC)).ok()?;
            let spec: RunnerSpec = serde_json::from_slice(&bytes).ok()?;
            let argv: Vec<String> = spec
                .argv
                .iter()
                .map(|word| masker.mask_text(word))
                .collect();
            let ended = job.past.iter().find(|past| past.attempt == attempt);
            Some(json!({
                "attempt": attempt,
                "argv": argv,
                "failed_with": ended.map(|past| past.cause.code.as_str()),
            }))
        })
        .collect();
    let end = job.end();
    json!({
        "argv": turns.first().map_or_else(|| json!([]), |turn| turn["argv"].clone()),
        "run_dir": run.folder,
        "codex_cwd": job.spec.working_directory,
        "sandbox": job.spec.sandbox.as_str(),
        "run_id": run.id,
        "job_id": job.id,
        "turns": turns,
        "exit_code": end.and_then(|end| end.exit_code),
        "exit_signal": end.and_then(|end| end.exit_signal),
    })
}

fn copy_streams(
    daemon: &Daemon,
    job: &Job,
    folder: &RunFolder,
    masker: &Masker,
) -> Result<(), ArtifactError> {
    let runners: Vec<_> = (1..=job.attempts)
        .map(|attempt| {
            let runner = RunnerId::of_attempt(&job.id, attempt);
            daemon.home.runner_folder(&runner)
        })
        .collect();
    let copy = |name, stream| {
        let mut failed = None;
        let written = folder.write(name, |file| {
            for runner in &runners {
                match streams::copy(runner, stream, masker, file) {
                    Ok(()) => {}
                    Err(StreamError::Write(error)) => return Err(error),
                    Err(error) => failed = Some(error),
                }
            }
            Ok(())
        });
        // What can be read is there even so.
        match (written, failed) {
            (Err(error), _) => Err(ArtifactError::from(error)),
            (Ok(()), Some(error)) => {
                tracing::warn!(job = %job.id, error = %error_chain(&error), "part of what the agent printed is not in the folder of the run");
                Ok(())
            }
            (Ok(()), None) => Ok(()),
        }
    };
    copy(run_folder::EVENTS, streams::Which::Out)?;
    copy(run_folder::STDERR, streams::Which::Err)
}

/// The last message as the JSON it is, else as a text; null if there was none.
fn last_message(job: &Job) -> Value {
    let message = job.end().and_then(|end| end.final_message.as_deref());
    let Some(text) = message else {
        return Value::Null;
    };
    serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::from(text))
}
