//! Reading an event file, page by page. Anyone may, while it is written.

use std::{io, path::Path};

use convoke_core::event::JobEvent;
use fs_err::os::unix::fs::FileExt as _;

use super::error::EventFileError;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// Some consecutive events.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<JobEvent>,
    /// The cursor of the next page.
    pub next: u64,
    /// Whether these are the last events there are by now.
    pub at_end: bool,
}

/// Reads at most `max_events` events and `max_bytes` bytes of lines from the
/// line at `cursor` on; at least one event if there is one. The first cursor is
/// 0. A torn last line is as if it were not there, and so is a missing file.
///
/// # Errors
/// [`EventFileError::BadCursor`] when `cursor` is beyond the end or not at the
/// start of a line, [`EventFileError::Damaged`] when a line is not an event.
pub fn read_page(
    path: &Path,
    cursor: u64,
    max_events: usize,
    max_bytes: usize,
) -> Result<EventPage, EventFileError> {
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && cursor == 0 => {
            return Ok(EventPage {
                events: Vec::new(),
                next: 0,
                at_end: true,
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(bad_cursor(path, cursor));
        }
        Err(error) => return Err(EventFileError::io("open", path)(error)),
    };
    let starts_line = starts_line(&file, cursor).map_err(EventFileError::io("read", path))?;
    if !starts_line {
        return Err(bad_cursor(path, cursor));
    }
    let mut lines = Lines::new(&file, cursor);
    let mut events = Vec::new();
    let mut next = cursor;
    loop {
        let line = lines.peek().map_err(EventFileError::io("read", path))?;
        let Some(line) = line else {
            return Ok(EventPage {
                events,
                next,
                at_end: true,
            });
        };
        let end = next + line.len() as u64;
        let is_full = events.len() >= max_events.max(1)
            || (!events.is_empty() && end - cursor > max_bytes as u64);
        if is_full {
            return Ok(EventPage {
                events,
                next,
                at_end: false,
            });
        }
        let event = serde_json::from_slice(line).map_err(|source| EventFileError::Damaged {
            path: path.to_owned(),
            offset: next,
            source,
        })?;
        events.push(event);
        next = end;
        lines.advance();
    }
}

fn bad_cursor(path: &Path, cursor: u64) -> EventFileError {
    EventFileError::BadCursor {
        path: path.to_owned(),
        cursor,
    }
}

fn starts_line(file: &fs_err::File, cursor: u64) -> io::Result<bool> {
    let Some(before) = cursor.checked_sub(1) else {
        return Ok(true);
    };
    // The system refuses to read at offsets that no file can have.
    if cursor > file.metadata()?.len() {
        return Ok(false);
    }
    let mut byte = [0];
    let read = file.read_at(&mut byte, before)?;
    Ok(read == 1 && byte == *b"\n")
}

/// Whole lines of a file from some place on.
struct Lines<'a> {
    file: &'a fs_err::File,
    /// What was read, and where in the file it ends.
    buffer: Vec<u8>,
    read_to: u64,
    /// The present line within the buffer.
    start: usize,
    end: usize,
}

impl<'a> Lines<'a> {
    fn new(file: &'a fs_err::File, from: u64) -> Self {
        Self {
            file,
            buffer: Vec::new(),
            read_to: from,
            start: 0,
            end: 0,
        }
    }

    /// The present line with its newline; `None` if no whole line is left.
    fn peek(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = self.start;
        loop {
            let rest = &self.buffer[searched..];
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                self.end = searched + at + 1;
                return Ok(Some(&self.buffer[self.start..self.end]));
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            searched = self.buffer.len();
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn advance(&mut self) {
        self.start = self.end;
    }

    /// Reads on; whether there was anything.
    fn fill(&mut self) -> io::Result<bool> {
        let have = self.buffer.len();
        self.buffer.resize(have + CHUNK, 0);
        let read = self.file.read_at(&mut self.buffer[have..], self.read_to);
        let count = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(have + count);
        self.read_to += count as u64;
        read.map(|count| count > 0)
    }
}
