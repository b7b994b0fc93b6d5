//! The runner at work: one `poll` over everything, then what is due.
//!
//! `mod.rs` holds the loop, `output.rs` the agent's output, `commands.rs` what the
//! daemon asks for, `stopping.rs` limits and the stop ladder, `ending.rs` the end.

mod commands;
mod ending;
mod output;
mod stopping;

use std::os::fd::{BorrowedFd, OwnedFd};

use convoke_core::runner_protocol::{
    Control, ExitCause, MAX_CHUNK, RunnerMessage, RunnerSpec, StartFailure, Stream,
};
use rustix::event::{PollFd, PollFlags, poll};

use crate::accounting::Accounting;
use crate::contain::{Agent, AgentExit, Container};
use crate::folder::{Folder, Standing};
use crate::hooks::{Hooks, Point};
use crate::input::{Input, Progress};
use crate::journal::Journal;
use crate::ladder::Ladder;
use crate::launch::{self, Program, StartError};
use crate::signals::Signals;
use crate::socket::{ConnectionId, Server};
use crate::sweep::timespec;
use crate::{clock, startup};

/// How often a runner looks around when nothing happens, in milliseconds.
const HOUSEKEEPING_MS: u64 = 10_000;

/// How long the pipes of an agent that ended may stay open, in milliseconds. A
/// background process that holds them must not hold the end.
const DRAIN_MS: u64 = 250;

/// One agent and everything around it.
#[derive(Debug)]
pub struct Supervisor<'a> {
    folder: &'a Folder,
    spec: &'a RunnerSpec,
    hooks: Hooks,
    program: Program,
    signals: Signals,
    server: Server,
    journal: Journal,
    /// The journal could not be written: nothing more is.
    journal_broken: bool,
    container: Container,
    agent: Option<Agent>,
    exit: Option<AgentExit>,
    /// The agent is to be started by command.
    held: bool,
    /// The program was executed.
    started: bool,
    input: Input,
    /// Lets the agent's process go on.
    go: OwnedFd,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// Brings the error of a failed start, or its own end.
    start_error: Option<OwnedFd>,
    buffer: Box<[u8]>,
    accounting: Accounting,
    ladder: Option<Ladder>,
    cause: Option<ExitCause>,
    last_command: u64,
    /// The journal's length has to be told.
    announce: bool,
    /// Until when the output of an ended agent is waited for.
    drain_until: Option<u64>,
    /// The ladder is at its end and the agent still there.
    given_up: bool,
    next_look: u64,
    /// Since when no daemon is connected.
    alone_since: Option<u64>,
}

/// What a ready descriptor is.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Container,
    StartError,
    Output(Stream),
    Input,
    Listener,
    Connection(ConnectionId),
}

impl<'a> Supervisor<'a> {
    /// Prepares everything up to the point where the agent can be started:
    /// socket, `runner.json`, journal, containment.
    ///
    /// # Errors
    /// The agent cannot be started.
    pub fn new(folder: &'a Folder, spec: &'a RunnerSpec, hooks: Hooks) -> Result<Self, StartError> {
        let server = Server::bind(&spec.socket)
            .map_err(other(&format!("socket {}", spec.socket.display())))?;
        startup::write_identity(folder, spec).map_err(other("runner.json"))?;
        hooks.reach(Point::RunnerIdentified);
        let program = Program::prepare(spec)?;
        let journal = Journal::create(folder, spec.journal_cap_bytes).map_err(other("journal"))?;
        let signals = Signals::install().map_err(other("signals"))?;
        let (ends, child_ends) = launch::pipes().map_err(other("pipes"))?;
        let container = Container::new(spec, &program, child_ends)?;
        startup::leave_output().map_err(other("null device"))?;
        hooks.reach(Point::RunnerContained);
        let now = clock::mono_ms();
        let input = Input::new(ends.stdin, &spec.stdin.text, spec.stdin.keep_stdin_open);
        Ok(Self {
            folder,
            spec,
            hooks,
            program,
            signals,
            server,
            journal,
            journal_broken: false,
            container,
            agent: None,
            exit: None,
            held: spec.hold,
            started: false,
            input,
            go: ends.go,
            stdout: Some(ends.stdout),
            stderr: Some(ends.stderr),
            start_error: Some(ends.error),
            buffer: vec![0; MAX_CHUNK].into_boxed_slice(),
            accounting: Accounting::new(spec.limits),
            ladder: None,
            cause: None,
            last_command: 0,
            announce: false,
            drain_until: None,
            given_up: false,
            next_look: now + HOUSEKEEPING_MS,
            alone_since: Some(now),
        })
    }

