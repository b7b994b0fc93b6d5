//! The daemon's one reading of the wall clock.

use convoke_core::time::UnixMillis;

/// The present.
#[must_use]
pub fn now() -> UnixMillis {
    UnixMillis::of(std::time::SystemTime::now())
}
