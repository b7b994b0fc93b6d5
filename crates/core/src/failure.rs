//! The closed list of reasons for which a job fails.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::UnixMillis;

macro_rules! failure_codes {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, retry: $retry:literal, hint: $hint:literal;)*) => {
        /// Why a job failed. The list is closed: readers may rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FailureCode {
            $($(#[$doc])* $variant,)*
        }

        impl FailureCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as stored and sent.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether the same work, tried again later, may well succeed.
            #[must_use]
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }

            /// What the user can do about it.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)* }
            }
        }
    };
}

failure_codes! {
    /// The agent ended with an error of its own.
    AgentFailed => "agent_failed", retry: false, hint: "read the last message and the error events of the job";
    /// The agent program was not found or could not be started.
    AgentMissing => "agent_missing", retry: false, hint: "install the agent or put it on the PATH of the caller; `convoke doctor` shows what was searched";
    /// The agent is not logged in, or its key was refused.
    Auth => "auth", retry: false, hint: "log in (`codex login`) or pass CODEX_API_KEY to the caller, in the same CODEX_HOME";
    /// The provider asked to slow down.
    RateLimited => "rate_limited", retry: true, hint: "wait and start the job again, or run fewer jobs at once; `retry.attempts` says how often that is done by itself";
    /// The provider has no capacity now.
    Overloaded => "overloaded", retry: true, hint: "start the job again later";
    /// The account's usage is spent.
    Quota => "quota", retry: false, hint: "wait for the usage window to reset or raise the plan";
    /// The conversation no longer fits the model.
    ContextWindow => "context_window", retry: false, hint: "give the work to a fresh job with a shorter prompt";
    /// The provider could not be reached.
    Network => "network", retry: true, hint: "check the network and the proxy variables of the caller";
    /// The agent printed nothing within `first_event`.
    NoFirstEvent => "no_first_event", retry: true, hint: "raise `limits.first_event` (`--first-event-timeout`) or find out why the agent does not start";
    /// The agent showed no sign of life for `idle`.
    Stalled => "stalled", retry: true, hint: "raise `limits.idle` (`idleTimeoutMs`, `--idle-timeout`) if long silence is normal for this work";
    /// The running time was used up.
    TimedOut => "timed_out", retry: false, hint: "raise `limits.wall` (`timeoutMs`, `--timeout`) or split the work";
    /// The budget of the run was used up.
    BudgetSpent => "budget_spent", retry: false, hint: "raise the budget or split the work";
    /// The agent printed more than `output`.
    OutputLimit => "output_limit", retry: false, hint: "raise `limits.output` (`--output-limit`) or make the work print less";
    /// The state folder's disk is full.
    DiskFull => "disk_full", retry: false, hint: "free space on the disk of the state folder, then start the job again";
    /// The last message does not match the output schema.
    InvalidOutput => "invalid_output", retry: false, hint: "read the last message; relax the schema or say in the prompt what is wanted";
    /// A job this one needs did not complete.
    NeedsFailed => "needs_failed", retry: false, hint: "look at the needed job, repair its cause and start both again";
    /// A policy forbids the work.
    Policy => "policy", retry: false, hint: "ask for less power, or change the user's policy";
    /// The working folder could not be prepared or has gone, or what a strict job did
    /// in it collided with another and could not be done again.
    Workspace => "workspace", retry: false, hint: "check that the working folder exists and can be read; after a collision of strict jobs look at `convoke conflicts` and start the job again when the others are over";
    /// No daemon came back to look after the job.
    Orphaned => "orphaned", retry: true, hint: "start the daemon again and start the job again";
    /// The runner died without leaving a record.
    Lost => "lost", retry: true, hint: "the machine or the runner died; start the job again";
    /// A fault of this program.
    Internal => "internal", retry: false, hint: "report it with the output of `convoke daemon logs`";
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A failure with its story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which of the closed list.
    pub code: FailureCode,
    /// What was attempted, on what, and why it failed.
    pub message: String,
    /// When the cause passes, if that is known: the end of a rate limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
}

impl Failure {
    /// Builds a failure.
    #[must_use]
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            until: None,
        }
    }

    /// The same with the instant at which its cause passes.
    #[must_use]
    pub fn until(mut self, until: Option<UnixMillis>) -> Self {
        self.until = until;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelled_as_stored() {
        for code in FailureCode::ALL {
            let stored = serde_json::to_value(code).expect("a code serialises");
            assert_eq!(stored, code.as_str());
        }
    }
}
