//! The daemon's one reading of the wall clock.

use convoke_core::time::UnixMillis;

/// The present.
#[must_use]
pub fn now() -> UnixMillis {
    moved(UnixMillis::of(std::time::SystemTime::now()))
}

#[cfg(not(feature = "test-hooks"))]
fn moved(now: UnixMillis) -> UnixMillis {
    now
}

/// The clock of a machine that somebody set, or that was suspended meanwhile:
/// the file that `CONVOKE_TEST_CLOCK` names holds by how many milliseconds.
#[cfg(feature = "test-hooks")]
fn moved(now: UnixMillis) -> UnixMillis {
    std::env::var_os("CONVOKE_TEST_CLOCK")
        .and_then(|file| fs_err::read_to_string(file).ok())
        .and_then(|text| text.trim().parse::<i64>().ok())
        .map_or(now, |by_ms| UnixMillis(now.0.saturating_add_signed(by_ms)))
}
