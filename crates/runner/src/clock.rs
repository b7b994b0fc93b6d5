//! The two clocks of a runner, in milliseconds.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Milliseconds since the epoch.
pub fn wall_ms() -> u64 {
    moved(read(ClockId::Realtime))
}

/// Milliseconds since the epoch, and microseconds beyond them.
pub fn wall_ms_us() -> (u64, u16) {
    let now = clock_gettime(ClockId::Realtime);
    let micros = u16::try_from(now.tv_nsec / 1_000 % 1_000).unwrap_or(0);
    (moved(millis(now)), micros)
}

/// Milliseconds on a clock that never goes back and, on Linux, stands still
/// while the machine is suspended.
pub fn mono_ms() -> u64 {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> u64 {
    millis(clock_gettime(clock))
}

fn millis(now: Timespec) -> u64 {
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let millis = u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000;
    seconds * 1_000 + millis
}

#[cfg(not(feature = "test-hooks"))]
fn moved(wall_ms: u64) -> u64 {
    wall_ms
}

/// The clock of a machine that somebody set, or that was suspended meanwhile:
/// the file that `CONVOKE_TEST_CLOCK` names holds by how many milliseconds.
#[cfg(feature = "test-hooks")]
fn moved(wall_ms: u64) -> u64 {
    std::env::var_os("CONVOKE_TEST_CLOCK")
        .and_then(|file| std::fs::read_to_string(file).ok())
        .and_then(|text| text.trim().parse::<i64>().ok())
        .map_or(wall_ms, |by_ms| wall_ms.saturating_add_signed(by_ms))
}
