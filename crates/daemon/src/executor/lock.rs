//! The lock by which a runner's life is known.
//!
//! It belongs to an open file description: the daemon takes it and hands the
//! description to the runner, so it is never free while the runner may live.

use std::{fs::File, io, os::unix::fs::OpenOptionsExt, path::Path};

use convoke_core::runner_protocol::paths;
use rustix::fs::{FlockOperation, flock};

/// Takes the lock of a runner's folder; `None` if a runner holds it.
///
/// # Errors
/// The file cannot be opened or locked for another reason.
pub fn take(folder: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(folder.join(paths::LOCK))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether no runner holds the lock. A folder that is gone has no runner; a
/// lock that cannot be looked at just now is taken to be held.
#[must_use]
pub fn is_free(folder: &Path) -> bool {
    match File::open(folder.join(paths::LOCK)) {
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}
