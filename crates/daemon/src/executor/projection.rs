//! Journal records in, events and facts out. No I/O, so that the live job, a
//! restart and a rebuild all take the same path.

use std::sync::Arc;

use convoke_agents::{
    any::AnyDriver,
    driver::{Account, AgentExit, Derived, Driver, Stream as AgentStream},
};
use convoke_core::{
    event::{EventKind, NewEvent, Source},
    lifecycle::JournalPoint,
    liveness::Lasting,
    mask::Masker,
    runner_protocol::{Control, Line, LineAssembler, Record, Rung, Stream},
    time::{Moment, UnixMillis},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::live::Output;

/// Longest line given to a driver, bytes. A longer one cannot be an event of
/// any agent; it is reported and left to the journal.
const MAX_LINE: usize = 8 * 1024 * 1024;

/// Most bytes of consecutive lines that become one event.
const LONGEST_BLOCK: usize = 32 * 1024;

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// An event for the job's feed.
    Event {
        /// Its place.
        source: Source,
        /// When.
        at: UnixMillis,
        /// What.
        event: NewEvent,
    },
    /// The agent's process runs.
    Running {
        /// Its process id.
        pid: u32,
        /// How its tree is held.
        containment: String,
    },
    /// The agent named its conversation.
    Thread(String),
    /// The agent has ended its turn.
    LastWord,
}

/// What is kept between records; serialised, it is the checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    driver: AnyDriver,
    containment: String,
    said_last_word: bool,
    /// When, as its runner stamped it.
    #[serde(default)]
    last_word_at: Option<UnixMillis>,
    /// What the sandbox denied, with the remedy; the first few.
    #[serde(default)]
    denied: Vec<String>,
    /// In a checkpoint: where to read again from, so that lines in progress come
    /// whole. What ended between there and the checkpoint counts already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lines_from: Option<u64>,
    /// Since when the agent waits for its provider.
    #[serde(default)]
    provider_wait_since: Option<UnixMillis>,
    /// The tool call that has lasted longest: its id, and since when.
    #[serde(default)]
    open_tool: Option<(String, UnixMillis)>,
    /// When the agent was started.
    #[serde(default)]
    started: Option<Moment>,
    /// The last sign of life.
    #[serde(default)]
    last_life: Option<Moment>,
}

/// Denied actions that are kept for the result.
pub const MOST_DENIED: usize = 20;

/// Reads the journal of one attempt.
#[derive(Debug)]
pub struct Projection {
    attempt: u32,
    state: State,
    /// Records before this offset only complete the lines in progress.
    counts_from: u64,
    lines: LineAssembler,
    masker: Arc<Masker>,
    /// Offset and number of the events derived at that offset.
    place: (u64, u32),
    last_output: Option<UnixMillis>,
}

impl State {
    /// Where to read from to go on from a checkpoint at `offset`.
    #[must_use]
    pub fn reads_from(&self, offset: u64) -> u64 {
        self.lines_from.unwrap_or(offset)
    }
}

impl Projection {
    /// Begins at the start of the journal.
    #[must_use]
    pub fn new(attempt: u32, driver: AnyDriver, masker: Arc<Masker>) -> Self {
        let state = State {
            driver,
            containment: String::new(),
            said_last_word: false,
            last_word_at: None,
            denied: Vec::new(),
            lines_from: None,
            provider_wait_since: None,
            open_tool: None,
            started: None,
            last_life: None,
        };
        Self::resume(attempt, state, 0, masker)
    }

    /// Goes on from a checkpoint at `offset`, which lies between two records.
    /// Records are to be given from [`State::reads_from`] on.
    #[must_use]
    pub fn resume(attempt: u32, mut state: State, offset: u64, masker: Arc<Masker>) -> Self {
        state.lines_from = None;
        Self {
            attempt,
            state,
            counts_from: offset,
            lines: LineAssembler::with_max(MAX_LINE),
            masker,
            place: (u64::MAX, 0),
            last_output: None,
        }
    }

    /// The state to restore later.
    #[must_use]
    pub fn checkpoint(&self) -> State {
        State {
            lines_from: self.lines.pending_from(),
            ..self.state.clone()
        }
    }

    /// Whether the agent has ended its turn.
    #[must_use]
    pub fn said_last_word(&self) -> bool {
        self.state.said_last_word
    }

