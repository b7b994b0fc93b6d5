//! Driver of a plain program: every line is an event, its exit code is the
//! outcome.

use std::{collections::VecDeque, path::Path};

use convoke_core::{
    event::{EventKind, NewEvent},
    failure::{Failure, FailureCode},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::driver::{Account, AgentExit, Derived, Driver, Interrupt, Launch, Stream};

/// Version of the stored form of [`Command`].
const VERSION: u32 = 1;
/// At most so many lines of stdout make up the final message.
const KEPT_LINES: usize = 200;
/// At most so many bytes of stdout make up the final message.
const KEPT_BYTES: usize = 64 * 1024;

/// How to start a program as it is. It reads nothing on stdin and is asked to
/// end by SIGTERM.
#[must_use]
pub fn launch(argv: &[String]) -> Launch {
    Launch {
        argv: argv.to_vec(),
        stdin: String::new(),
        interrupt: Interrupt::Term,
        waiting: Vec::new(),
    }
}

/// Reads the output of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    version: u32,
    /// Name of the program, for messages.
    program: String,
    /// The last lines of stdout, within both bounds.
    #[serde(default)]
    tail: VecDeque<String>,
}

impl Command {
    /// A driver for one attempt at running `argv`.
    #[must_use]
    pub fn new(argv: &[String]) -> Self {
        let program = argv.first().map_or("the command", String::as_str);
        let name = Path::new(program)
            .file_name()
            .map_or_else(|| program.into(), |name| name.to_string_lossy());
        Self {
            version: VERSION,
            program: name.into_owned(),
            tail: VecDeque::new(),
        }
    }

    fn keep(&mut self, text: &str) {
        let start = text.ceil_char_boundary(text.len().saturating_sub(KEPT_BYTES));
        self.tail.push_back(text[start..].to_owned());
        // Each line counts with its line feed.
        let mut bytes: usize = self.tail.iter().map(|line| line.len() + 1).sum();
        while self.tail.len() > KEPT_LINES || (bytes > KEPT_BYTES + 1 && self.tail.len() > 1) {
            if let Some(dropped) = self.tail.pop_front() {
                bytes -= dropped.len() + 1;
            }
        }
    }
}

impl Driver for Command {
    fn on_line(&mut self, stream: Stream, line: &[u8]) -> Vec<Derived> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        let event = match stream {
            Stream::Stdout => {
                self.keep(text);
                NewEvent::new(
                    EventKind::Message,
                    json!({"text": text, "stream": "stdout"}),
                )
            }
            Stream::Stderr => {
                NewEvent::new(EventKind::Progress, json!({"kind": "stderr", "text": text}))
            }
        };
        vec![Derived::Event(event)]
    }

    fn account(&self, exit: AgentExit) -> Account {
        let how = match exit {
            AgentExit::Code(0) => None,
            AgentExit::Code(code) => Some(format!("exit code {code}")),
            AgentExit::Signal(signal) => Some(format!("signal {signal}")),
        };
        let lines: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        Account {
            failure: how.map(|how| {
                let message = format!("`{}` ended with {how}", self.program);
                Failure::new(FailureCode::AgentFailed, message)
            }),
            final_message: (!lines.is_empty()).then(|| lines.join("\n")),
            usage: None,
            trouble: None,
            waited_for: None,
            resets_in_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver() -> Command {
        Command::new(&["/usr/bin/make".to_owned(), "all".to_owned()])
    }

    fn event(derived: &[Derived]) -> &NewEvent {
        match derived {
            [Derived::Event(event)] => event,
            other => panic!("one event expected, got {other:?}"),
        }
    }

    #[test]
    fn lines_become_events() {
        let mut driver = driver();
        let out = driver.on_line(Stream::Stdout, "größer\r".as_bytes());
        assert_eq!(
            event(&out),
            &NewEvent::new(
                EventKind::Message,
                json!({"text": "größer", "stream": "stdout"})
            )
        );
        let err = driver.on_line(Stream::Stderr, b"bad \xff byte");
        assert_eq!(
            event(&err),
            &NewEvent::new(
                EventKind::Progress,
                json!({"kind": "stderr", "text": "bad \u{fffd} byte"})
            )
        );
    }

    #[test]
    fn the_exit_decides() {
        let mut driver = driver();
        assert_eq!(driver.account(AgentExit::Code(0)).final_message, None);
        driver.on_line(Stream::Stdout, b"one");
        driver.on_line(Stream::Stderr, b"noise");
        driver.on_line(Stream::Stdout, b"two");
        let done = driver.account(AgentExit::Code(0));
        assert_eq!(done.failure, None);
        assert_eq!(done.final_message.as_deref(), Some("one\ntwo"));
        let failed = driver.account(AgentExit::Code(3)).failure.unwrap();
        assert_eq!(failed.code, FailureCode::AgentFailed);
        assert_eq!(failed.message, "`make` ended with exit code 3");
        let killed = driver.account(AgentExit::Signal(9)).failure.unwrap();
        assert_eq!(killed.message, "`make` ended with signal 9");
    }

    #[test]
    fn the_final_message_is_bounded() {
        let mut driver = driver();
        for number in 0..1000 {
            driver.on_line(Stream::Stdout, number.to_string().as_bytes());
        }
        let message = driver.account(AgentExit::Code(0)).final_message.unwrap();
        assert_eq!(message.lines().count(), KEPT_LINES);
        assert!(message.ends_with("\n999"));

        driver.on_line(Stream::Stdout, "ü".repeat(KEPT_BYTES).as_bytes());
        let message = driver.account(AgentExit::Code(0)).final_message.unwrap();
        assert!(message.len() <= KEPT_BYTES, "{}", message.len());
        assert!(message.chars().all(|c| c == 'ü'));
    }
}
