//! Waiting for conditions instead of for time.

use std::time::{Duration, Instant};

use crate::census::pause;

/// How long a condition may take to hold.
const WITHIN: Duration = Duration::from_secs(30);

/// Waits until `condition` is `Ok` and answers what it holds.
///
/// # Panics
/// It is not within half a minute; the last `Err` says how things stand.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        match condition() {
            Ok(value) => return value,
            Err(status) if Instant::now() > deadline => {
                panic!("waited {} s for {what}; {status}", WITHIN.as_secs())
            }
            Err(_) => pause(),
        }
    }
}

/// Waits until a file exists.
///
/// # Panics
/// It does not within half a minute.
pub fn wait_for_file(path: &std::path::Path) {
    wait_for(&format!("{} to exist", path.display()), || {
        if path.exists() {
            Ok(())
        } else {
            Err("it does not".to_owned())
        }
    });
}
