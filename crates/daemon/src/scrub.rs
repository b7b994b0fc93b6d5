//! Takes the secrets of a job's environment out of its runner's folder, once the
//! job is over: they are replaced in place, byte for byte, so that offsets stay.

use std::{collections::HashMap, fs::File, io, os::unix::fs::FileExt, path::Path};

use convoke_core::{
    mask::Masker,
    runner_protocol::{Record, Stream, paths},
};

use crate::executor::journal_file::{JournalFile, JournalFileError, Step};

/// Secrets could not be taken out.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Read(#[source] JournalFileError),
    /// A file cannot be written.
    #[error("a file cannot be written")]
    Write(#[source] io::Error),
}

/// Replaces every secret in the journal and the description of a runner.
/// Blocking.
///
/// # Errors
/// A file cannot be read or written; what was replaced stays replaced.
pub fn runner_folder(folder: &Path, masker: &Masker) -> Result<(), ScrubError> {
    if masker.is_empty() {
        return Ok(());
    }
    description(&folder.join(paths::SPEC), masker).map_err(ScrubError::Write)?;
    journal(folder, masker)
}

/// Prompt and arguments may hold secrets too.
fn description(path: &Path, masker: &Masker) -> io::Result<()> {
    let mut bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !masker.blank(&mut bytes) {
        return Ok(());
    }
    let file = File::options().write(true).open(path)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_data()
}

fn journal(folder: &Path, masker: &Masker) -> Result<(), ScrubError> {
    let file = match File::options()
        .write(true)
        .open(folder.join(paths::JOURNAL))
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ScrubError::Write(error)),
    };
    let mut journal = JournalFile::new(folder, 0);
    // What one stream printed before goes on in its next record: a secret may
    // have been printed in pieces.
    let mut ends: HashMap<Stream, Vec<(u64, u8)>> = HashMap::new();
    let mut changed = false;
    loop {
        match journal.step().map_err(ScrubError::Read)? {
            Step::Record(record) => {
                let end = ends.entry(record.header.stream).or_default();
                changed |= scrub_record(&file, &record, end, masker).map_err(ScrubError::Write)?;
            }
            Step::Gap => ends.clear(),
            Step::End => break,
        }
    }
    if changed {
        file.sync_data().map_err(ScrubError::Write)?;
    }
    Ok(())
}

/// Blanks secrets that end in this record; `end` holds the last bytes of the
/// stream before it, with their places in the file.
fn scrub_record(
    file: &File,
    record: &Record,
    end: &mut Vec<(u64, u8)>,
    masker: &Masker,
) -> io::Result<bool> {
    // The payload stands before the line feed that ends the record.
    let start = record.end - 1 - record.data.len() as u64;
    let mut places: Vec<u64> = end.iter().map(|(place, _)| *place).collect();
    places.extend((0..record.data.len() as u64).map(|index| start + index));
    let before: Vec<u8> = end
        .iter()
        .map(|(_, byte)| *byte)
        .chain(record.data.iter().copied())
        .collect();
    let mut after = before.clone();
    let changed = masker.blank(&mut after);
    if changed {
        for run in changed_runs(&before, &after, &places) {
            file.write_all_at(&after[run.clone()], places[run.start])?;
        }
    }
    let keep = masker.longest().saturating_sub(1).min(after.len());
    let from = after.len() - keep;
    *end = places[from..]
        .iter()
        .copied()
        .zip(after[from..].iter().copied())
        .collect();
    Ok(changed)
}

/// Ranges of changed bytes that are consecutive in the file too.
fn changed_runs(before: &[u8], after: &[u8], places: &[u64]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for index in (0..before.len()).filter(|index| before[*index] != after[*index]) {
        match runs.last_mut() {
            Some(run) if run.end == index && places[index] == places[index - 1] + 1 => {
                run.end = index + 1
            }
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use convoke_core::runner_protocol::RecordHeader;

    use super::*;

    fn record(journal: &mut Vec<u8>, stream: Stream, data: &[u8]) {
        let header = RecordHeader {
            wall_ms: 1,
            mono_ms: 1,
            stream,
            len: data.len(),
            partial: !data.ends_with(b"\n"),
        };
        header.encode(journal);
        journal.extend_from_slice(data);
        journal.push(b'\n');
    }

    #[test]
    fn a_secret_printed_in_pieces_is_blanked() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let mut journal = Vec::new();
        record(&mut journal, Stream::Out, b"the key is very-se");
        record(&mut journal, Stream::Err, b"meanwhile\n");
        record(
            &mut journal,
            Stream::Out,
            b"cret-value and very-secret-value\n",
        );
        fs_err::write(folder.path().join(paths::JOURNAL), &journal).expect("written");
        let environment = [("A_TOKEN".to_owned(), "very-secret-value".to_owned())].into();
        runner_folder(folder.path(), &Masker::of_environment(&environment)).expect("scrubbed");
        let left = fs_err::read(folder.path().join(paths::JOURNAL)).expect("read");
        let text = String::from_utf8_lossy(&left);
        assert_eq!(left.len(), journal.len());
        assert!(
            text.contains("the key is *******\n") && text.contains("meanwhile"),
            "{text}"
        );
        assert!(
            text.contains("********** and *****************\n"),
            "{text}"
        );
    }
}