    /// When the agent ended its turn, if that is known.
    #[must_use]
    pub fn last_word_at(&self) -> Option<UnixMillis> {
        self.state.last_word_at
    }

    /// What the sandbox denied, with the remedy.
    #[must_use]
    pub fn denied(&self) -> &[String] {
        &self.state.denied
    }

    /// What was last read, for those who watch; `point` says how far.
    #[must_use]
    pub fn output(&self, point: JournalPoint) -> Output {
        let waits = self.state.driver.waits_for_provider();
        let tool = self.state.driver.open_tool();
        Output {
            point: Some(point),
            last_at: self.last_output,
            last_life: self.state.last_life,
            started: self.state.started,
            provider_wait: self
                .state
                .provider_wait_since
                .zip(waits)
                .map(|(since, what)| Lasting {
                    since,
                    what: what.to_owned(),
                }),
            open_tool: self
                .state
                .open_tool
                .as_ref()
                .zip(tool)
                .map(|((_, since), (_, what))| Lasting {
                    since: *since,
                    what: what.to_owned(),
                }),
        }
    }

    /// What the attempt came to, by what the agent said.
    #[must_use]
    pub fn account(&self, exit: AgentExit) -> Account {
        self.state.driver.account(exit)
    }

    /// Reads one record.
    pub fn on_record(&mut self, record: &Record) -> Vec<Fact> {
        let mut facts = Vec::new();
        if record.offset < self.counts_from {
            self.lines.push(record);
            return facts;
        }
        let at = UnixMillis(record.header.wall_ms);
        match record.header.stream {
            Stream::Ctl => self.on_control(record, at, &mut facts),
            Stream::In => {}
            Stream::Out | Stream::Err => {
                self.last_output = Some(at);
                let mut lines = self.lines.push(record);
                if self.state.driver.takes_blocks() {
                    lines = joined(lines);
                }
                for line in lines {
                    self.on_line(&line, line.record_offset, &mut facts);
                }
                self.note_signs(moment(record));
            }
        }
        facts
    }

    /// Keeps since when what the driver tells of lasts. Output is a sign of life
    /// unless the agent only says that it waits.
    fn note_signs(&mut self, moment: Moment) {
        let at = moment.wall;
        let driver = &self.state.driver;
        if driver.waits_for_provider().is_some() {
            self.state.provider_wait_since.get_or_insert(at);
        } else {
            self.state.provider_wait_since = None;
            self.state.last_life = Some(moment);
        }
        let open = driver.open_tool().map(|(id, _)| id);
        let known = self.state.open_tool.as_ref().map(|(id, _)| id.as_str());
        if open != known {
            self.state.open_tool = open.map(|id| (id.to_owned(), at));
        }
    }

    /// Reads what is left when the journal has ended at `end`.
    pub fn finish(&mut self, end: u64) -> Vec<Fact> {
        let mut facts = Vec::new();
        for line in self.lines.finish() {
            self.on_line(&line, end, &mut facts);
        }
        facts
    }

    /// Some records are missing: lines in progress cannot be completed.
    pub fn cut(&mut self, at_offset: u64) -> Vec<Fact> {
        let mut facts = Vec::new();
        for line in self.lines.cut() {
            self.on_line(&line, at_offset, &mut facts);
        }
        facts
    }

    /// What lies before `end` and was not read cannot be: the journal is
    /// damaged.
    pub fn damaged(&mut self, end: u64) -> Vec<Fact> {
        let mut facts = Vec::new();
        let at = self.last_output.unwrap_or_else(crate::clock::now);
        let content = json!({"kind": "journal_damaged",
            "message": "the journal of the attempt is damaged: part of the agent's output cannot be read"});
        self.event(
            end,
            at,
            NewEvent::new(EventKind::Error, content),
            &mut facts,
        );
        facts
    }

