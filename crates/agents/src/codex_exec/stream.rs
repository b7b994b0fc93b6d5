//! What `codex exec --json` prints, as events, and what came of the turn.
//!
//! The end of a turn is what the stream says (`turn.completed`,
//! `turn.failed`). The exit code counts only when the stream says nothing:
//! some releases do not even end after their last event.

use std::collections::BTreeMap;

use convoke_core::{
    event::{EventKind, NewEvent},
    failure::{Failure, FailureCode},
    sandbox::Sandbox,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    denials,
    failure_codes::classify,
    items::{self, Phase},
    reset_time,
    stderr::Stderr,
};
use crate::driver::{Account, AgentExit, Derived, Driver, Stream};

/// Version of the stored form of [`CodexExec`].
const VERSION: u32 = 1;
/// Beginning of the message of an `error` event by which Codex says that it
/// tries to reach its provider again.
const RECONNECTING: &str = "Reconnecting";
/// Kinds of items that are tool calls.
const TOOLS: [&str; 3] = ["command_execution", "mcp_tool_call", "web_search"];
/// At most so many bytes of an error message are kept.
const KEPT_ERROR: usize = 2000;

/// Reads the output of one turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodexExec {
    version: u32,
    sandbox: Sandbox,
    turn: Turn,
    /// The last thing the agent said in this turn.
    #[serde(default)]
    final_message: Option<String>,
    /// Tokens, as the last `turn.completed` gives them.
    #[serde(default)]
    usage: Option<Value>,
    /// The last `error` event, reconnect notices included, unless the agent
    /// went on after it.
    #[serde(default)]
    last_error: Option<String>,
    #[serde(default)]
    stderr: Stderr,
    /// Items that started and have not completed: id and kind.
    #[serde(default)]
    open_items: BTreeMap<String, String>,
    /// How often the sandbox refused something.
    #[serde(default)]
    denials: u64,
}

/// How far the turn is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Turn {
    /// Nothing was said about it yet.
    Awaited,
    /// It goes on.
    Running,
    /// It was completed.
    Completed,
    /// It failed.
    Failed {
        /// Why, in the agent's words.
        message: String,
    },
}

impl CodexExec {
    /// A driver for one attempt in `sandbox`.
    #[must_use]
    pub fn new(sandbox: Sandbox) -> Self {
        Self {
            version: VERSION,
            sandbox,
            turn: Turn::Awaited,
            final_message: None,
            usage: None,
            last_error: None,
            stderr: Stderr::default(),
            open_items: BTreeMap::new(),
            denials: 0,
        }
    }

    /// How often the sandbox was seen to refuse a command or patch. Quick
    /// denials leave no trace, so zero proves nothing.
    #[must_use]
    pub fn denials(&self) -> u64 {
        self.denials
    }

    /// The items that started and have not completed: id and kind.
    pub fn open_items(&self) -> impl Iterator<Item = (&str, &str)> {
        let items = self.open_items.iter();
        items.map(|(id, kind)| (id.as_str(), kind.as_str()))
    }

    fn on_stdout(&mut self, text: &str) -> Vec<Derived> {
        // A lenient value: some objects have the same key twice.
        let value = match serde_json::from_str::<Value>(text) {
            Ok(value) if value["type"].is_string() => value,
            _ => return vec![progress(json!({"kind": "output", "text": text}))],
        };
        match value["type"].as_str().unwrap_or_default() {
            "thread.started" => thread_started(&value),
            "turn.started" => {
                self.turn = Turn::Running;
                self.final_message = None;
                vec![progress(json!({"kind": "turn_started"}))]
            }
            "turn.completed" => self.turn_completed(&value),
            "turn.failed" => self.turn_failed(&value),
            "error" => self.error(&value),
            "item.started" => self.item(&value, Phase::Started),
            "item.updated" => self.item(&value, Phase::Updated),
            "item.completed" => self.item(&value, Phase::Completed),
            kind => vec![progress(
                json!({"kind": "unknown", "type": kind, "raw": value}),
            )],
        }
    }

