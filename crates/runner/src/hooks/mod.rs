//! Named points in a runner's life at which tests can end it, or its agent.

#[cfg(not(feature = "test-hooks"))]
mod disabled;
#[cfg(feature = "test-hooks")]
mod enabled;

#[cfg(not(feature = "test-hooks"))]
pub use disabled::Hooks;
#[cfg(feature = "test-hooks")]
pub use enabled::Hooks;

/// A point in a runner's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// It holds its lock; nothing is written.
    RunnerLocked,
    /// `runner.json` is on disk.
    RunnerIdentified,
    /// The container stands; no agent in it.
    RunnerContained,
    /// The agent's process exists and waits to be told to go.
    AgentHeld,
    /// The agent was told to go.
    AgentStarted,
    /// The first of its output is in the journal.
    FirstOutput,
    /// The first rung of a stop was taken.
    StopBegun,
    /// Its standard output has ended.
    OutputEnded,
    /// The agent's end was noticed.
    AgentExited,
    /// Everything is swept and synced but `exit.json`.
    BeforeExitRecord,
    /// `exit.json` is on disk; nobody was told.
    AfterExitRecord,
}

impl Point {
    /// The name used in `CONVOKE_TEST_STOP_AT` and `CONVOKE_TEST_AGENT_DIES_AT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RunnerLocked => "runner_locked",
            Self::RunnerIdentified => "runner_identified",
            Self::RunnerContained => "runner_contained",
            Self::AgentHeld => "agent_held",
            Self::AgentStarted => "agent_started",
            Self::FirstOutput => "first_output",
            Self::StopBegun => "stop_begun",
            Self::OutputEnded => "output_ended",
            Self::AgentExited => "agent_exited",
            Self::BeforeExitRecord => "before_exit_record",
            Self::AfterExitRecord => "after_exit_record",
        }
    }
}
