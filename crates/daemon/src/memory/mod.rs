//! Memory of this process: how much the system counts, and giving back what is
//! not used.

use std::{sync::Arc, time::Duration};

use crate::state::Daemon;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub use linux::{give_back, resident_bytes};
#[cfg(not(target_os = "linux"))]
pub use other::{give_back, resident_bytes};

/// How long after the end of a job memory is given back: jobs often end together.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(5);

/// Gives back the memory that was needed for the ends of jobs, until the daemon
/// ends. Many that end at once need much for a moment, and an allocator may hold
/// on to all of it.
pub async fn watch(daemon: Arc<Daemon>) {
    loop {
        daemon.finalised.notified().await;
        tokio::time::sleep_until(tokio::time::Instant::now() + GIVE_BACK_AFTER).await;
        if tokio::task::spawn_blocking(give_back).await.is_err() {
            return;
        }
    }
}
