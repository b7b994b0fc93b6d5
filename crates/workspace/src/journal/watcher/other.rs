//! Nothing is watched on this system yet: whoever asks is told so, and the record
//! of changes says that it is not complete.

use std::{
    io,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use super::Notice;

/// Watches nothing.
#[derive(Debug)]
pub(in crate::journal) struct Watcher {
    never: std::convert::Infallible,
}

impl Watcher {
    pub fn new(_top: PathBuf) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "files are not watched on this system",
        ))
    }

    pub fn watch(&mut self, _folder: &Path) -> io::Result<()> {
        match self.never {}
    }

    pub fn count(&self) -> usize {
        match self.never {}
    }

    pub fn wait(&self, _wake: BorrowedFd<'_>, _timeout: Option<Duration>) -> io::Result<()> {
        match self.never {}
    }

    pub fn read(&mut self) -> io::Result<Vec<Notice>> {
        match self.never {}
    }
}
