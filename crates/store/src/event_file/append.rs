//! Appending to an event file. Only the job's executor does.

use std::path::Path;

use convoke_core::{
    event::{NewEvent, Source},
    time::UnixMillis,
};
use fs_err::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

use super::{error::EventFileError, line::Line, tail::Tail};
use crate::private_folder::FILE_MODE;

/// Bytes held back at most before they are written.
const BUFFER: usize = 64 * 1024;

/// An event file, open for appending.
#[derive(Debug)]
pub struct EventFile {
    file: fs_err::File,
    /// What the file holds, with what is buffered; `len` is without it.
    tail: Tail,
    buffer: Vec<u8>,
}

impl EventFile {
    /// Opens the event file at `path`, made if it does not exist (0600). A torn
    /// last line is cut off, as are lines at the end that are no events.
    ///
    /// # Errors
    /// When it cannot be opened, read or cut.
    pub fn open(path: &Path) -> Result<(Self, Tail), EventFileError> {
        let file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)
            .map_err(EventFileError::io("open", path))?;
        let mut this = Self {
            file,
            tail: Tail::default(),
            buffer: Vec::new(),
        };
        let tail = this.truncate_to(u64::MAX)?;
        Ok((this, tail))
    }

    /// Appends an event from `src`, unless the file holds it already; whether
    /// it was appended. `at` is the runner's stamp of the output, or the time of
    /// the decision. Others see it after the next [`Self::flush`] at the latest.
    ///
    /// # Errors
    /// When the file cannot be written. The event is kept; the next append or
    /// flush tries again.
    pub fn append(
        &mut self,
        src: Source,
        at: UnixMillis,
        event: NewEvent,
    ) -> Result<bool, EventFileError> {
        if !self.tail.sources.is_new(src) {
            return Ok(false);
        }
        // Whatever a damaged last line says, the job's executor goes on.
        let seq = self.last_seq().saturating_add(1);
        let other = self.tail.sources.other_than(src);
        let line = Line::new(seq, src, other, at, &event);
        serde_json::to_writer(&mut self.buffer, &line).expect("an event is JSON");
        self.buffer.push(b'\n');
        self.tail.sources.advance(src);
        self.tail.last = Some((seq, src));
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(true)
    }

    /// Writes what is buffered, without a sync, and returns the length of the
    /// file.
    ///
    /// # Errors
    /// When the file cannot be written; the next flush tries again.
    pub fn flush(&mut self) -> Result<u64, EventFileError> {
        if !self.buffer.is_empty() {
            // At a fixed place, so that a second try writes over what the first
            // one may have left.
            self.file
                .write_all_at(&self.buffer, self.tail.len)
                .map_err(EventFileError::io("write to", self.file.path()))?;
            self.tail.len += self.buffer.len() as u64;
            self.buffer.clear();
            // One huge event need not cost memory for ever.
            self.buffer.shrink_to(BUFFER * 2);
        }
        Ok(self.tail.len)
    }

    /// Drops what is buffered and cuts the file to the lines that end within
    /// its first `len` bytes, to be rebuilt from there; returns what is left.
    ///
    /// # Errors
    /// When the file cannot be read or cut.
    pub fn truncate_to(&mut self, len: u64) -> Result<Tail, EventFileError> {
        self.buffer.clear();
        let file = &self.file;
        let cut = || {
            let present = file.metadata()?.len();
            let tail = Tail::find(file, present.min(len))?;
            if tail.len < present {
                file.set_len(tail.len)?;
            }
            Ok(tail)
        };
        self.tail = cut().map_err(EventFileError::io("cut", self.file.path()))?;
        Ok(self.tail)
    }

    /// Number of the last event, buffered or written; 0 if there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.tail.last.map_or(0, |(seq, _)| seq)
    }
}