    /// Starts the agent and keeps it to its end; true when `exit.json` was written.
    pub fn run(mut self) -> bool {
        self.note_containment();
        if !self.held {
            self.start_agent();
        }
        while !self.is_over() {
            let ready = self.wait();
            for (source, flags) in ready {
                self.handle(source, flags);
            }
            self.after_events();
        }
        self.end()
    }

    /// Whether there is nothing left to wait for.
    fn is_over(&self) -> bool {
        let silent = self.stdout.is_none() && self.stderr.is_none();
        let drained = self
            .drain_until
            .is_some_and(|until| silent || clock::mono_ms() >= until);
        let gone = matches!(
            self.cause,
            Some(ExitCause::FolderGone | ExitCause::Superseded)
        );
        drained || self.given_up || gone
    }

    /// Waits for descriptors and deadlines; what is ready.
    fn wait(&self) -> Vec<(Source, PollFlags)> {
        let now = clock::mono_ms();
        let deadline = self.next_deadline(now);
        let (sources, mut fds): (Vec<Source>, Vec<PollFd<'_>>) = self
            .interests()
            .into_iter()
            .map(|(source, fd, flags)| (source, PollFd::from_borrowed_fd(fd, flags)))
            .unzip();
        let limit = timespec(deadline.saturating_sub(now));
        // Interrupted: nothing is ready, and what is due is looked at all the same.
        if poll(&mut fds, Some(&limit)).is_err() {
            return Vec::new();
        }
        sources
            .into_iter()
            .zip(fds.iter().map(PollFd::revents))
            .filter(|(_, flags)| !flags.is_empty())
            .collect()
    }

    fn interests(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        use std::os::fd::AsFd as _;
        let mut list = Vec::with_capacity(10);
        list.push((Source::Signals, self.signals.as_fd(), PollFlags::IN));
        list.push((Source::Listener, self.server.listener(), PollFlags::IN));
        if let Some(fd) = self.container.wake_fd() {
            list.push((Source::Container, fd, PollFlags::IN));
        }
        if let Some(fd) = &self.start_error {
            list.push((Source::StartError, fd.as_fd(), PollFlags::IN));
        }
        if self.reads_output() {
            for (stream, pipe) in [(Stream::Out, &self.stdout), (Stream::Err, &self.stderr)] {
                if let Some(fd) = pipe {
                    list.push((Source::Output(stream), fd.as_fd(), PollFlags::IN));
                }
            }
        }
        if let Some(fd) = self.input.wants() {
            list.push((Source::Input, fd, PollFlags::OUT));
        }
        for (id, fd, write) in self.server.connections() {
            let flags = if write {
                PollFlags::IN | PollFlags::OUT
            } else {
                PollFlags::IN
            };
            list.push((Source::Connection(id), fd, flags));
        }
        list
    }

    fn next_deadline(&self, now: u64) -> u64 {
        let orphan = self
            .alone_since
            .zip(self.spec.orphan_ttl_ms)
            .filter(|_| self.ladder.is_none() && self.exit.is_none())
            .map(|(since, ttl)| since.saturating_add(ttl));
        let limit = match self.ladder {
            None if self.exit.is_none() => self.accounting.next_deadline(now),
            _ => None,
        };
        let ladder = self
            .ladder
            .as_ref()
            .filter(|_| self.exit.is_none())
            .map(Ladder::deadline);
        [
            Some(self.next_look),
            self.journal.sync_due().filter(|_| !self.journal_broken),
            self.drain_until,
            orphan,
            limit,
            ladder,
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(now)
    }

    fn handle(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Signals => {
                let pending = self.signals.take();
                if pending.terminate {
                    self.told_to_end();
                }
                self.reap();
            }
            Source::Container => self.reap(),
            Source::StartError => self.read_start_error(),
            Source::Output(stream) => {
                self.read_output(stream);
            }
            Source::Input => self.write_input(),
            Source::Listener => self.server.accept(),
            Source::Connection(id) => {
                if flags.contains(PollFlags::OUT) {
                    self.server.flush(id);
                }
                if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    self.read_commands(id);
                }
            }
        }
    }

