//! Follows a runner: reads its journal as it grows, writes the job's events,
//! reports facts to the dispatcher, passes on stops.

use std::{path::PathBuf, sync::Arc, time::Duration};

use convoke_agents::any::AnyDriver;
use convoke_core::{
    dispatcher::Input,
    event::Source,
    ids::JobId,
    job::Job,
    lifecycle::JournalPoint,
    mask::Masker,
    runner_protocol::{DaemonMessage, RunnerMessage},
};
use convoke_store::{Checkpoint, EventFileError};
use tokio::{sync::watch, time::Instant};

use super::{
    journal_file::{JournalFile, Step},
    link::{Heard, Link},
    projection::{Fact, Projection, State},
    verdict::AFTER_LAST_WORD,
};
use crate::{
    clock, error_chain,
    live::{LiveJob, Process},
    state::{Daemon, StopCommand},
};

/// How long an agent may take to end after its last word.
const DRAIN: Duration = Duration::from_secs(5);

/// Least time between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// How long to wait before events are written again that could not be.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// How long to wait before a stop is sent again that could not be.
const STOP_AGAIN: Duration = Duration::from_millis(250);

/// Bytes of the journal read before other tasks get a turn.
const BYTES_AT_ONCE: u64 = 256 * 1024;

/// Why following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The daemon ends; the runner goes on.
    Detached,
    /// Nobody holds the runner's lock.
    RunnerGone,
}

/// A runner cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The job's events cannot be written.
    #[error("the events of job {job} cannot be kept")]
    Events {
        /// The job.
        job: JobId,
        /// Why.
        #[source]
        source: EventFileError,
    },
}

/// Follows one attempt.
#[derive(Debug)]
pub struct Follower {
    daemon: Arc<Daemon>,
    job: JobId,
    attempt: u32,
    live: Arc<LiveJob>,
    journal: JournalFile,
    projection: Projection,
    link: Link,
    stops: watch::Receiver<Option<StopCommand>>,
    /// The strongest stop sent on the present connection.
    stop_sent: Option<StopCommand>,
    connected: bool,
    /// The runner waits to be told to start the agent.
    held: bool,
    /// Whether the agent may be started.
    may_go: watch::Receiver<bool>,
    drain_until: Option<Instant>,
    checkpoint_at: Option<Instant>,
    checkpointed: u64,
    /// The event file could not be written; when it is tried again. Nothing is
    /// lost meanwhile, and nothing more is read.
    write_again_at: Option<Instant>,
    /// The runner has gone: the rest of the journal is read at once.
    ending: bool,
    /// The journal is damaged: what lies behind the damage is not read.
    journal_broken: bool,
}

impl Follower {
    /// Restores what an earlier daemon knew of the attempt, or begins afresh.
    ///
    /// # Errors
    /// The job's event file cannot be opened.
    pub fn open(
        daemon: Arc<Daemon>,
        job: &Job,
        attempt: u32,
        folder: PathBuf,
        socket: PathBuf,
        masker: Arc<Masker>,
        may_go: watch::Receiver<bool>,
    ) -> Result<Self, FollowError> {
        let live = match daemon.live.get(&job.id) {
            Some(live) => live,
            None => {
                let opened = LiveJob::open(&daemon.home.job_events(&job.id)).map_err(|source| {
                    FollowError::Events {
                        job: job.id.clone(),
                        source,
                    }
                })?;
                let live = Arc::new(opened);
                daemon.live.insert(job.id.clone(), Arc::clone(&live));
                live
            }
        };
        let restored = if live.is_rebuilt() {
            None
        } else {
            restore(&daemon, job, attempt)
        };
        let (offset, projection) = match restored {
            Some((offset, state)) => (
                state.reads_from(offset),
                Projection::resume(attempt, state, offset, masker),
            ),
            None => (
                0,
                Projection::new(attempt, AnyDriver::for_job(&job.spec), masker),
            ),
        };
        let stops = daemon.stop_channel(&job.id).subscribe();
        let drain_until = drain_until(&projection);
        Ok(Self {
            job: job.id.clone(),
            attempt,
            live,
            journal: JournalFile::new(&folder, offset),
            projection,
            link: Link::new(&folder, &socket),
            stops,
            stop_sent: None,
            connected: false,
            held: false,
            may_go,
            drain_until,
            checkpoint_at: None,
            checkpointed: offset,
            write_again_at: None,
            ending: false,
            journal_broken: false,
            daemon,
        })
    }

