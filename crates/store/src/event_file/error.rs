//! Why an event file could not be read or written.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why an event file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EventFileError {
    /// The file could not be read or changed.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The cursor lies beyond the end of the file or inside a line.
    #[error("{cursor} is not a cursor of {}", path.display())]
    BadCursor {
        /// The file.
        path: PathBuf,
        /// The cursor.
        cursor: u64,
    },
    /// A line is not an event. The file can be rebuilt.
    #[error("the line at byte {offset} of {} is not an event", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the line begins.
        offset: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl EventFileError {
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}
