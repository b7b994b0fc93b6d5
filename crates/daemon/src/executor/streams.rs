//! Copies one of an agent's streams out of its journal, line by line and without
//! secrets.

use std::{
    io::{self, Write},
    path::Path,
};

use convoke_core::{
    mask::Masker,
    runner_protocol::{Line, LineAssembler, Stream},
};

use super::journal_file::{JournalFile, JournalFileError, Step};

/// Longest line that is copied whole.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// A stream cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Read(#[source] JournalFileError),
    /// The copy cannot be written.
    #[error("the copy cannot be written")]
    Write(#[source] io::Error),
}

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// What the agent says to programs.
    Out,
    /// What it says to people.
    Err,
}

/// Appends a stream of the journal in `folder` to `file`. Blocking. No journal is an empty
/// one.
///
/// # Errors
/// [`StreamError`].
pub fn copy(
    folder: &Path,
    which: Which,
    masker: &Masker,
    file: &mut dyn Write,
) -> Result<(), StreamError> {
    let mut journal = JournalFile::new(folder, 0);
    let mut lines = LineAssembler::with_max(MAX_LINE);
    let wanted = match which {
        Which::Out => Stream::Out,
        Which::Err => Stream::Err,
    };
    let mut keep = |line: Line| -> Result<(), StreamError> {
        if line.stream != wanted {
            return Ok(());
        }
        let masked = match line.terminated && !line.truncated {
            true => masker.mask(&line.bytes),
            // It may end in the middle of a secret.
            false => masker.mask_open(&line.bytes),
        };
        file.write_all(&masked).map_err(StreamError::Write)?;
        file.write_all(b"\n").map_err(StreamError::Write)
    };
    loop {
        let ended = match journal.step().map_err(StreamError::Read)? {
            Step::Record(record) => {
                lines.push(&record).into_iter().try_for_each(&mut keep)?;
                false
            }
            Step::Gap => {
                lines.cut().into_iter().try_for_each(&mut keep)?;
                false
            }
            Step::End => true,
        };
        if ended {
            return lines.finish().into_iter().try_for_each(&mut keep);
        }
    }
}
