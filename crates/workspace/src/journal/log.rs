//! What was seen to change in a tree, in the order in which it was seen, in the
//! file `changes.jsonl` of its private repository.
//!
//! Lines of states stand between the changes before and after them. A line that is
//! torn or of a newer version is as if it were not there, and so is a file that is
//! not: then nothing is known but what lies between states.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use fs_err::{File, OpenOptions, os::unix::fs::OpenOptionsExt as _};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// Version of [`Line`].
const VERSION: u32 = 1;

/// Name of the file.
const NAME: &str = "changes.jsonl";

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// Version of this form.
    v: u32,
    #[serde(flatten)]
    entry: Entry,
}

/// What one line says. Times are milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Entry {
    /// A state of the tree was kept.
    State {
        /// Its name.
        id: String,
    },
    /// A path was seen in another version.
    Version(Version),
    /// Not everything was seen.
    Gap(Gap),
}

/// A version of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The path, relative to the top.
    pub path: String,
    /// When it was first touched since the version before.
    pub since: u64,
    /// When it was last touched.
    pub at: u64,
    /// What became of it.
    pub found: Found,
    /// Versions since the one before that stood too briefly to be kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub passed: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a path was found to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum Found {
    /// A file or a link.
    File {
        /// The mode git gives it.
        mode: String,
        /// Name of the object that holds its content.
        object: String,
    },
    /// Nothing; nor anything below it.
    Gone,
    /// Something that was not looked at, because a state was taken just then, or
    /// because it cannot be kept.
    Unread,
}

impl Found {
    /// The object that holds its content, if there is one.
    #[must_use]
    pub fn object(self) -> Option<String> {
        match self {
            Self::File { object, .. } => Some(object),
            Self::Gone | Self::Unread => None,
        }
    }
}

/// A span of time over which the record is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Its beginning.
    pub from: u64,
    /// Its end.
    pub to: u64,
    /// Why, in words.
    pub reason: String,
}

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    path: PathBuf,
}

impl Log {
    /// The one of the private repository at `repository`.
    pub fn of(repository: &Path) -> Self {
        Self {
            path: repository.join(NAME),
        }
    }

    /// When it was last written, if ever.
    pub fn modified(&self) -> Option<std::time::SystemTime> {
        fs_err::metadata(&self.path).ok()?.modified().ok()
    }

    /// Every entry.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> io::Result<Vec<Entry>> {
        let text = match fs_err::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        Ok(entries(&text))
    }

    /// Adds entries.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn append(&self, entries: &[Entry]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut file = self.locked()?;
        let mut text = Vec::new();
        // What a process that was killed left of a line is ended.
        if file.seek(SeekFrom::End(-1)).is_ok() {
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                text.push(b'\n');
            }
        }
        write_lines(&mut text, entries)?;
        file.write_all(&text)
    }

    /// Keeps what comes after the first of the states that `stays` names, and
    /// answers it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget(&self, stays: impl Fn(&str) -> bool) -> io::Result<Vec<Entry>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        // Held until the new file is in its place.
        let mut file = self.locked()?;
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut text)?;
        let mut kept = entries(&text);
        let is_first = |entry: &Entry| matches!(entry, Entry::State { id } if stays(id));
        let first = kept.iter().position(is_first).unwrap_or(kept.len());
        if first > 0 {
            kept.drain(..first);
            let mut text = Vec::new();
            write_lines(&mut text, &kept)?;
            let next = self.path.with_extension("next");
            let mut new = private().truncate(true).open(&next)?;
            new.write_all(&text)?;
            fs_err::rename(next, &self.path)?;
        }
        Ok(kept)
    }

    /// Opens the file and locks it; another process may put a new one in its place.
    fn locked(&self) -> io::Result<File> {
        loop {
            let file = private().read(true).append(true).open(&self.path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            let in_place = fs_err::metadata(&self.path);
            if in_place.is_ok_and(|it| file.metadata().is_ok_and(|own| own.ino() == it.ino())) {
                return Ok(file);
            }
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o600);
    options
}

fn entries(text: &[u8]) -> Vec<Entry> {
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
        .filter(|line| line.v <= VERSION)
        .map(|line| line.entry)
        .collect()
}

fn write_lines(text: &mut Vec<u8>, entries: &[Entry]) -> io::Result<()> {
    for entry in entries {
        let line = Line {
            v: VERSION,
            entry: entry.clone(),
        };
        serde_json::to_writer(&mut *text, &line)?;
        text.push(b'\n');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(id: &str) -> Entry {
        Entry::State { id: id.to_owned() }
    }

    fn version(path: &str) -> Entry {
        Entry::Version(Version {
            path: path.to_owned(),
            since: 1,
            at: 2,
            found: Found::Gone,
            passed: 0,
        })
    }

    #[test]
    fn what_was_added_is_read_and_torn_lines_are_not() {
        let temp = tempfile::tempdir().expect("a temp folder");
        let log = Log::of(temp.path());
        assert_eq!(log.read().expect("read"), []);
        log.append(&[state("a"), version("f")]).expect("added");
        let path = temp.path().join(NAME);
        let mut text = fs_err::read(&path).expect("read");
        text.extend_from_slice(br#"{"v":1,"type":"ver"#);
        fs_err::write(&path, text).expect("written");
        log.append(&[state("b")]).expect("added");
        let all = [state("a"), version("f"), state("b")];
        assert_eq!(log.read().expect("read"), all);
        let newer = r#"{"v":2,"type":"state","id":"x"}"#;
        fs_err::write(&path, format!("{newer}\n")).expect("written");
        assert_eq!(log.read().expect("read"), []);
    }

    #[test]
    fn what_comes_before_the_first_state_that_stays_is_forgotten() {
        let temp = tempfile::tempdir().expect("a temp folder");
        let log = Log::of(temp.path());
        let all = [
            state("a"),
            version("f"),
            state("b"),
            version("g"),
            state("c"),
        ];
        log.append(&all).expect("added");
        let kept = log.forget(|id| id != "a").expect("forgotten");
        assert_eq!(kept, all[2..]);
        assert_eq!(log.read().expect("read"), all[2..]);
        assert_eq!(log.forget(|_| false).expect("forgotten"), []);
    }
}
