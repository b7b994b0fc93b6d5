//! The exit codes: a documented list, and the one place that decides which of
//! them a command ends with.

use convoke_api::{error::RequestCode, values::State};

use crate::error::CliError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All went well.
    Success,
    /// The job failed, or something else went wrong.
    Failure,
    /// The command line is not right.
    Usage,
    /// The job was cancelled.
    Cancelled,
    /// There is no such job.
    UnknownJob,
    /// The request was refused.
    Refused,
    /// The daemon or its state cannot be used.
    Unavailable,
    /// The time to wait is over.
    WaitTimedOut,
    /// Ctrl-C.
    Interrupted,
}

impl End {
    /// Every end, in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::Cancelled,
        Self::UnknownJob,
        Self::Refused,
        Self::Unavailable,
        Self::WaitTimedOut,
        Self::Interrupted,
    ];

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Cancelled => 3,
            Self::UnknownJob => 4,
            Self::Refused => 5,
            Self::Unavailable => 6,
            Self::WaitTimedOut => 124,
            Self::Interrupted => 130,
        }
    }

    /// What the code means, for the reference.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "Success; where the exit code follows a job, the job completed",
            Self::Failure => "The job failed, or the command did for a reason not named below",
            Self::Usage => "The command line or an argument is not right",
            Self::Cancelled => "The job was cancelled",
            Self::UnknownJob => "No job has this id or label",
            Self::Refused => {
                "The request was refused: more power than allowed, queue full, called inside a job, \
                 idempotency key used for something else, working tree not clean, agent missing or configuration invalid"
            }
            Self::Unavailable => "The daemon or its state cannot be used",
            Self::WaitTimedOut => "`wait --timeout` passed before the job ended",
            Self::Interrupted => "Ctrl-C ended the command, and `run` cancelled its job",
        }
    }
}

/// The one decision: what a command's outcome ends the program with.
pub fn of(outcome: &Result<End, CliError>) -> End {
    match outcome {
        Ok(end) => *end,
        Err(error) if error.is_broken_pipe() => End::Success,
        Err(CliError::Usage { .. }) => End::Usage,
        Err(CliError::Request { error, .. }) => of_refusal(error.code),
        Err(_) => End::Failure,
    }
}

/// Where the exit code follows a job: what its state means. A job that still
/// runs is no failure.
pub fn of_job(state: State) -> End {
    match state {
        State::Failed => End::Failure,
        State::Cancelled => End::Cancelled,
        State::Completed
        | State::Queued
        | State::Starting
        | State::Running
        | State::Finishing
        | State::Stopping => End::Success,
    }
}

/// The worst of several jobs: a failure counts more than a cancellation.
pub fn of_jobs(states: impl IntoIterator<Item = State>) -> End {
    states
        .into_iter()
        .map(of_job)
        .fold(End::Success, |worst, end| match (worst, end) {
            (End::Failure, _) | (_, End::Failure) => End::Failure,
            (End::Cancelled, _) | (_, End::Cancelled) => End::Cancelled,
            _ => End::Success,
        })
}

fn of_refusal(code: RequestCode) -> End {
    match code {
        RequestCode::InvalidArgument | RequestCode::BadCursor => End::Usage,
        RequestCode::UnknownJob | RequestCode::UnknownRun => End::UnknownJob,
        RequestCode::PowerExceeded
        | RequestCode::InsideJob
        | RequestCode::Forbidden
        | RequestCode::QueueFull
        | RequestCode::IdempotencyConflict
        | RequestCode::CheckpointMissing
        | RequestCode::Workspace
        | RequestCode::TreeDirty
        | RequestCode::ConfigInvalid
        | RequestCode::AgentMissing => End::Refused,
        RequestCode::DaemonUnavailable
        | RequestCode::StateUnavailable
        | RequestCode::NewerState
        | RequestCode::DiskFull
        | RequestCode::ShuttingDown => End::Unavailable,
        RequestCode::NotFound | RequestCode::StillRunning | RequestCode::Internal => End::Failure,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use convoke_api::error::ApiError;

    use super::*;

    #[test]
    fn codes_are_distinct_and_in_order() {
        let codes: Vec<u8> = End::ALL.into_iter().map(End::code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }

    #[test]
    fn refusals() {
        let end = |code| of(&Err(ApiError::new(code, "no").into())).code();
        let all: Vec<String> = RequestCode::ALL
            .iter()
            .map(|code| format!("{} {}", end(*code), code.as_str()))
            .collect();
        insta::assert_snapshot!(all.join("\n"), @r"
        2 invalid_argument
        2 bad_cursor
        4 unknown_job
        4 unknown_run
        1 still_running
        1 not_found
        5 power_exceeded
        5 inside_job
        5 forbidden
        5 queue_full
        5 idempotency_conflict
        5 checkpoint_missing
        5 workspace
        5 tree_dirty
        5 config_invalid
        5 agent_missing
        6 daemon_unavailable
        6 state_unavailable
        6 newer_state
        6 disk_full
        6 shutting_down
        1 internal
        ");
    }

    #[test]
    fn jobs() {
        assert_eq!(of_job(State::Completed), End::Success);
        assert_eq!(of_job(State::Failed), End::Failure);
        assert_eq!(of_job(State::Cancelled), End::Cancelled);
        let worst = of_jobs([State::Cancelled, State::Failed, State::Completed]);
        assert_eq!(worst, End::Failure);
        assert_eq!(
            of_jobs([State::Completed, State::Cancelled]),
            End::Cancelled
        );
        assert_eq!(of_jobs([]), End::Success);
    }

    #[test]
    fn a_broken_pipe_is_silent_success() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(of(&Err(CliError::Output(error))), End::Success);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(of(&Err(CliError::Output(full))), End::Failure);
    }

    #[test]
    fn usage() {
        assert_eq!(of(&Err(CliError::usage("no prompt"))), End::Usage);
    }
}
