//! What must be as it is after a drill.

use serde::Serialize;

/// What came of a drill.
#[derive(Debug, Default, Serialize)]
pub struct Checklist {
    /// What each worker said last.
    pub messages: Vec<Message>,
    /// What was checked, in order.
    pub checks: Vec<Check>,
}

/// What a worker said last.
#[derive(Debug, Serialize)]
pub struct Message {
    /// The worker.
    pub label: String,
    /// Its words.
    pub text: String,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What must be.
    pub what: &'static str,
    /// Whether it is.
    pub passed: bool,
    /// What was found.
    pub found: String,
}

impl Checklist {
    /// Notes what was found.
    pub fn check(&mut self, what: &'static str, passed: bool, found: impl Into<String>) {
        self.checks.push(Check {
            what,
            passed,
            found: found.into(),
        });
    }

    /// Notes what a worker said.
    pub fn hear(&mut self, label: &str, text: impl Into<String>) {
        self.messages.push(Message {
            label: label.to_owned(),
            text: text.into(),
        });
    }

    /// Whether everything is as it must be.
    pub fn is_good(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }
}
