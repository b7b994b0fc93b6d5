//! The journal file: appends records, syncs them once a second, and gives up its
//! middle when it grows over its cap.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use convoke_core::runner_protocol::{JournalGap, PROTOCOL_VERSION, RecordHeader, Stream, paths};

use crate::folder::Folder;
use crate::{clock, sys};

/// How long written records may stay unsynced, in milliseconds.
const SYNC_AFTER_MS: u64 = 1_000;

/// Largest step by which the hole grows.
const MAX_STEP: u64 = 16 * 1024 * 1024;

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    len: u64,
    header: Vec<u8>,
    dirty_since: Option<u64>,
    cap: Cap,
}

/// What is needed to keep the journal under its cap.
#[derive(Debug)]
struct Cap {
    bytes: u64,
    step: u64,
    /// End of the head that is kept, once known.
    from: Option<u64>,
    /// End of the hole so far.
    to: u64,
    /// Record boundaries behind the hole, about `step / 4` apart.
    boundaries: VecDeque<u64>,
}

impl Journal {
    /// Creates the journal, or takes the empty file that the folder was made
    /// with.
    pub fn create(folder: &Folder, cap_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(folder.file(paths::JOURNAL))?;
        if file.metadata()?.len() > 0 {
            return Err(io::Error::other("another runner has written to it"));
        }
        Ok(Self {
            file,
            len: 0,
            header: Vec::with_capacity(64),
            dirty_since: None,
            cap: Cap::new(cap_bytes),
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Appends one record. On an error nothing of it remains.
    pub fn append(&mut self, stream: Stream, data: &[u8]) -> io::Result<()> {
        self.header.clear();
        RecordHeader {
            wall_ms: clock::wall_ms(),
            mono_ms: clock::mono_ms(),
            stream,
            len: data.len(),
            partial: data.last() != Some(&b'\n'),
        }
        .encode(&mut self.header);
        if let Err(error) = write_parts(&self.file, [&self.header, data, b"\n"]) {
            let _ = self.file.set_len(self.len);
            return Err(error);
        }
        self.cap.note_boundary(self.len);
        self.len += (self.header.len() + data.len() + 1) as u64;
        if self.dirty_since.is_none() {
            self.dirty_since = Some(clock::mono_ms());
        }
        Ok(())
    }

    /// When records must be synced; none while there is nothing to sync.
    pub fn sync_due(&self) -> Option<u64> {
        self.dirty_since.map(|since| since + SYNC_AFTER_MS)
    }

    /// Makes everything appended durable.
    pub fn sync(&mut self) -> io::Result<()> {
        self.dirty_since = None;
        sys::sync_data(&self.file)
    }

    /// Gives up a part of the middle when the cap is exceeded. The gap is made
    /// known, and durable, before the bytes go: readers depend on that order.
    ///
    /// # Errors
    /// The gap could not be written (nothing was given up), or the file system
    /// cannot punch holes (readers jump all the same, the space is not freed).
    pub fn enforce_cap(&mut self, folder: &Folder) -> io::Result<()> {
        let Some((from, start, to)) = self.cap.next_hole(self.len) else {
            return Ok(());
        };
        let gap = JournalGap {
            version: PROTOCOL_VERSION,
            from,
            to,
        };
        let bytes = serde_json::to_vec(&gap).map_err(io::Error::other)?;
        folder.write_atomic(paths::JOURNAL_GAP, &bytes)?;
        sys::punch_hole(&self.file, start, to - start)
    }
}

impl Cap {
    fn new(bytes: u64) -> Self {
        Self {
            bytes,
            step: (bytes / 8).clamp(1, MAX_STEP),
            from: None,
            to: 0,
            boundaries: VecDeque::new(),
        }
    }

    /// Tells that a record begins at `offset`.
    fn note_boundary(&mut self, offset: u64) {
        let head = self.bytes / 4;
        if offset < head {
            return;
        }
        if self.from.is_none() {
            self.from = Some(offset);
            self.to = offset;
            return;
        }
        let last = self.boundaries.back().copied().unwrap_or(self.to);
        if offset >= last + self.step / 4 {
            self.boundaries.push_back(offset);
        }
    }

    /// (start of the hole, start of its new part, end) when the journal of length
    /// `len` is over its cap and a boundary a step further is known.
    fn next_hole(&mut self, len: u64) -> Option<(u64, u64, u64)> {
        let from = self.from?;
        if len - (self.to - from) <= self.bytes {
            return None;
        }
        let start = self.to;
        let target = start + self.step;
        while let Some(boundary) = self.boundaries.pop_front() {
            self.to = boundary;
            if boundary >= target {
                break;
            }
        }
        (self.to > start).then_some((from, start, self.to))
    }
}

/// Writes all parts in order; a short write goes on where it stopped.
fn write_parts(mut file: &File, parts: [&[u8]; 3]) -> io::Result<()> {
    let mut slices = parts.map(IoSlice::new);
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut left, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Cap;

    #[test]
    fn the_hole_grows_in_steps_and_stays_on_boundaries() {
        let mut cap = Cap::new(8_000);
        let mut offset = 0;
        let mut end = 0;
        for _ in 0..1_000 {
            cap.note_boundary(offset);
            offset += 100;
            if let Some((from, start, to)) = cap.next_hole(offset) {
                assert_eq!(from, 2_000);
                assert!(start == end || end == 0);
                assert!(to - start >= 1_000 && to % 100 == 0 && to < offset);
                end = to;
            }
            let kept = offset - (cap.to - cap.from.unwrap_or(cap.to));
            assert!(kept <= 8_000, "{kept}");
        }
        assert!(end > 80_000);
    }
}
