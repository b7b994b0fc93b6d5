//! Puts the lines of an agent's output together again from journal records.

use super::journal::{Record, Stream};

/// Longest line kept, in bytes: 64 MiB.
pub const MAX_LINE: usize = 64 * 1024 * 1024;

/// One line of stdout or stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `Out` or `Err`.
    pub stream: Stream,
    /// The line without its newline; not necessarily UTF-8.
    pub bytes: Vec<u8>,
    /// Offset of the record in which the line ended.
    pub record_offset: u64,
    /// Number of newlines before the end of this line in that record, so that
    /// (`record_offset`, `index`) names the line whatever the reader began with.
    pub index: u32,
    /// Wall clock of that record, milliseconds since the epoch.
    pub wall_ms: u64,
    /// Monotonic clock of that record, milliseconds.
    pub mono_ms: u64,
    /// Whether bytes are missing: longer than the bound, or cut by a gap.
    pub truncated: bool,
    /// Whether it ended in a newline; false only for the last line of a stream.
    pub terminated: bool,
}

/// What is known of a line that has not ended.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    /// Offset of the record in which it began; none when there is no line.
    began: Option<u64>,
    truncated: bool,
    /// Where it would end if nothing more came: record, index, clocks.
    last: (u64, u32, u64, u64),
}

/// Assembles lines per stream. Records of other streams are ignored.
#[derive(Debug)]
pub struct LineAssembler {
    out: Pending,
    err: Pending,
    max: usize,
}

impl Default for LineAssembler {
    fn default() -> Self {
        Self::new()
    }
}

impl LineAssembler {
    /// An assembler that keeps lines up to [`MAX_LINE`].
    pub fn new() -> Self {
        Self::with_max(MAX_LINE)
    }

    /// An assembler that keeps the first `max` bytes of a line.
    pub fn with_max(max: usize) -> Self {
        Self {
            out: Pending::default(),
            err: Pending::default(),
            max,
        }
    }

    /// The lines that end in this record, in order.
    pub fn push(&mut self, record: &Record) -> Vec<Line> {
        let max = self.max;
        let stream = record.header.stream;
        let pending = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
            Stream::In | Stream::Ctl => return Vec::new(),
        };
        let (wall_ms, mono_ms) = (record.header.wall_ms, record.header.mono_ms);
        let mut lines = Vec::new();
        let mut rest = record.data.as_slice();
        let mut index = 0;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            pending.add(&rest[..end], record.offset, max);
            pending.last = (record.offset, index, wall_ms, mono_ms);
            lines.push(pending.take(stream, true));
            rest = &rest[end + 1..];
            index += 1;
        }
        if !rest.is_empty() {
            pending.add(rest, record.offset, max);
            pending.last = (record.offset, index, wall_ms, mono_ms);
        }
        lines
    }

    /// Tells that records are missing here (a journal gap): lines in progress
    /// cannot be completed and come out truncated. What follows may begin in the
    /// middle of a line.
    pub fn cut(&mut self) -> Vec<Line> {
        self.out.truncated |= self.out.began.is_some();
        self.err.truncated |= self.err.began.is_some();
        self.finish()
    }

    /// The unterminated last lines, at the end of the journal.
    pub fn finish(&mut self) -> Vec<Line> {
        [(&mut self.out, Stream::Out), (&mut self.err, Stream::Err)]
            .into_iter()
            .filter(|(pending, _)| pending.began.is_some())
            .map(|(pending, stream)| pending.take(stream, false))
            .collect()
    }

    /// Offset of the earliest record that holds a part of a line in progress.
    /// A reader that starts over there sees that line whole; it then also sees
    /// lines again that ended in that record or later, to be told apart by
    /// (`record_offset`, `index`).
    pub fn pending_from(&self) -> Option<u64> {
        [self.out.began, self.err.began].into_iter().flatten().min()
    }
}

impl Pending {
    fn add(&mut self, bytes: &[u8], offset: u64, max: usize) {
        self.began.get_or_insert(offset);
        let room = max.saturating_sub(self.bytes.len());
        self.truncated |= bytes.len() > room;
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn take(&mut self, stream: Stream, terminated: bool) -> Line {
        let Pending {
            bytes,
            truncated,
            last: (record_offset, index, wall_ms, mono_ms),
            ..
        } = std::mem::take(self);
        Line {
            stream,
            bytes,
            record_offset,
            index,
            wall_ms,
            mono_ms,
            truncated,
            terminated,
        }
    }
}
