//! Jobs that are not settled yet, as those who wait for them see them.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use convoke_core::{
    event::{NewEvent, Source},
    ids::JobId,
    lifecycle::JournalPoint,
    liveness::{Activity, Lasting, Usage},
    time::{Moment, UnixMillis},
};
use convoke_store::{EventFile, EventFileError};
use tokio::{sync::watch, time::Instant};

/// How far a job is, for those who wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Length of its event file, bytes.
    pub events_len: u64,
    /// Its end is committed.
    pub ended: bool,
    /// Events, perhaps the last, are still to be written: the file could not be.
    pub unwritten: bool,
    /// What follows the end is done: state after, artifacts, session.
    pub finalised: bool,
}

impl Progress {
    /// Whether the job has ended and its last event can be read.
    #[must_use]
    pub fn told_the_end(&self) -> bool {
        self.ended && !self.unwritten
    }
}

/// One job that is not settled yet.
#[derive(Debug)]
pub struct LiveJob {
    events: Mutex<EventFile>,
    progress: watch::Sender<Progress>,
    output: Mutex<Output>,
    reading: Mutex<Option<Reading>>,
    process: Mutex<Option<Process>>,
    /// Number of the last lifecycle record in the file when it was opened.
    last_lifecycle: Option<u64>,
    /// The file was written anew: journals are to be read from their start.
    rebuilt: AtomicBool,
    /// Its runner is connected.
    attached: AtomicBool,
    /// The file could not be brought in line at the start of the daemon.
    incomplete: AtomicBool,
    /// Somebody does what follows the end.
    finalising: AtomicBool,
}

/// The agent's process, as the runner reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// How its tree is held.
    pub containment: String,
}

/// What the executor last read of the agent's output.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Place in the journal up to which events are derived.
    pub point: Option<JournalPoint>,
    /// When the agent last printed something.
    pub last_at: Option<UnixMillis>,
    /// When it last printed something that was a sign of life.
    pub last_life: Option<Moment>,
    /// When it was started.
    pub started: Option<Moment>,
    /// It says that it waits for its provider.
    pub provider_wait: Option<Lasting>,
    /// The tool call that has lasted longest.
    pub open_tool: Option<Lasting>,
}

/// What the processes of an attempt had used at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// When.
    pub at: Instant,
    /// What they had used.
    pub usage: Usage,
    /// What they used since the reading before, if there was one.
    pub activity: Option<Activity>,
}