    fn turn_completed(&mut self, value: &Value) -> Vec<Derived> {
        self.turn = Turn::Completed;
        self.usage = value.get("usage").filter(|usage| !usage.is_null()).cloned();
        let event = json!({"kind": "turn_completed", "usage": self.usage});
        vec![progress(event), Derived::LastWord]
    }

    fn turn_failed(&mut self, value: &Value) -> Vec<Derived> {
        let message = unwrapped(
            value["error"]["message"]
                .as_str()
                .unwrap_or("no reason given"),
        );
        let event = NewEvent::new(
            EventKind::Error,
            json!({"kind": "turn_failed", "message": message, "code": classify(&message)}),
        );
        self.turn = Turn::Failed {
            message: cut(&message),
        };
        vec![Derived::Event(event), Derived::LastWord]
    }

    fn error(&mut self, value: &Value) -> Vec<Derived> {
        let message = unwrapped(value["message"].as_str().unwrap_or_default());
        self.last_error = Some(cut(&message));
        if message.starts_with(RECONNECTING) {
            return vec![progress(
                json!({"kind": "reconnecting", "message": message}),
            )];
        }
        let event = NewEvent::new(EventKind::Error, json!({"message": message}));
        vec![Derived::Event(event)]
    }

    fn item(&mut self, value: &Value, phase: Phase) -> Vec<Derived> {
        let item = &value["item"];
        let kind = item["type"].as_str().unwrap_or_default();
        self.note_open(item, kind, phase);
        if kind != "error" {
            // The agent goes on, so what was wrong is over.
            self.last_error = None;
        }
        let mut derived = vec![Derived::Event(items::event(item, phase, value))];
        let said = item["text"].as_str().filter(|text| !text.trim().is_empty());
        match (kind, phase, said) {
            ("agent_message", Phase::Completed, Some(text)) => {
                self.final_message = Some(text.to_owned());
            }
            ("command_execution", Phase::Completed, _) => {
                derived.extend(self.denied(denials::in_command(item, self.sandbox)));
            }
            ("collab_tool_call", Phase::Started, _) => derived.push(violation(item)),
            _ => {}
        }
        derived
    }

    fn note_open(&mut self, item: &Value, kind: &str, phase: Phase) {
        let Some(id) = item["id"].as_str() else {
            return;
        };
        match phase {
            Phase::Started => {
                self.open_items.insert(id.to_owned(), kind.to_owned());
            }
            Phase::Updated => {}
            Phase::Completed => {
                self.open_items.remove(id);
            }
        }
    }

    fn denied(&mut self, event: Option<NewEvent>) -> Option<Derived> {
        let event = event?;
        // A damaged checkpoint may hold any number.
        self.denials = self.denials.saturating_add(1);
        Some(Derived::Event(event))
    }

    fn on_stderr(&mut self, text: &str) -> Vec<Derived> {
        if text.trim().is_empty() {
            return Vec::new();
        }
        self.stderr.note(text);
        let mut derived = vec![progress(json!({"kind": "stderr", "text": text}))];
        derived.extend(self.denied(denials::in_stderr(text, self.sandbox)));
        derived
    }

    /// The agent's own word on how long a rate limit lasts.
    fn resets_in_ms(&self) -> Option<u64> {
        let message = match &self.turn {
            Turn::Failed { message } => message,
            _ => self.last_error.as_ref()?,
        };
        reset_time::in_message(message)
    }

