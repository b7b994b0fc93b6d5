//! Tells what is touched in folders.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::{io, os::fd::BorrowedFd, path::PathBuf, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

#[cfg(target_os = "linux")]
pub(super) use linux::Watcher;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Watcher;

/// Waits for so long, or until `wake` can be read.
pub(super) fn pause(wake: BorrowedFd<'_>, time: Duration) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(wake, PollFlags::IN)];
    match poll(&mut fds, Some(&timespec(time))) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// Something that happened; paths are relative to the top.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A file was written, or its mode was set.
    Touched(PathBuf),
    /// A file is there, or not any more, as whoever wrote it meant it to be: it was
    /// closed, moved or removed.
    Done(PathBuf),
    /// There is a new folder.
    Folder(PathBuf),
    /// A folder is gone, with all that was in it.
    FolderGone(PathBuf),
    /// The system could not keep up: anything may have happened.
    Lost,
}
