//! The ends of an agent's stdout and stderr, from its journal.

use std::{collections::VecDeque, path::Path};

use convoke_core::{
    mask::Masker,
    runner_protocol::{Line, LineAssembler, Stream},
};

use super::journal_file::{JournalFile, JournalFileError, Step};

/// Bytes kept of each stream.
const TAIL_BYTES: usize = 64 * 1024;

/// Longest line that is shown.
const MAX_LINE: usize = 64 * 1024;

/// Ends of the two streams, masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tails {
    /// End of stdout.
    pub stdout: String,
    /// End of stderr.
    pub stderr: String,
}

#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, line: String) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.bytes > TAIL_BYTES && self.lines.len() > 1 {
            self.bytes -= self
                .lines
                .pop_front()
                .map_or(0, |dropped| dropped.len() + 1);
        }
    }

    fn text(self) -> String {
        let mut text = String::with_capacity(self.bytes);
        for line in self.lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// Reads the ends from the journal in `folder`, from `offset` on. Blocking.
///
/// # Errors
/// The journal cannot be read.
pub fn read(folder: &Path, offset: u64, masker: &Masker) -> Result<Tails, JournalFileError> {
    let mut journal = JournalFile::new(folder, offset);
    let mut lines = LineAssembler::with_max(MAX_LINE);
    let (mut stdout, mut stderr) = (Tail::default(), Tail::default());
    let mut keep = |line: Line| {
        let masked = if line.terminated && !line.truncated {
            masker.mask(&line.bytes)
        } else {
            // It may end in the middle of a secret.
            masker.mask_open(&line.bytes)
        };
        let text = String::from_utf8_lossy(&masked).into_owned();
        if line.stream == Stream::Err {
            stderr.push(text)
        } else {
            stdout.push(text)
        }
    };
    loop {
        match journal.step()? {
            Step::Record(record) => lines.push(&record).into_iter().for_each(&mut keep),
            Step::Gap => lines.cut().into_iter().for_each(&mut keep),
            Step::End => break,
        }
    }
    lines.finish().into_iter().for_each(&mut keep);
    Ok(Tails {
        stdout: stdout.text(),
        stderr: stderr.text(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use convoke_core::runner_protocol::{RecordHeader, paths};

    use super::*;

    #[test]
    fn a_line_in_progress_shows_no_beginning_of_a_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = b"0123456789abcdef\nx 0123456789abc";
        let mut journal = Vec::new();
        let header = RecordHeader {
            wall_ms: 1,
            mono_ms: 1,
            stream: Stream::Out,
            len: data.len(),
            partial: true,
        };
        header.encode(&mut journal);
        journal.extend_from_slice(data);
        journal.push(b'\n');
        fs_err::write(folder.path().join(paths::JOURNAL), journal).expect("written");
        let secret = ("A_TOKEN".to_owned(), "0123456789abcdef".to_owned());
        let masker = Masker::of_environment(&BTreeMap::from([secret]));
        let tails = read(folder.path(), 0, &masker).expect("read");
        assert_eq!(tails.stdout, "[masked]\nx [masked]\n");
    }
}
