//! What every driver offers to the executor.

use convoke_core::{
    event::NewEvent,
    failure::{Failure, FailureCode},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How to start an agent for one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Program (absolute) and arguments.
    pub argv: Vec<String>,
    /// What the agent reads on stdin, which is closed after it.
    pub stdin: String,
    /// The signal that asks the agent politely to end.
    pub interrupt: Interrupt,
    /// Beginnings of lines by which the agent only says that it still waits:
    /// they are no sign of life.
    pub waiting: Vec<String>,
}

/// The signal that asks an agent politely to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// SIGINT.
    Int,
    /// SIGTERM.
    Term,
}

/// Which of the agent's outputs a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a line of output says.
#[derive(Clone, Debug, PartialEq)]
pub enum Derived {
    /// An event for the job's feed.
    Event(NewEvent),
    /// The agent's name of the conversation.
    Thread(String),
    /// The agent has ended its turn: nothing more that matters follows.
    LastWord,
}

/// How an agent's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentExit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What an attempt came to, by what the agent said and how it ended. A stop on
/// request or a limit is judged by the executor before it asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// `None` when the work was done.
    pub failure: Option<Failure>,
    /// The agent's last message.
    pub final_message: Option<String>,
    /// Tokens used, as the agent counts them.
    pub usage: Option<Value>,
    /// The last error the agent told of and has not got past, such as a
    /// connection it tries to make again and again: what it was at when a
    /// limit ended it.
    pub trouble: Option<String>,
    /// The failure that the trouble comes to, if it is the provider's: the
    /// agent waited for it when it was ended.
    pub waited_for: Option<FailureCode>,
    /// Milliseconds after its end until a rate limit that ended it is over,
    /// if the agent said so.
    pub resets_in_ms: Option<u64>,
}

/// Reads the output of one attempt. Its serialised form is its checkpoint:
/// restored from it, it goes on as if never interrupted.
pub trait Driver: Serialize + for<'de> Deserialize<'de> + Send {
    /// Reads one complete line, without its line feed.
    fn on_line(&mut self, stream: Stream, line: &[u8]) -> Vec<Derived>;

    /// The agent's words on its provider, if it waits for it.
    fn waits_for_provider(&self) -> Option<&str> {
        None
    }

    /// A tool call that has not ended: its id and what it is, the oldest first.
    fn open_tool(&self) -> Option<(&str, &str)> {
        None
    }

    /// What the attempt came to, given how the process ended.
    fn account(&self, exit: AgentExit) -> Account;
}
