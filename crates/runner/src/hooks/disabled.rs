//! Hooks of ordinary builds: nothing happens.

use super::Point;

/// Does nothing.
#[derive(Debug, Clone, Default)]
pub struct Hooks {}

impl Hooks {
    /// No hooks.
    pub fn from_env() -> Self {
        Self {}
    }

    /// Says that the runner has come to a point.
    pub fn reach(&self, _point: Point) {}

    /// Whether the agent is to die here: it is not.
    pub fn agent_dies_at(&self, _point: Point) -> bool {
        false
    }
}
