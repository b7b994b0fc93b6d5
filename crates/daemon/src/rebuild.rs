//! Brings a job's event file in line with what is true: the lifecycle records
//! and the journals.
//!
//! A process that dies loses nothing of the file; a power loss may tear off its
//! end. The file is then written anew from the start.

use std::sync::{Arc, Mutex, PoisonError};

use convoke_agents::any::AnyDriver;
use convoke_core::{
    event::Source,
    ids::RunnerId,
    job::Job,
    lifecycle::{LifecycleEvent, LifecycleRecord},
    mask::Masker,
};

use crate::{
    error_chain,
    executor::{
        journal_file::{JournalFile, JournalFileError, Step},
        projection::{Fact, Projection},
    },
    lifecycle_events,
    live::LiveJob,
    state::Daemon,
};

/// The file cannot be brought in line.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The records cannot be read.
    #[error("the records of the job cannot be read")]
    Records(#[source] convoke_store::StoreError),
    /// The events cannot be written.
    #[error("the events of the job cannot be written")]
    Events(#[source] convoke_store::EventFileError),
    /// The events that were written cannot be put in their place.
    #[error("the events of the job cannot be put in their place")]
    Replace(#[source] std::io::Error),
    /// A journal cannot be read.
    #[error("a journal of the job cannot be read")]
    Journal(#[source] JournalFileError),
}

/// Checks the event file of a job that is not finalised and repairs it if
/// something is missing. Whether it was written anew: the executor of a live
/// attempt must then read its journal from the start. Blocking.
///
/// # Errors
/// Records or journals cannot be read, or the file cannot be written.
pub fn ensure(daemon: &Daemon, job: &Job, live: &LiveJob) -> Result<bool, RebuildError> {
    let records = daemon
        .store
        .records_of(&job.id)
        .map_err(RebuildError::Records)?;
    if is_whole(daemon, job, live, &records)? {
        append_records(live, &records)?;
        return Ok(false);
    }
    tracing::warn!(job = %job.id, "the events of the job are written anew from its journals");
    live.events().truncate_to(0).map_err(RebuildError::Events)?;
    write_anew(daemon, job, live, &records)?;
    Ok(true)
}

/// Writes the events of a job that is over and settled anew; their file has gone
/// or is damaged. Blocking.
///
/// # Errors
/// As [`ensure`].
pub fn replace(daemon: &Daemon, job: &Job) -> Result<(), RebuildError> {
    /// One at a time, so that nobody reads a file that is being written.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = daemon.home.job_events(&job.id);
    let temporary = path.with_extension("jsonl.new");
    let _ = std::fs::remove_file(&temporary);
    let live = LiveJob::open(&temporary).map_err(RebuildError::Events)?;
    ensure(daemon, job, &live)?;
    fs_err::rename(&temporary, &path).map_err(RebuildError::Replace)
}

/// Whether nothing is missing that was there at the last checkpoint, or, for a
/// job that is over, before its end.
fn is_whole(
    daemon: &Daemon,
    job: &Job,
    live: &LiveJob,
    records: &[LifecycleRecord],
) -> Result<bool, RebuildError> {
    let len = live.events().flush().map_err(RebuildError::Events)?;
    if len == 0 {
        return Ok(false);
    }
    if job.is_over() {
        let last = records.last().map(|record| record.seq);
        return Ok(live.last_lifecycle() == last);
    }
    let Some(attempt) = job.state.attempt() else {
        return Ok(true);
    };
    let checkpoint = daemon
        .store
        .checkpoint_of(&job.id, attempt)
        .map_err(RebuildError::Records)?;
    Ok(checkpoint.is_none_or(|checkpoint| len >= checkpoint.event_file_len))
}

/// Adds what recently committed records say; what is there already is skipped.
fn append_records(live: &LiveJob, records: &[LifecycleRecord]) -> Result<(), RebuildError> {
    for record in records {
        if let Some(event) = lifecycle_events::of_record(record) {
            live.append(Source::Lifecycle(record.seq), record.at, event)
                .map_err(RebuildError::Events)?;
        }
    }
    Ok(())
}

fn write_anew(
    daemon: &Daemon,
    job: &Job,
    live: &LiveJob,
    records: &[LifecycleRecord],
) -> Result<(), RebuildError> {
    let environment = daemon.home.read_env(&job.id).unwrap_or_else(|error| {
        // Deleted with the blanking of the journals: nothing is left to mask.
        tracing::debug!(job = %job.id, error = %error_chain(&error), "no environment");
        Default::default()
    });
    let masker = Arc::new(Masker::of_environment(&environment));
    let mut replay: Option<Replay> = None;
    for record in records {
        match &record.event {
            LifecycleEvent::AttemptStarting { attempt, .. } => {
                replay = Some(Replay::new(daemon, job, *attempt, &masker));
            }
            LifecycleEvent::Stopping {
                after: Some(point), ..
            }
            | LifecycleEvent::Found {
                after: Some(point), ..
            } => {
                if let Some(replay) = &mut replay {
                    replay.read(live, Some(point.offset))?;
                }
            }
            LifecycleEvent::Requeued { .. } | LifecycleEvent::Ended { .. } => {
                if let Some(mut replay) = replay.take() {
                    replay.read(live, None)?;
                }
            }
            _ => {}
        }
        if let Some(event) = lifecycle_events::of_record(record) {
            live.append(Source::Lifecycle(record.seq), record.at, event)
                .map_err(RebuildError::Events)?;
        }
    }
    Ok(())
}

/// The journal of one attempt, read again.
struct Replay {
    journal: JournalFile,
    projection: Projection,
}

impl Replay {
    fn new(daemon: &Daemon, job: &Job, attempt: u32, masker: &Arc<Masker>) -> Self {
        let folder = daemon
            .home
            .runner_folder(&RunnerId::of_attempt(&job.id, attempt));
        Self {
            journal: JournalFile::new(&folder, 0),
            projection: Projection::new(attempt, AnyDriver::for_job(&job.spec), Arc::clone(masker)),
        }
    }

    /// Writes the events up to `until`, or all.
    fn read(&mut self, live: &LiveJob, until: Option<u64>) -> Result<(), RebuildError> {
        let mut damaged = false;
        while until.is_none_or(|until| self.journal.offset() < until) {
            let facts = match self.journal.step() {
                Ok(Step::Record(record)) => self.projection.on_record(&record),
                Ok(Step::Gap) => self.projection.cut(self.journal.offset()),
                Ok(Step::End) => break,
                Err(JournalFileError::Damaged { .. }) => {
                    damaged = true;
                    break;
                }
                Err(error) => return Err(RebuildError::Journal(error)),
            };
            write(live, facts)?;
        }
        if until.is_none() {
            let end = self.journal.offset();
            write(live, self.projection.finish(end))?;
            if damaged {
                write(live, self.projection.damaged(end))?;
            }
        }
        let len = live.events().flush().map_err(RebuildError::Events)?;
        live.set_events_len(len);
        Ok(())
    }
}

fn write(live: &LiveJob, facts: Vec<Fact>) -> Result<(), RebuildError> {
    for fact in facts {
        if let Fact::Event { source, at, event } = fact {
            live.events()
                .append(source, at, event)
                .map_err(RebuildError::Events)?;
        }
    }
    Ok(())
}
