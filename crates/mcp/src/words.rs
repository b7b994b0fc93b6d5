//! The words of the `jobs` toolset for what the API says in its own.

use convoke_api::{
    job::{JobView, QueueView},
    values::State,
};
use schemars::JsonSchema;
use serde::Serialize;

/// Where a job stands, in the four words of this toolset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Running,
    Done,
    Failed,
    Canceled,
}

impl Status {
    /// The word for a state; every live state, queued included, is `running`.
    pub(crate) fn of(state: State) -> Self {
        match state {
            State::Completed => Self::Done,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Canceled,
            State::Queued
            | State::Starting
            | State::Running
            | State::Finishing
            | State::Stopping => Self::Running,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// Why a job waits.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Queue {
    /// cap, scope, conflict, needs, backOff or rateLimit.
    reason: String,
    /// RFC 3339 instant until which it waits at least, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Position among the jobs that wait for the same thing, from 1.
    position: u32,
    /// The reason in words, with the setting that changes it.
    message: String,
}

impl From<&QueueView> for Queue {
    fn from(queue: &QueueView) -> Self {
        Self {
            reason: queue.reason.clone(),
            until: queue.until.clone(),
            position: queue.position,
            message: queue.message.clone(),
        }
    }
}

/// When a job started; a queued one, when it was accepted.
pub(crate) fn started_at(job: &JobView) -> String {
    job.started_at
        .clone()
        .unwrap_or_else(|| job.accepted_at.clone())
}

/// The line that says how a job stands when it did not end well.
pub(crate) fn status_line(job: &JobView) -> String {
    let mut line = format!("[{}] job {}", Status::of(job.state).as_str(), job.job_id);
    if !job.state.is_over() {
        line.push_str(&format!(" ({})", job.state.as_str()));
    }
    if let Some(code) = &job.code {
        line.push_str(&format!(" {code}"));
    }
    if let Some(message) = &job.message {
        line.push_str(&format!(": {message}"));
    }
    if let Some(hint) = &job.hint {
        line.push_str(&format!(" Hint: {hint}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_one_of_four_words() {
        let words: Vec<&str> = State::ALL
            .into_iter()
            .map(|state| Status::of(state).as_str())
            .collect();
        assert_eq!(
            words,
            [
                "running", "running", "running", "running", "running", "done", "failed", "canceled"
            ]
        );
    }
}
