//! Limits of one job, and their defaults.

use serde::{Deserialize, Serialize};

/// Limits of a job; 0 means none. All are enforced by the runner, so that they
/// hold while no daemon runs. Time during which the machine is suspended or
/// the job is paused does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Milliseconds of running time over all attempts.
    pub wall_ms: u64,
    /// Milliseconds without a byte of output.
    pub idle_ms: u64,
    /// Milliseconds from the agent's start to its first byte on stdout.
    pub first_event_ms: u64,
    /// Bytes of output (stdout and stderr) of one attempt.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_ms: 4 * 60 * 60 * 1000,
            idle_ms: 30 * 60 * 1000,
            first_event_ms: 2 * 60 * 1000,
            output_bytes: 256 * 1024 * 1024,
        }
    }
}
