//! What the sandbox denied: as told in the agent's stream, and, without a word
//! there, in the agent's own record of the conversation.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use convoke_agents::codex_exec::{git_writes, rollout};
use convoke_core::{
    event::NewEvent, ids::JobId, job::Job, mask::Masker, sandbox::Sandbox, spec::Work,
    time::UnixMillis,
};

use super::projection::{MOST_DENIED, denial_text};
use crate::{discovery, error_chain, state::Daemon};

/// A larger record is not read.
const LARGEST_RECORD: u64 = 64 * 1024 * 1024;

/// Nor is one larger than this while the end of a job waits for it.
const QUICKLY_READ: u64 = 4 * 1024 * 1024;

/// Name of the observation in the store: texts, each a denial with its remedy.
const DENIED: &str = "sandbox_denied";

/// What was denied to a job, as far as it is known.
#[must_use]
pub fn known(daemon: &Daemon, job: &JobId) -> Vec<String> {
    let mut observations = daemon.store.observations(job).unwrap_or_default();
    observations
        .remove(DENIED)
        .and_then(|value| serde_json::from_value(value).ok())
        .unwrap_or_default()
}

/// Keeps what was denied to a job.
pub async fn keep(daemon: &Daemon, job: &JobId, denied: &[String]) {
    let value = serde_json::json!(denied);
    if let Err(error) = daemon.store.record_observation(job, DENIED, value).await {
        tracing::warn!(%job, error = %error_chain(&error), "what the sandbox denied was not kept");
    }
}

/// Adds what the agent's own record tells. To be called before the environment
/// is deleted, which names the secrets and the place of the record.
pub async fn complete(daemon: &Arc<Daemon>, job: &Job) {
    let reading = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || {
            let mut denied = known(&daemon, &job.id);
            let quiet = of_job(&daemon, &job, &denied, MOST_DENIED);
            denied.extend(quiet.iter().cloned());
            (!quiet.is_empty()).then_some(denied)
        }
    });
    if let Ok(Some(denied)) = reading.await {
        keep(daemon, &job.id, &denied).await;
    }
}

/// What the record of an ended job tells beyond `known`. Without a record that
/// is nothing; the job's outcome never depends on it.
fn of_job(daemon: &Daemon, job: &Job, known: &[String], most: usize) -> Vec<String> {
    let Some((events, masker)) = recorded(daemon, job, LARGEST_RECORD) else {
        return Vec::new();
    };
    events
        .iter()
        .map(|event| masker.mask_text(&denial_text(event)))
        .filter(|text| !known.contains(text))
        .take(most.saturating_sub(known.len()))
        .collect()
}

/// Commands of a job that its sandbox denied and that would have written where
/// the history of a repository lies, without secrets. Blocking, but short: a long
/// record is not read.
pub fn of_history(daemon: &Daemon, job: &Job) -> Vec<String> {
    let Some((events, masker)) = recorded(daemon, job, QUICKLY_READ) else {
        return Vec::new();
    };
    let commands = events.iter().filter_map(|event| {
        let command = event.content["command"].as_str()?;
        git_writes::in_command(command).map(|_| masker.mask_text(command))
    });
    commands.take(MOST_DENIED).collect()
}

/// What the agent's own record tells of denials, and what hides the secrets in it.
fn recorded(daemon: &Daemon, job: &Job, largest: u64) -> Option<(Vec<NewEvent>, Masker)> {
    if job.spec.sandbox == Sandbox::DangerFullAccess || !matches!(job.spec.work, Work::Agent(_)) {
        return None;
    }
    let environment = daemon.home.read_env(&job.id).ok()?;
    let home = discovery::codex_home(&environment)?;
    let record = find(&home, job.thread.as_ref()?)?;
    let since = job.started_at.unwrap_or(job.accepted_at);
    let events = read(&record, since, job.spec.sandbox, largest);
    Some((events, Masker::of_environment(&environment)))
}

fn find(codex_home: &Path, thread: &str) -> Option<PathBuf> {
    rollout::folders(thread)
        .iter()
        .filter_map(|folder| fs_err::read_dir(codex_home.join(folder)).ok())
        .flatten()
        .filter_map(Result::ok)
        .find(|entry| {
            let name = entry.file_name();
            name.to_str()
                .is_some_and(|name| rollout::is_record_of(thread, name))
        })
        .map(|entry| entry.path())
}

fn read(record: &Path, since: UnixMillis, sandbox: Sandbox, largest: u64) -> Vec<NewEvent> {
    let fits = fs_err::metadata(record).is_ok_and(|meta| meta.len() <= largest);
    if !fits {
        return Vec::new();
    }
    let bytes = fs_err::read(record).unwrap_or_default();
    rollout::denied(&String::from_utf8_lossy(&bytes), since, sandbox)
}
