//! What the sandbox denied without a word in the agent's stream, read from the
//! agent's own record of the conversation.

use std::path::{Path, PathBuf};

use convoke_agents::codex_exec::rollout;
use convoke_core::{
    event::NewEvent, job::Job, mask::Masker, sandbox::Sandbox, spec::Work, time::UnixMillis,
};

use super::projection::denial_text;
use crate::{discovery, state::Daemon};

/// A larger record is not read.
const LARGEST_RECORD: u64 = 64 * 1024 * 1024;

/// What was denied to a job, as far as `known` does not tell it. Without a
/// record that is nothing; the job's outcome never depends on it.
#[must_use]
pub fn of_job(daemon: &Daemon, job: &Job, known: &[String], most: usize) -> Vec<String> {
    if job.spec.sandbox == Sandbox::DangerFullAccess || !matches!(job.spec.work, Work::Agent(_)) {
        return Vec::new();
    }
    // The conversation became known while the job ran.
    let Ok(Some(job)) = daemon.job(&job.id) else {
        return Vec::new();
    };
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
