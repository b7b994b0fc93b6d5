//! Reads a runner's journal from its file, live and after a restart alike.

use std::{
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use convoke_core::runner_protocol::{JournalError, JournalGap, JournalReader, Record, paths};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// A journal that cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum JournalFileError {
    /// The file cannot be read.
    #[error("cannot read the journal {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bytes are no journal, and no gap explains it.
    #[error("the journal {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        source: JournalError,
    },
}

/// What the next step of reading brought.
#[derive(Debug)]
pub enum Step {
    /// A record.
    Record(Record),
    /// Part of the journal was given up here; records are missing.
    Gap,
    /// Nothing more is there yet.
    End,
}

/// The journal of one runner.
#[derive(Debug)]
pub struct JournalFile {
    folder: PathBuf,
    file: Option<std::fs::File>,
    reader: JournalReader,
    chunk: Vec<u8>,
}

impl JournalFile {
    /// Reads from `offset` on; the file need not exist yet.
    #[must_use]
    pub fn new(folder: &Path, offset: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            file: None,
            reader: JournalReader::new(offset),
            chunk: Vec::new(),
        }
    }

    /// Where the next record begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// The next record, or why there is none.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn step(&mut self) -> Result<Step, JournalFileError> {
        loop {
            match self.reader.next_record() {
                Ok(Some(record)) => return Ok(Step::Record(record)),
                Ok(None) => {
                    if self.fill()? == 0 {
                        self.chunk = Vec::new();
                        return Ok(Step::End);
                    }
                }
                Err(source) => {
                    if self.reader.set_gap(self.read_gap()) {
                        return Ok(Step::Gap);
                    }
                    return Err(JournalFileError::Damaged {
                        path: self.folder.join(paths::JOURNAL),
                        source,
                    });
                }
            }
        }
    }

    fn fill(&mut self) -> Result<usize, JournalFileError> {
        let path = self.folder.join(paths::JOURNAL);
        let failed = |source| JournalFileError::Read {
            path: path.clone(),
            source,
        };
        if self.file.is_none() {
            match std::fs::File::open(&path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(source) => return Err(failed(source)),
            }
        }
        let Some(file) = &self.file else { return Ok(0) };
        self.chunk.resize(CHUNK, 0);
        let read = file
            .read_at(&mut self.chunk, self.reader.read_from())
            .map_err(failed)?;
        self.reader.feed(&self.chunk[..read]);
        Ok(read)
    }

    fn read_gap(&self) -> Option<JournalGap> {
        let bytes = std::fs::read(self.folder.join(paths::JOURNAL_GAP)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
