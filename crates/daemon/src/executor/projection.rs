//! Journal records in, events and facts out. No I/O, so that the live job, a
//! restart and a rebuild all take the same path.

use std::sync::Arc;

use convoke_agents::{
    any::AnyDriver,
    driver::{Account, AgentExit, Derived, Driver, Stream as AgentStream},
};
use convoke_core::{
    event::{EventKind, NewEvent, Source},
    mask::Masker,
    runner_protocol::{Control, Line, LineAssembler, Record, Rung, Stream},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

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
    /// What the sandbox denied, with the remedy; the first few.
    #[serde(default)]
    denied: Vec<String>,
}

/// Denied actions that are kept for the result.
pub const MOST_DENIED: usize = 20;

/// Reads the journal of one attempt.
#[derive(Debug)]
pub struct Projection {
    attempt: u32,
    state: State,
    lines: LineAssembler,
    masker: Arc<Masker>,
    /// Offset and number of the events derived at that offset.
    place: (u64, u32),
    last_output: Option<UnixMillis>,
}

impl Projection {
    /// Begins at the start of the journal.
    #[must_use]
    pub fn new(attempt: u32, driver: AnyDriver, masker: Arc<Masker>) -> Self {
        let state = State {
            driver,
            containment: String::new(),
            said_last_word: false,
            denied: Vec::new(),
        };
        Self::resume(attempt, state, masker)
    }

    /// Goes on from a checkpoint, which lies between two records.
    #[must_use]
    pub fn resume(attempt: u32, state: State, masker: Arc<Masker>) -> Self {
        Self {
            attempt,
            state,
            lines: LineAssembler::with_max(MAX_LINE),
            masker,
            place: (u64::MAX, 0),
            last_output: None,
        }
    }

    /// The state to restore later, unless a line is incomplete just now.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&State> {
        self.lines.pending_from().is_none().then_some(&self.state)
    }

    /// Whether the agent has ended its turn.
    #[must_use]
    pub fn said_last_word(&self) -> bool {
        self.state.said_last_word
    }

    /// What the sandbox denied, with the remedy.
    #[must_use]
    pub fn denied(&self) -> &[String] {
        &self.state.denied
    }

    /// When the agent last printed something, as far as read.
    #[must_use]
    pub fn last_output(&self) -> Option<UnixMillis> {
        self.last_output
    }

    /// What the attempt came to, by what the agent said.
    #[must_use]
    pub fn account(&self, exit: AgentExit) -> Account {
        self.state.driver.account(exit)
    }

    /// Reads one record.
    pub fn on_record(&mut self, record: &Record) -> Vec<Fact> {
        let mut facts = Vec::new();
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
            }
        }
        facts
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
        let masked = self.masker.mask(&line.bytes).into_owned();
        for derived in self.state.driver.on_line(stream, &masked) {
            match derived {
                Derived::Event(event) => self.event(offset, at, event, facts),
                Derived::Thread(thread) => facts.push(Fact::Thread(thread)),
                Derived::LastWord => {
                    self.state.said_last_word = true;
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
