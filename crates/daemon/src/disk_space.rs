//! How much room there is on the disk of the state home, and what follows.

use convoke_api::error::{ApiError, RequestCode};

use crate::{config::Config, state::Daemon};

/// Bytes an ordinary user may still write where the state home lies.
///
/// # Errors
/// The file system does not say (`statvfs(3)`).
pub fn free(daemon: &Daemon) -> std::io::Result<u64> {
    let space = rustix::fs::statvfs(daemon.home.root())?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Refuses new work while the results of the work there is need the room.
///
/// # Errors
/// `disk_full`: less is free than `limits.free_space`. What cannot be measured
/// refuses nothing.
pub fn check(daemon: &Daemon, config: &Config) -> Result<(), ApiError> {
    match free(daemon) {
        Ok(free) if free < config.free_space => {
            let message = format!(
                "no job was accepted: {} has {} MiB free, and `limits.free_space` is {} MiB, kept for the results of the jobs there are",
                daemon.home.root().display(),
                free >> 20,
                config.free_space.div_ceil(1 << 20),
            );
            Err(ApiError::new(RequestCode::DiskFull, message).with_hint(
                "make room on that disk, for example with `convoke gc --older-than 1d`, or lower `limits.free_space`, then try again",
            ))
        }
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "the free space of the state home is not known");
            Ok(())
        }
    }
}
