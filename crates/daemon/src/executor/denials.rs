//! What the sandbox denied: as told in the agent's stream, and, without a word
//! there, in the agent's own record of the conversation.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use convoke_agents::codex_exec::rollout;
use convoke_core::{
    event::NewEvent, ids::JobId, job::Job, mask::Masker, sandbox::Sandbox, spec::Work,
    time::UnixMillis,
};

use super::projection::{MOST_DENIED, denial_text};
use crate::{discovery, error_chain, state::Daemon};

/// A larger record is not read.
const LARGEST_RECORD: u64 = 64 * 1024 * 1024;

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
    if job.spec.sandbox == Sandbox::DangerFullAccess || !matches!(job.spec.work, Work::Agent(_)) {
        return Vec::new();
    }
    let (Some(thread), Ok(environment)) = (&job.thread, daemon.home.read_env(&job.id)) else {
        return Vec::new();
    };
    let Some(record) = discovery::codex_home(&environment).and_then(|home| find(&home, thread))
    else {
        return Vec::new();
    };
    let since = job.started_at.unwrap_or(job.accepted_at);
    let masker = Masker::of_environment(&environment);
    read(&record, since, job.spec.sandbox)
        .iter()
        .map(|event| masker.mask_text(&denial_text(event)))
        .filter(|text| !known.contains(text))
        .take(most.saturating_sub(known.len()))
        .collect()
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

fn read(record: &Path, since: UnixMillis, sandbox: Sandbox) -> Vec<NewEvent> {
    let fits = fs_err::metadata(record).is_ok_and(|meta| meta.len() <= LARGEST_RECORD);
    if !fits {
        return Vec::new();
    }
    let bytes = fs_err::read(record).unwrap_or_default();
    rollout::denied(&String::from_utf8_lossy(&bytes), since, sandbox)
}