    /// The failure of a turn whose end the stream does not tell.
    fn unfinished(&self, exit: AgentExit) -> Failure {
        let how = match exit {
            AgentExit::Code(code) => format!("exit code {code}"),
            AgentExit::Signal(signal) => format!("signal {signal}"),
        };
        let reason = self.stderr.reason().or(self.last_error.as_deref());
        let code = reason.map_or(FailureCode::AgentFailed, classify);
        let message = match (&self.turn, reason) {
            (Turn::Awaited, Some(reason)) => {
                format!("codex ended with {how} before its turn: {reason}")
            }
            (Turn::Awaited, None) => format!("codex ended with {how} before its turn"),
            (_, Some(reason)) => {
                format!("codex ended with {how} in the middle of its turn: {reason}")
            }
            (_, None) => format!("codex ended with {how} in the middle of its turn"),
        };
        Failure::new(code, message)
    }
}

impl Driver for CodexExec {
    fn on_line(&mut self, stream: Stream, line: &[u8]) -> Vec<Derived> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        match stream {
            Stream::Stdout if text.trim().is_empty() => Vec::new(),
            Stream::Stdout => self.on_stdout(text),
            Stream::Stderr => self.on_stderr(text),
        }
    }

    fn waits_for_provider(&self) -> Option<&str> {
        let running = matches!(self.turn, Turn::Awaited | Turn::Running);
        let message = self.last_error.as_deref().filter(|_| running)?;
        message.starts_with(RECONNECTING).then_some(message)
    }

    fn open_tool(&self) -> Option<(&str, &str)> {
        // Ids end in a number that grows, so the shortest and least is oldest.
        self.open_items()
            .filter(|(_, kind)| TOOLS.contains(kind))
            .min_by_key(|(id, _)| (id.len(), *id))
    }

    fn account(&self, exit: AgentExit) -> Account {
        let failure = match &self.turn {
            // Whatever the exit code: the work is done, and ending a process
            // that does not end by itself gives it a bad one.
            Turn::Completed => None,
            Turn::Failed { message } => Some(Failure::new(
                classify(message),
                format!("the turn of codex failed: {message}"),
            )),
            Turn::Awaited | Turn::Running => Some(self.unfinished(exit)),
        };
        Account {
            failure,
            final_message: self.final_message.clone(),
            usage: self.usage.clone(),
            trouble: self.last_error.clone(),
            waited_for: self.last_error.as_deref().and_then(provider_fault),
            resets_in_ms: self.resets_in_ms(),
        }
    }
}

/// The failure code of trouble that comes from the provider and passes.
fn provider_fault(message: &str) -> Option<FailureCode> {
    let code = classify(message);
    matches!(
        code,
        FailureCode::Network | FailureCode::RateLimited | FailureCode::Overloaded
    )
    .then_some(code)
}

fn progress(content: Value) -> Derived {
    Derived::Event(NewEvent::new(EventKind::Progress, content))
}

fn thread_started(value: &Value) -> Vec<Derived> {
    let id = value["thread_id"].as_str();
    let event = progress(json!({"kind": "thread_started", "threadId": id}));
    let thread = id.map(|id| Derived::Thread(id.to_owned()));
    thread.into_iter().chain([event]).collect()
}

/// The tools are switched off, so a release that still offers them, or a
/// configuration that brings them back, is worth being told about.
fn violation(item: &Value) -> Derived {
    Derived::Event(NewEvent::new(
        EventKind::Violation,
        json!({
            "rule": "sub_agent",
            "itemId": item["id"],
            "message": "the agent used sub-agents of its own, which are switched off for jobs",
        }),
    ))
}

/// Some providers' errors arrive as the JSON they were sent as.
fn unwrapped(message: &str) -> String {
    let parsed: Option<Value> = message
        .starts_with('{')
        .then(|| serde_json::from_str(message).ok())
        .flatten();
    let inner = parsed.as_ref().and_then(|value| {
        [
            &value["error"]["message"],
            &value["detail"],
            &value["message"],
        ]
        .into_iter()
        .find_map(Value::as_str)
    });
    inner.unwrap_or(message).to_owned()
}

fn cut(message: &str) -> String {
    message[..message.floor_char_boundary(KEPT_ERROR)].to_owned()
}

#[cfg(test)]
mod tests;
