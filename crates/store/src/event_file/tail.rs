//! The end of an event file: what it holds, found by reading backwards.

use std::io;

use convoke_core::event::Source;
use fs_err::os::unix::fs::FileExt as _;

use super::{line::Place, sources::LastSources};

/// Bytes read at a time.
const CHUNK: u64 = 64 * 1024;

/// What an event file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Its length in bytes, up to the end of its last whole line.
    pub len: u64,
    /// Number and source of its last event, if it has one.
    pub last: Option<(u64, Source)>,
    /// The last source of each kind.
    pub sources: LastSources,
}

impl Tail {
    /// Finds the last line that ends at or before `len` and can be read.
    pub(super) fn find(file: &fs_err::File, len: u64) -> io::Result<Self> {
        let mut end = last_newline(file, len)?.map_or(0, |at| at + 1);
        while end > 0 {
            let start = last_newline(file, end - 1)?.map_or(0, |at| at + 1);
            let mut line = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut line, start)?;
            if let Ok(place) = serde_json::from_slice::<Place>(&line) {
                return Ok(Self::after(end, &place));
            }
            // Power loss may leave lines of zeros or of other files behind.
            end = start;
        }
        Ok(Self::default())
    }

    fn after(len: u64, place: &Place) -> Self {
        let mut sources = LastSources::default();
        if let Some(other) = place.other {
            sources.advance(other);
        }
        sources.advance(place.src);
        Self {
            len,
            last: Some((place.seq, place.src)),
            sources,
        }
    }
}

/// The offset of the last newline before `end`.
fn last_newline(file: &fs_err::File, mut end: u64) -> io::Result<Option<u64>> {
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut chunk = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut chunk, start)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(start + at as u64));
        }
        end = start;
    }
    Ok(None)
}