    /// What was read of the attempt.
    #[must_use]
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Follows until the runner or the daemon ends.
    pub async fn run(&mut self) -> Followed {
        loop {
            self.read_available().await;
            self.pass_on_stop().await;
            self.let_go().await;
            let daemon = Arc::clone(&self.daemon);
            let drain = self.drain_until;
            let checkpoint = self.checkpoint_at;
            let write_again = self.write_again_at;
            let step = tokio::select! {
                heard = self.link.next() => Next::Heard(heard),
                changed = self.stops.changed(), if self.connected => {
                    if changed.is_err() { Next::Nothing } else { Next::Stop }
                }
                changed = self.may_go.changed(), if self.held => {
                    if changed.is_err() { Next::Nothing } else { Next::Go }
                }
                () = until(drain) => Next::Drained,
                () = until(checkpoint) => Next::Checkpoint,
                () = until(write_again) => Next::WriteAgain,
                () = daemon.shutdown.cancelled() => Next::Shutdown,
            };
            match step {
                Next::Heard(Heard::Gone) => {
                    self.live.set_attached(false);
                    return Followed::RunnerGone;
                }
                // Its record is on disk: its end need not be waited for.
                Next::Heard(Heard::Message(RunnerMessage::Exited {})) => {
                    self.live.set_attached(false);
                    return Followed::RunnerGone;
                }
                Next::Heard(Heard::Message(message)) => self.on_message(&message),
                Next::Stop | Next::Go | Next::Nothing => {}
                Next::Drained => self.end_after_last_word().await,
                Next::Checkpoint => self.checkpoint(),
                Next::WriteAgain => self.flush(),
                Next::Shutdown => {
                    self.checkpoint();
                    return Followed::Detached;
                }
            }
        }
    }

    /// Reads the rest of a journal that has ended at `end`. Events that cannot
    /// be written now are written before the job is finalised.
    pub fn read_to_end(&mut self, end: u64) {
        self.ending = true;
        while self.read_batch() {}
        let at = self.journal.offset().max(end);
        let facts = self.projection.finish(at);
        self.take(facts);
        if self.journal_broken {
            let facts = self.projection.damaged(at);
            self.take(facts);
        }
        self.flush();
    }

    fn on_message(&mut self, message: &RunnerMessage) {
        match message {
            RunnerMessage::Hello { held, .. } => {
                self.connected = true;
                self.held = *held;
                self.live.set_attached(true);
                // A stop asked for on an older connection is asked for again.
                self.stop_sent = None;
            }
            RunnerMessage::Refused { id, message } => {
                tracing::warn!(job = %self.job, id, message, "the runner refused a command");
            }
            RunnerMessage::Len { .. } | RunnerMessage::Done { .. } | RunnerMessage::Exited {} => {}
        }
    }

    async fn read_available(&mut self) {
        while self.write_again_at.is_none() && self.read_batch() {
            tokio::task::yield_now().await;
        }
    }

    /// Reads some records; whether there may be more.
    fn read_batch(&mut self) -> bool {
        if self.journal_broken {
            return false;
        }
        let began = self.journal.offset();
        let more = loop {
            match self.journal.step() {
                Ok(Step::Record(record)) => {
                    let facts = self.projection.on_record(&record);
                    self.take(facts);
                }
                Ok(Step::Gap) => {
                    let facts = self.projection.cut(self.journal.offset());
                    self.take(facts);
                }
                Ok(Step::End) => break false,
                Err(error) => {
                    tracing::error!(job = %self.job, error = %error_chain(&error), "the journal cannot be read on");
                    self.journal_broken = true;
                    break false;
                }
            }
            if self.journal.offset() - began >= BYTES_AT_ONCE {
                break true;
            }
        };
        if self.journal.offset() > began {
            crate::test_hooks::reach("events_appended");
            self.flush();
            crate::test_hooks::reach("events_flushed");
        }
        more
    }

