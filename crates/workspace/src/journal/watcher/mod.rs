//! Tells what is touched in folders.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::path::PathBuf;

#[cfg(target_os = "linux")]
pub(super) use linux::Watcher;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Watcher;

/// Something that happened; paths are relative to the top.
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
