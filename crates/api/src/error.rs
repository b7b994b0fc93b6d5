//! Errors of requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! request_codes {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $status:literal, retry: $retry:literal;)*) => {
        /// Why a request was refused. The list is closed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[schemars(inline)]
        pub enum RequestCode {
            $($(#[$doc])* $variant,)*
        }

        impl RequestCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as sent.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }
        }
    };
}

request_codes! {
    /// An argument is missing, unknown or out of range.
    InvalidArgument => "invalid_argument", 400, retry: false;
    /// The event cursor does not belong to this job.
    BadCursor => "bad_cursor", 400, retry: false;
    /// No job has this id.
    UnknownJob => "unknown_job", 404, retry: false;
    /// No run has this name.
    UnknownRun => "unknown_run", 404, retry: false;
    /// The run goes on; the call ends before its caller's patience does.
    StillRunning => "still_running", 409, retry: true;
    /// No such path or method.
    NotFound => "not_found", 404, retry: false;
    /// More power was asked for than the caller or the policy has.
    PowerExceeded => "power_exceeded", 403, retry: false;
    /// The caller is itself inside a job.
    InsideJob => "inside_job", 403, retry: false;
    /// The peer is another user.
    Forbidden => "forbidden", 403, retry: false;
    /// The queue is full.
    QueueFull => "queue_full", 429, retry: true;
    /// The same idempotency key came with other arguments.
    IdempotencyConflict => "idempotency_conflict", 409, retry: false;
    /// No state of the working tree is kept for what was asked.
    CheckpointMissing => "checkpoint_missing", 409, retry: false;
    /// Where the job is to work cannot be made, and nothing else may take its place.
    Workspace => "workspace", 422, retry: false;
    /// A strict job was asked for, and its working tree holds changes.
    TreeDirty => "tree_dirty", 409, retry: false;
    /// A configuration file or variable is wrong.
    ConfigInvalid => "config_invalid", 422, retry: false;
    /// The agent program cannot be found or used.
    AgentMissing => "agent_missing", 422, retry: false;
    /// The daemon cannot be reached or started.
    DaemonUnavailable => "daemon_unavailable", 503, retry: true;
    /// The state folder cannot be used.
    StateUnavailable => "state_unavailable", 503, retry: true;
    /// The database was written by a newer version.
    NewerState => "newer_state", 503, retry: false;
    /// The disk of the state folder is full.
    DiskFull => "disk_full", 507, retry: true;
    /// The daemon is shutting down.
    ShuttingDown => "shutting_down", 503, retry: true;
    /// A fault of the daemon.
    Internal => "internal", 500, retry: false;
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Which of the closed list.
    pub code: RequestCode,
    /// What was attempted, on what, and why it failed.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the same request may succeed later.
    #[serde(default)]
    pub retryable: bool,
}

impl ApiError {
    /// An error without a hint.
    #[must_use]
    pub fn new(code: RequestCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            retryable: code.retryable(),
        }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A bad argument.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(RequestCode::InvalidArgument, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelled_as_sent() {
        for code in RequestCode::ALL {
            assert_eq!(
                serde_json::to_value(code).expect("a code serialises"),
                code.as_str()
            );
        }
    }
}
