//! The journal's records: `<wall_ms> <mono_ms> <out|err|in|ctl> <len>[+]\n<raw bytes>\n`.
//!
//! One record holds what one `read` brought, at most [`MAX_CHUNK`] bytes, exactly
//! as it came: a record may end in the middle of a line or of a character. Offsets
//! into the file stay valid for ever; a part that was given up under the cap is
//! named by a [`JournalGap`].

use std::io::Write as _;

use serde::{Deserialize, Serialize};

/// Most payload bytes in one record.
pub const MAX_CHUNK: usize = 64 * 1024;

/// Longest header, newline included: two 20-digit numbers, a stream, a length.
const MAX_HEADER: usize = 64;

/// What a record's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The agent's stdout.
    Out,
    /// The agent's stderr.
    Err,
    /// Written to the agent's stdin by command.
    In,
    /// A [`Control`](super::Control) object.
    Ctl,
}

impl Stream {
    /// The word in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::In => "in",
            Self::Ctl => "ctl",
        }
    }

    fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"out" => Self::Out,
            b"err" => Self::Err,
            b"in" => Self::In,
            b"ctl" => Self::Ctl,
            _ => return None,
        })
    }
}

/// The first line of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// Wall clock, milliseconds since the epoch.
    pub wall_ms: u64,
    /// Monotonic clock, milliseconds.
    pub mono_ms: u64,
    /// What the bytes are.
    pub stream: Stream,
    /// Number of payload bytes.
    pub len: usize,
    /// True when the payload does not end in a newline (`+`).
    pub partial: bool,
}

impl RecordHeader {
    /// Appends the header line to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let plus = if self.partial { "+" } else { "" };
        writeln!(
            out,
            "{} {} {} {}{plus}",
            self.wall_ms,
            self.mono_ms,
            self.stream.as_str(),
            self.len
        )
        .expect("writing to a vector cannot fail");
    }

    /// Reads a header line without its newline; none when it is not one.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(|b| *b == b' ');
        let wall_ms = number(words.next()?)?;
        let mono_ms = number(words.next()?)?;
        let stream = Stream::parse(words.next()?)?;
        let len = words.next()?;
        let (len, partial) = match len.strip_suffix(b"+") {
            Some(len) => (len, true),
            None => (len, false),
        };
        let len = usize::try_from(number(len)?).ok()?;
        if words.next().is_some() {
            return None;
        }
        Some(Self {
            wall_ms,
            mono_ms,
            stream,
            len,
            partial,
        })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// One whole record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where the record begins in the journal.
    pub offset: u64,
    /// Where the next one begins.
    pub end: u64,
    /// Its header.
    pub header: RecordHeader,
    /// Its payload.
    pub data: Vec<u8>,
}

/// `journal.gap`: the bytes `from..to` of the journal were given up. Both lie on
/// record boundaries; a reader that comes to an offset in there goes on at `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalGap {
    /// Version of this file.
    pub version: u32,
    /// First byte given up.
    pub from: u64,
    /// First byte kept again.
    pub to: u64,
}

/// The bytes are not a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no journal record at offset {offset}")]
pub struct JournalError {
    /// Where a record was expected.
    pub offset: u64,
}

/// Turns bytes of a journal into records, without reading anything itself.
///
/// The caller reads the file at [`read_from`](Self::read_from), feeds what it
/// got, and takes records until there is none. An incomplete record at the end
/// stays buffered. On a [`JournalError`] the caller reads `journal.gap` again,
/// gives it to [`set_gap`](Self::set_gap) and goes on when that moved
/// [`read_from`](Self::read_from): the runner writes the gap before it gives
/// bytes up, so a record that was lost while being read is always found in it.
#[derive(Debug)]
pub struct JournalReader {
    buffer: Vec<u8>,
    /// How many bytes of `buffer` are already taken.
    taken: usize,
    /// Offset in the journal of the next record.
    offset: u64,
    gap: Option<JournalGap>,
}

impl JournalReader {
    /// A reader whose next record begins at `offset`.
    pub fn new(offset: u64) -> Self {
        Self {
            buffer: Vec::new(),
            taken: 0,
            offset,
            gap: None,
        }
    }

    /// Where the next record begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where to read the next bytes in the file.
    pub fn read_from(&self) -> u64 {
        // A damaged `journal.gap` may put the reader at any number.
        self.offset
            .saturating_add((self.buffer.len() - self.taken) as u64)
    }

    /// Tells which part of the journal was given up; true when the reader stood
    /// in it and jumped, so that buffered bytes were dropped and lines that were
    /// being assembled are cut.
    pub fn set_gap(&mut self, gap: Option<JournalGap>) -> bool {
        self.gap = gap;
        self.jump()
    }

    /// Adds bytes read at [`read_from`](Self::read_from).
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole record, if it is there.
    ///
    /// # Errors
    /// The bytes at [`offset`](Self::offset) are no record.
    pub fn next_record(&mut self) -> Result<Option<Record>, JournalError> {
        if self.jump() {
            return Ok(None);
        }
        let error = JournalError {
            offset: self.offset,
        };
        let bytes = &self.buffer[self.taken..];
        let head = &bytes[..bytes.len().min(MAX_HEADER)];
        let Some(line_len) = head.iter().position(|b| *b == b'\n') else {
            return match head.len() < MAX_HEADER {
                // A torn header is digits so far; anything else never was one.
                true if head.first().is_none_or(u8::is_ascii_digit) => Ok(None),
                _ => Err(error),
            };
        };
        let header = RecordHeader::parse(&head[..line_len]).ok_or(error)?;
        if header.len > MAX_CHUNK {
            return Err(error);
        }
        let start = line_len + 1;
        let size = start + header.len + 1;
        if bytes.len() < size {
            return Ok(None);
        }
        if bytes[size - 1] != b'\n' {
            return Err(error);
        }
        let end = self.offset.checked_add(size as u64).ok_or(error)?;
        let record = Record {
            offset: self.offset,
            end,
            header,
            data: bytes[start..size - 1].to_vec(),
        };
        self.taken += size;
        self.offset = record.end;
        Ok(Some(record))
    }

    fn jump(&mut self) -> bool {
        match self.gap {
            Some(gap) if (gap.from..gap.to).contains(&self.offset) => {
                self.buffer.clear();
                self.taken = 0;
                self.offset = gap.to;
                true
            }
            _ => false,
        }
    }
}
