//! What came of a job, put together from records, observations and journals.

use std::{path::PathBuf, sync::Arc, time::Duration};

use convoke_agents::claims;
use convoke_api::{
    changes::{Conflict, ConflictsQuery},
    error::{ApiError, RequestCode},
    result::{Integrity, JobResult, ModifiedFiles, ResultQuery},
};
use convoke_core::{
    ids::{JobId, RunnerId},
    job::Job,
    lifecycle::Outcome,
    spec::Work,
};
use convoke_workspace::changes;

use crate::{
    checkpoints, conflicts, error_chain,
    executor::{
        denials,
        tail::{self, Tails},
    },
    observe, secrets,
    state::Daemon,
    views, wait,
};

/// How long a result waits for the state after a job that has just ended.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// The result of a job.
///
/// # Errors
/// There is no such job, or it cannot be read.
pub async fn of_job(
    daemon: &Arc<Daemon>,
    id: &JobId,
    query: ResultQuery,
) -> Result<JobResult, ApiError> {
    let job = wait::settled(daemon, id, SETTLES_WITHIN).await?;
    let daemon = Arc::clone(daemon);
    let conflicts = match query.full {
        true => conflicts_of(&daemon, &job).await,
        false => None,
    };
    let built = tokio::task::spawn_blocking(move || build(&daemon, &job, &query));
    let result = built
        .await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))??;
    Ok(JobResult {
        conflicts,
        ..result
    })
}

/// The conflicts of a job; none if they cannot be found out, which keeps nobody
/// from the rest.
async fn conflicts_of(daemon: &Arc<Daemon>, job: &Job) -> Option<Vec<Conflict>> {
    if !checkpoints::are_kept(job) {
        return Some(Vec::new());
    }
    let query = ConflictsQuery {
        jobs: Some(job.id.to_string()),
        folder: None,
    };
    match conflicts::of(daemon, query).await {
        Ok(found) => Some(found.conflicts),
        Err(error) => {
            tracing::warn!(job = %job.id, %error.message, "the conflicts of the job are not known");
            None
        }
    }
}

fn build(daemon: &Daemon, job: &Job, query: &ResultQuery) -> Result<JobResult, ApiError> {
    let end = job.end();
    let message = end.and_then(|end| end.final_message.clone());
    let observed = if job.is_over() {
        observe::observed(daemon, job)
    } else {
        None
    };
    let tails = if query.full {
        Some(tails(daemon, job))
    } else {
        None
    };
    let (final_message, artifact) = cut_message(daemon, job, message.clone(), query.message_limit)?;
    Ok(JobResult {
        job: views::of_job(daemon, job),
        truncated: artifact.is_some(),
        final_message,
        artifact: artifact.map(|path| path.display().to_string()),
        output: output(job, message.as_deref()),
        modified_files: ModifiedFiles {
            claimed: message.as_deref().and_then(claims::modified_files),
            observed: observed.as_ref().map(|observed| observed.changed.clone()),
        },
        integrity: observed.as_ref().map(|observed| Integrity {
            head_before: observed.before.head.clone(),
            head_after: observed.after.head.clone(),
            refs_changed: changes::refs_changed(&observed.before, &observed.after),
            status_before: observed
                .before
                .status
                .iter()
                .map(|entry| entry.short())
                .collect(),
            status_after: observed
                .after
                .status
                .iter()
                .map(|entry| entry.short())
                .collect(),
        }),
        usage: end.and_then(|end| end.usage.clone()),
        conflicts: None,
        sandbox_denied: denials::known(daemon, &job.id),
        stdout_tail: tails.as_ref().map(|tails| tails.stdout.clone()),
        stderr_tail: tails.map(|tails| tails.stderr),
        artifacts: daemon.home.job_folder(&job.id).display().to_string(),
    })
}

fn output(job: &Job, message: Option<&str>) -> Option<serde_json::Value> {
    let Work::Agent(work) = &job.spec.work else {
        return None;
    };
    let met = matches!(job.end().map(|end| &end.outcome), Some(Outcome::Completed));
    (met && work.output_schema.is_some()).then(|| serde_json::from_str(message?.trim()).ok())?
}

/// The ends of the last attempt's streams. After the end the journal holds no
/// secrets any more; before it, they are masked here.
fn tails(daemon: &Daemon, job: &Job) -> Tails {
    if job.attempts == 0 {
        return Tails::default();
    }
    let masker = match secrets::masker_of(daemon, &job.id) {
        Ok(masker) => masker.unwrap_or_default(),
        Err(error) => {
            let text = format!(
                "(not shown: its secrets cannot be masked: {})",
                error_chain(&error)
            );
            return Tails {
                stdout: text,
                stderr: String::new(),
            };
        }
    };
    let folder = daemon
        .home
        .runner_folder(&RunnerId::of_attempt(&job.id, job.attempts));
    tail::read(&folder, 0, &masker).unwrap_or_else(|error| {
        let text = format!("(the journal cannot be read: {})", error_chain(&error));
        Tails {
            stdout: text,
            stderr: String::new(),
        }
    })
}

/// A message longer than asked for is cut, and kept whole in a file.
fn cut_message(
    daemon: &Daemon,
    job: &Job,
    message: Option<String>,
    limit: Option<u64>,
) -> Result<(Option<String>, Option<PathBuf>), ApiError> {
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    match message {
        Some(text) if text.len() > limit => {
            let path = daemon.home.job_artifacts(&job.id).join("final-message.txt");
            keep(&path, text.as_bytes())?;
            Ok((Some(cut(&text, limit).to_owned()), Some(path)))
        }
        short => Ok((short, None)),
    }
}

/// Writes an artifact unless it is there already.
///
/// # Errors
/// The file cannot be written.
pub fn keep(path: &std::path::Path, content: &[u8]) -> Result<(), ApiError> {
    if fs_err::metadata(path).is_ok_and(|meta| meta.len() == content.len() as u64) {
        return Ok(());
    }
    crate::private_file::write(path, content).map_err(|error| {
        let message = format!("cannot write {}: {error}", path.display());
        ApiError::new(RequestCode::StateUnavailable, message)
    })
}

/// The longest beginning of `text` that has at most `limit` bytes.
#[must_use]
pub fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