    /// What follows from what just happened, and what time has brought.
    fn after_events(&mut self) {
        let now = clock::mono_ms();
        if self.server.drop_ended() {
            self.alone_since = Some(now);
        }
        self.check_limits(now);
        self.climb(now);
        if now >= self.next_look {
            self.look_around(now);
        }
        if self.journal.sync_due().is_some_and(|due| now >= due) && !self.journal_broken {
            self.sync_journal();
        }
        self.announce_length();
    }

    /// Tells the journal's length, once for all that was appended since, and only
    /// when the daemon took the last message.
    fn announce_length(&mut self) {
        if self.announce && self.server.is_drained() {
            self.announce = false;
            let journal_len = self.journal.len();
            self.server
                .send_current(&RunnerMessage::Len { journal_len });
        }
    }

    fn look_around(&mut self, now: u64) {
        self.next_look = now + HOUSEKEEPING_MS;
        match self.folder.standing() {
            Standing::Ours => {}
            Standing::Gone => self.cause = Some(ExitCause::FolderGone),
            Standing::Superseded => self.cause = Some(ExitCause::Superseded),
        }
        if let Some(processes) = self.container.observe() {
            self.record_control(&Control::Descendants { processes });
        }
    }

    /// Says that a point has come at which the agent is there.
    fn reach(&self, point: Point) {
        self.hooks.reach(point);
        if self.hooks.agent_dies_at(point)
            && let Some(agent) = &self.agent
        {
            let _ = agent.handle.signal(rustix::process::Signal::KILL);
        }
    }

    fn note_containment(&mut self) {
        let (rung, detail) = {
            let report = self.container.report();
            (report.rung, report.detail.clone())
        };
        self.record_control(&Control::Contained { rung, detail });
    }

    /// Lets the agent go.
    fn start_agent(&mut self) {
        match self.container.start(&self.program, &self.go) {
            Ok(agent) => {
                self.record_control(&Control::AgentStarted {
                    pid: agent.process.pid,
                    start_time: agent.process.start_time,
                });
                self.agent = Some(agent);
                self.reach(Point::AgentHeld);
                self.accounting.start(clock::mono_ms());
                // A failed write means the agent is gone; its end is coming.
                let _ = rustix::io::write(&self.go, b"x");
                self.reach(Point::AgentStarted);
            }
            Err(error) => {
                // Nothing was executed: what was to hold the agent is gone.
                self.started = false;
                self.cause = Some(ExitCause::Lost {
                    message: format!("the agent could not be started: {error}"),
                });
                self.given_up = true;
            }
        }
    }

    /// Notices the end of the agent.
    fn reap(&mut self) {
        let Some(exit) = self.container.reap() else {
            return;
        };
        self.exit = Some(exit);
        self.agent = None;
        self.read_start_error();
        self.record_control(&Control::AgentExited {
            exit_code: exit.exit_code,
            signal: exit.signal,
        });
        self.hooks.reach(Point::AgentExited);
        if let Progress::Closed(ids) = self.input.close() {
            self.refuse_all(ids, "the agent ended");
        }
        self.drain_until = Some(clock::mono_ms() + DRAIN_MS);
    }
}

/// A start error of no particular kind, about `what`.
fn other(what: &str) -> impl Fn(std::io::Error) -> StartError {
    move |error| StartError::new(StartFailure::Other, format!("{what}: {error}"))
}