impl LiveJob {
    /// Opens (or creates) the job's event file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(events: &Path) -> Result<Self, EventFileError> {
        let (file, tail) = EventFile::open(events)?;
        let progress = Progress {
            events_len: tail.len,
            ..Progress::default()
        };
        Ok(Self {
            events: Mutex::new(file),
            progress: watch::Sender::new(progress),
            output: Mutex::new(Output::default()),
            reading: Mutex::new(None),
            process: Mutex::new(None),
            last_lifecycle: tail.sources.lifecycle,
            rebuilt: AtomicBool::new(false),
            attached: AtomicBool::new(false),
            incomplete: AtomicBool::new(false),
            finalising: AtomicBool::new(false),
        })
    }

    /// Number of the last lifecycle record in the file when it was opened.
    #[must_use]
    pub fn last_lifecycle(&self) -> Option<u64> {
        self.last_lifecycle
    }

    /// Notes whether its runner is connected.
    pub fn set_attached(&self, attached: bool) {
        self.attached.store(attached, Ordering::Relaxed);
    }

    /// Notes that the file was written anew.
    pub fn set_rebuilt(&self) {
        self.rebuilt.store(true, Ordering::Relaxed);
    }

    /// Whether the file was written anew.
    #[must_use]
    pub fn is_rebuilt(&self) -> bool {
        self.rebuilt.load(Ordering::Relaxed)
    }

    /// Notes that the file lacks events, or no longer does.
    pub fn set_incomplete(&self, incomplete: bool) {
        self.incomplete.store(incomplete, Ordering::Relaxed);
    }

    /// Whether the file lacks events that no later write brings.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.incomplete.load(Ordering::Relaxed)
    }

    /// Whether the caller is the first, who does what follows the end.
    #[must_use]
    pub fn begin_finalising(&self) -> bool {
        !self.finalising.swap(true, Ordering::Relaxed)
    }

    /// Notes that events wait to be written.
    pub fn set_unwritten(&self) {
        self.progress
            .send_modify(|progress| progress.unwritten = true);
    }

    /// Writes what waits to be written and lets readers see it.
    ///
    /// # Errors
    /// The file cannot be written; nothing is lost, the next call tries again.
    pub fn write_out(&self) -> Result<(), EventFileError> {
        let len = self.events().flush()?;
        self.progress.send_if_modified(|progress| {
            let changed = progress.events_len != len || progress.unwritten;
            progress.events_len = len;
            progress.unwritten = false;
            changed
        });
        Ok(())
    }

    /// The event file, for appending.
    pub fn events(&self) -> MutexGuard<'_, EventFile> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one event and lets readers see it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(
        &self,
        src: Source,
        at: UnixMillis,
        event: NewEvent,
    ) -> Result<(), EventFileError> {
        let mut events = self.events();
        events.append(src, at, event)?;
        let len = events.flush()?;
        drop(events);
        self.set_events_len(len);
        Ok(())
    }

    /// Lets readers see the event file up to `len`.
    pub fn set_events_len(&self, len: u64) {
        self.progress.send_if_modified(|progress| {
            let changed = progress.events_len != len;
            progress.events_len = len;
            changed
        });
    }

    /// Tells those who wait that the end is committed.
    pub fn set_ended(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// Tells those who wait that nothing more will change.
    pub fn set_finalised(&self) {
        self.progress
            .send_modify(|progress| progress.finalised = true);
    }

    /// Follows the job's progress.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The agent's process, once it runs.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        self.process
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes the agent's process.
    pub fn set_process(&self, process: Process) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
    }

    /// What was last read of the output.
    #[must_use]
    pub fn output(&self) -> Output {
        self.output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What its processes had used when they were last looked at.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what its processes have used.
    pub fn set_reading(&self, reading: Reading) {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
    }

    /// Notes what was last read of the output.
    pub fn set_output(&self, output: Output) {
        if output.last_life != self.output().last_life {
            // Signs of life count for more than what was used before them.
            *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        *self.output.lock().unwrap_or_else(PoisonError::into_inner) = output;
    }
}

/// All jobs that are not settled yet.
#[derive(Debug, Default)]
pub struct LiveJobs {
    jobs: Mutex<HashMap<JobId, Arc<LiveJob>>>,
}

impl LiveJobs {
    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Arc<LiveJob>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job, if it is not settled yet.
    #[must_use]
    pub fn get(&self, id: &JobId) -> Option<Arc<LiveJob>> {
        self.jobs().get(id).cloned()
    }

    /// Adds a job.
    pub fn insert(&self, id: JobId, job: Arc<LiveJob>) {
        self.jobs().insert(id, job);
    }

    /// Number of jobs whose runner is connected.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.jobs()
            .values()
            .filter(|job| job.attached.load(Ordering::Relaxed))
            .count()
    }

    /// Drops a job that is settled.
    pub fn remove(&self, id: &JobId) {
        self.jobs().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live_job() -> (tempfile::TempDir, LiveJob) {
        let folder = tempfile::tempdir().expect("a folder");
        let live = LiveJob::open(&folder.path().join("events.jsonl")).expect("an event file");
        (folder, live)
    }

    #[test]
    fn an_end_is_told_once_its_last_event_is_written() {
        let (_folder, live) = live_job();
        let progress = live.watch();
        assert!(!progress.borrow().told_the_end());
        live.set_unwritten();
        live.set_ended();
        assert!(progress.borrow().ended);
        assert!(!progress.borrow().told_the_end());
        live.write_out().expect("written");
        assert!(progress.borrow().told_the_end());
    }

    #[test]
    fn one_task_finalises_a_job() {
        let (_folder, live) = live_job();
        assert!(live.begin_finalising());
        assert!(!live.begin_finalising());
    }
}