    fn take(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            let (job, attempt) = (self.job.clone(), self.attempt);
            match fact {
                Fact::Event { source, at, event } => self.append(source, at, event),
                Fact::Running { pid, containment } => {
                    self.live.set_process(Process {
                        pid,
                        containment: containment.clone(),
                    });
                    self.daemon.submit(Input::AttemptRunning {
                        job,
                        attempt,
                        pid: Some(pid),
                        containment,
                    });
                }
                Fact::Thread(thread) => self.daemon.submit(Input::ThreadKnown {
                    job,
                    attempt,
                    thread,
                }),
                Fact::LastWord => {
                    self.drain_until = self.drain_until.or(drain_until(&self.projection));
                    self.daemon.submit(Input::LastWord { job, attempt });
                }
            }
        }
    }

    fn append(
        &mut self,
        source: Source,
        at: convoke_core::time::UnixMillis,
        event: convoke_core::event::NewEvent,
    ) {
        if self.ending && self.write_again_at.is_some() {
            // Not held in memory: the file is written anew from the journal
            // before the job is finalised.
            self.live.set_incomplete(true);
            self.live.set_unwritten();
            return;
        }
        let appended = self.live.events().append(source, at, event);
        if let Err(error) = appended {
            self.write_later(&error);
        }
    }

    fn write_later(&mut self, error: &EventFileError) {
        if self.write_again_at.is_none() {
            tracing::error!(job = %self.job, error = %error_chain(error), "events cannot be written; it is tried again");
        }
        self.write_again_at = Some(Instant::now() + WRITE_AGAIN);
    }

    /// Lets readers see what was read, and plans a checkpoint.
    fn flush(&mut self) {
        let flushed = self.live.events().flush();
        match flushed {
            Ok(len) => {
                self.write_again_at = None;
                self.live.set_events_len(len);
            }
            Err(error) => self.write_later(&error),
        }
        self.live.set_output(self.projection.output(JournalPoint {
            attempt: self.attempt,
            offset: self.journal.offset(),
        }));
        if self.journal.offset() > self.checkpointed {
            self.checkpoint_at
                .get_or_insert(Instant::now() + CHECKPOINT_EVERY);
        }
    }

    fn checkpoint(&mut self) {
        self.checkpoint_at = None;
        let Ok(driver) = serde_json::to_value(self.projection.checkpoint()) else {
            return;
        };
        let (event_file_len, events_seq) = {
            let mut events = self.live.events();
            let Ok(len) = events.flush() else { return };
            (len, events.last_seq())
        };
        self.checkpointed = self.journal.offset();
        self.daemon.submit_checkpoint(Checkpoint {
            job: self.job.clone(),
            attempt: self.attempt,
            journal_offset: self.checkpointed,
            event_file_len,
            events_seq,
            driver,
        });
    }

    /// Sends the stop that was asked for, unless it was sent already.
    async fn pass_on_stop(&mut self) {
        let asked = *self.stops.borrow_and_update();
        let Some(stop) = asked else { return };
        if !self.connected || self.stop_sent == Some(stop) {
            return;
        }
        let reason = stop.reason.as_str().to_owned();
        let force = stop.force;
        let sent = self
            .link
            .send(|id| DaemonMessage::Stop {
                id,
                force,
                reason,
                grace_ms: None,
            })
            .await;
        if sent {
            crate::test_hooks::reach("stop_sent");
            self.stop_sent = Some(stop);
        } else {
            self.connected = false;
        }
    }

    /// Lets a held agent go as soon as it may.
    async fn let_go(&mut self) {
        if !self.held || !*self.may_go.borrow_and_update() || self.stop_sent.is_some() {
            return;
        }
        let sent = self.link.send(|id| DaemonMessage::Go { id }).await;
        crate::test_hooks::reach("go_sent");
        self.held = false;
        // Otherwise the next `hello` says whether it still waits.
        self.connected &= sent;
    }

    /// The agent has said its last word and does not end.
    async fn end_after_last_word(&mut self) {
        self.drain_until = None;
        if self.stop_sent.is_some() {
            return;
        }
        let reason = AFTER_LAST_WORD.to_owned();
        let sent = self
            .link
            .send(|id| DaemonMessage::Stop {
                id,
                force: false,
                reason,
                grace_ms: Some(1_000),
            })
            .await;
        if !sent {
            self.drain_until = Some(Instant::now() + STOP_AGAIN);
        }
    }
}

enum Next {
    Heard(Heard),
    Stop,
    Go,
    Nothing,
    Drained,
    Checkpoint,
    WriteAgain,
    Shutdown,
}

/// Waits until the instant, for ever if there is none.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// The journal offset and projection of the last checkpoint, if there is one.
fn restore(daemon: &Daemon, job: &Job, attempt: u32) -> Option<(u64, State)> {
    let checkpoint = match daemon.store.checkpoint_of(&job.id, attempt) {
        Ok(checkpoint) => checkpoint?,
        Err(error) => {
            tracing::warn!(job = %job.id, error = %error_chain(&error), "the checkpoint cannot be read; the journal is read from its start");
            return None;
        }
    };
    match serde_json::from_value(checkpoint.driver) {
        Ok(state) => Some((checkpoint.journal_offset, state)),
        Err(error) => {
            tracing::warn!(job = %job.id, %error, "the checkpoint is of another version; the journal is read from its start");
            None
        }
    }
}

/// Until when an agent that has ended its turn may take to exit. It counts from
/// its last word: daemons that die young must not let it stay for ever.
fn drain_until(projection: &Projection) -> Option<Instant> {
    if !projection.said_last_word() {
        return None;
    }
    let since = projection.last_word_at().unwrap_or_else(clock::now);
    let over = Duration::from_millis(clock::now().since(since));
    Some(Instant::now() + DRAIN.saturating_sub(over))
}
