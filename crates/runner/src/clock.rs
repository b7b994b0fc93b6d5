//! The two clocks of a runner, in milliseconds.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the epoch.
pub fn wall_ms() -> u64 {
    read(ClockId::Realtime)
}

/// Milliseconds on a clock that never goes back and, on Linux, stands still
/// while the machine is suspended.
pub fn mono_ms() -> u64 {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let millis = u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000;
    seconds * 1_000 + millis
}
