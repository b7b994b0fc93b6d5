//! Hooks of test builds: the process kills itself at the point that
//! `CONVOKE_TEST_STOP_AT` names, or its agent at the one that
//! `CONVOKE_TEST_AGENT_DIES_AT` names.

use super::Point;

/// Where to end, if anywhere.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    stop_at: Option<String>,
    agent_dies_at: Option<String>,
}

impl Hooks {
    /// Reads both variables.
    pub fn from_env() -> Self {
        Self {
            stop_at: std::env::var("CONVOKE_TEST_STOP_AT").ok(),
            agent_dies_at: std::env::var("CONVOKE_TEST_AGENT_DIES_AT").ok(),
        }
    }

    /// Says that the runner has come to a point.
    pub fn reach(&self, point: Point) {
        if self.stop_at.as_deref() == Some(point.name()) {
            let me = rustix::process::getpid();
            // A failure to kill oneself leaves nothing better to do than abort.
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
            std::process::abort();
        }
    }

    /// Whether the agent is to be killed here.
    pub fn agent_dies_at(&self, point: Point) -> bool {
        self.agent_dies_at.as_deref() == Some(point.name())
    }
}
