//! What kind of file system a folder lies on: whether its locks and its syncs
//! can be trusted.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;

#[cfg(not(target_os = "linux"))]
mod macos;
#[cfg(not(target_os = "linux"))]
use macos as platform;

use std::path::Path;

/// What matters about a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilesystemKind {
    /// Shared between machines. Locks and shared memory, on which the
    /// database's write-ahead log and the runners' locks rest, do not reach
    /// across it. Carries its name.
    Network(String),
    /// Local, and a sync of a new file makes the names that lead to it durable
    /// too, so that its folders need no sync of their own.
    SyncsNames,
    /// Local, without that promise.
    Local,
}

/// The kind of file system the existing `folder` lies on.
pub(crate) fn kind_of(folder: &Path) -> std::io::Result<FilesystemKind> {
    platform::kind_of(folder)
}