    fn on_control(&mut self, record: &Record, at: UnixMillis, facts: &mut Vec<Fact>) {
        let Ok(control) = serde_json::from_slice::<Control>(&record.data) else {
            return;
        };
        match control {
            Control::Contained { rung, .. } => self.state.containment = rung_name(rung).to_owned(),
            Control::AgentStarted { pid, .. } => {
                self.state.started = Some(moment(record));
                let pid = u32::try_from(pid).unwrap_or_default();
                let containment = self.state.containment.clone();
                let content =
                    json!({"attempt": self.attempt, "pid": pid, "containment": containment});
                self.event(
                    record.offset,
                    at,
                    NewEvent::new(EventKind::Spawned, content),
                    facts,
                );
                facts.push(Fact::Running { pid, containment });
            }
            Control::Quiet {
                silent_ms,
                limit_ms,
            } => {
                let content = json!({"kind": "quiet", "silentMs": silent_ms, "limitMs": limit_ms});
                let event = NewEvent::new(EventKind::Progress, content);
                self.event(record.offset, at, event, facts);
            }
            Control::Active { cpu_ms, io_bytes } => {
                self.state.last_life = Some(moment(record));
                let content = json!({"kind": "active", "cpuMs": cpu_ms, "ioBytes": io_bytes});
                let event = NewEvent::new(EventKind::Progress, content);
                self.event(record.offset, at, event, facts);
            }
            Control::LimitReached { limit } => {
                let content = json!({"kind": "limit_reached", "limit": limit});
                self.event(
                    record.offset,
                    at,
                    NewEvent::new(EventKind::Error, content),
                    facts,
                );
            }
            _ => {}
        }
    }

    fn on_line(&mut self, line: &Line, offset: u64, facts: &mut Vec<Fact>) {
        let at = UnixMillis(line.wall_ms);
        if line.truncated {
            let content = json!({"kind": "line_too_long", "bytesKept": line.bytes.len(),
                "message": "a line of output was too long to be read as an event; it is in the journal"});
            self.event(offset, at, NewEvent::new(EventKind::Error, content), facts);
            return;
        }
        let stream = match line.stream {
            Stream::Err => AgentStream::Stderr,
            _ => AgentStream::Stdout,
        };
        let masked = if line.terminated {
            self.masker.mask(&line.bytes)
        } else {
            // The agent may have been ended in the middle of a secret.
            self.masker.mask_open(&line.bytes)
        };
        let masked = masked.into_owned();
        for derived in self.state.driver.on_line(stream, &masked) {
            match derived {
                Derived::Event(event) => self.event(offset, at, event, facts),
                Derived::Thread(thread) => facts.push(Fact::Thread(thread)),
                Derived::LastWord => {
                    self.state.said_last_word = true;
                    self.state.last_word_at.get_or_insert(at);
                    facts.push(Fact::LastWord);
                }
            }
        }
    }

    fn event(&mut self, offset: u64, at: UnixMillis, event: NewEvent, facts: &mut Vec<Fact>) {
        if event.content["kind"] == "sandbox_denied" && self.state.denied.len() < MOST_DENIED {
            self.state.denied.push(denial_text(&event));
        }
        let index = if self.place.0 == offset {
            self.place.1 + 1
        } else {
            0
        };
        self.place = (offset, index);
        facts.push(Fact::Event {
            source: Source::Journal {
                attempt: self.attempt,
                offset,
                index,
            },
            at,
            event,
        });
    }
}

/// Consecutive lines as blocks of at most [`LONGEST_BLOCK`], or one line.
fn joined(lines: Vec<Line>) -> Vec<Line> {
    let mut blocks: Vec<Line> = Vec::new();
    for line in lines {
        match blocks.last_mut() {
            Some(block)
                if !block.truncated
                    && !line.truncated
                    && block.bytes.len() + line.bytes.len() < LONGEST_BLOCK =>
            {
                block.bytes.push(b'\n');
                block.bytes.extend_from_slice(&line.bytes);
            }
            _ => blocks.push(line),
        }
    }
    blocks
}

/// A denial as results show it.
#[must_use]
pub fn denial_text(event: &NewEvent) -> String {
    let said = |key: &str| event.content[key].as_str().unwrap_or_default();
    format!("{} ({})", said("message"), said("remedy"))
}

fn moment(record: &Record) -> Moment {
    Moment {
        wall: UnixMillis(record.header.wall_ms),
        mono_ms: record.header.mono_ms,
    }
}

/// The rung's name as stored and shown.
#[must_use]
pub fn rung_name(rung: Rung) -> &'static str {
    match rung {
        Rung::PidNamespace => "pid_namespace",
        Rung::Subreaper => "subreaper",
        Rung::ProcessGroup => "process_group",
        Rung::None => "none",
    }
}
