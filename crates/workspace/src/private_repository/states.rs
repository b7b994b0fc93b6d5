//! The states of a tree that are kept, in the order in which they were taken, in
//! the file `states.jsonl`.
//!
//! States are taken around those who write, before and after, and again when
//! one writes again. Nothing is ever pruned but by [`PrivateRepository::forget`],
//! which names what stays.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt::Write as _,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
};

use fs_err::{OpenOptions, os::unix::fs::OpenOptionsExt as _};
use serde::{Deserialize, Serialize};

use super::{PrivateRepository, PrivateRepositoryError, io_error, name_of, write_atomic};
use crate::{checkpoint::Checkpoint, journal};

/// Name of the file.
const STATES: &str = "states.jsonl";

/// Name of the file of refs (gitrepository-layout(5)), which hold what stays while
/// the rest is pruned.
const REFS: &str = "packed-refs";

/// Where in the life of a writer a state was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// Before it wrote anything.
    Before,
    /// After it had written.
    After,
    /// It writes no more, but no state after it could be kept; the one before in
    /// the file is repeated.
    Lost,
    /// What a writer with a working tree of its own began with.
    Base,
    /// What it made of it so far.
    Result,
}

impl Edge {
    /// Whether the state is one of a writer's own working tree.
    fn is_of_own_tree(self) -> bool {
        matches!(self, Self::Base | Self::Result)
    }
}

/// A state that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptState {
    /// Name: `<writer>.before`, `<writer>.after`, then `<writer>.before-2` and so on.
    /// Of several of one name, the first counts.
    pub id: String,
    /// Who wrote: a job, or a rollback.
    pub writer: String,
    /// Before or after.
    pub edge: Edge,
    /// When it was taken, milliseconds since the epoch.
    pub at: u64,
    /// What is kept.
    pub checkpoint: Checkpoint,
}

impl KeptState {
    /// The writer's how many-th time of writing it belongs to, from 1; none of a
    /// loss, which says nothing of that.
    #[must_use]
    pub fn nth(&self) -> Option<u32> {
        let name = self.id.strip_prefix(&self.writer)?.strip_prefix('.')?;
        match name.split_once('-') {
            Some((_, nth)) => nth.parse().ok(),
            None => (self.edge != Edge::Lost).then_some(1),
        }
    }
}

impl PrivateRepository {
    /// The states of the tree. A torn last line is as if it were not there, and so
    /// is one of a newer version.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn states(&self) -> Result<Vec<KeptState>, PrivateRepositoryError> {
        let mut states = self.all_states()?;
        states.retain(|state| !state.edge.is_of_own_tree());
        Ok(states)
    }

    /// The states of the working tree of a writer's own, the one it began with
    /// first.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn states_of_own_tree(
        &self,
        writer: &str,
    ) -> Result<Vec<KeptState>, PrivateRepositoryError> {
        let mut states = self.all_states()?;
        states.retain(|state| state.edge.is_of_own_tree() && state.writer == writer);
        Ok(states)
    }

    /// Every state that is kept here.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn all_states(&self) -> Result<Vec<KeptState>, PrivateRepositoryError> {
        let path = self.folder().join(STATES);
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("read", path)(error)),
        };
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// Whether the last state of this writer is one before it wrote.
    ///
    /// # Errors
    /// The states cannot be read.
    pub fn is_open(&self, writer: &str) -> Result<bool, PrivateRepositoryError> {
        let path = self.folder().join(STATES);
        let mut all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.entry(self.folder().to_owned()).or_default();
        open.read_on(&path).map_err(io_error("read", path))?;
        Ok(open.writers.contains(writer))
    }

    /// Whether others wrote at any time while this writer did; none if no state of
    /// it is kept.
    ///
    /// # Errors
    /// The states cannot be read.
    pub fn has_met_others(&self, writer: &str) -> Result<Option<bool>, PrivateRepositoryError> {
        self.is_open(writer)?;
        let all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(self.folder());
        Ok(known.and_then(|known| known.met.get(writer).copied()))
    }

    /// Whether nobody else wrote while this writer did, as far as was read before: no
    /// file is looked at. False if it is not known.
    #[must_use]
    pub fn was_alone(folder: &Path, top: &Path, writer: &str) -> bool {
        let all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&folder.join(name_of(top)));
        known.and_then(|known| known.met.get(writer)) == Some(&false)
    }

    /// Who writes, as far as the states tell.
    ///
    /// # Errors
    /// The states cannot be read.
    pub fn open_writers(&self) -> Result<Vec<String>, PrivateRepositoryError> {
        self.is_open("")?;
        let all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all
            .get(self.folder())
            .map(|open| open.writers.iter().cloned());
        Ok(open.into_iter().flatten().collect())
    }

    /// Notes that a writer writes no more although no state after it is kept.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn close(&self, writer: &str, at: u64) -> Result<(), PrivateRepositoryError> {
        let Some(last) = self.states()?.pop() else {
            return Ok(());
        };
        self.append(&KeptState {
            id: format!("{writer}.lost"),
            writer: writer.to_owned(),
            edge: Edge::Lost,
            at,
            checkpoint: last.checkpoint,
        })
    }

    /// Keeps the state around a writer's `nth` time of writing, from 1, and answers
    /// its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(
        &self,
        writer: &str,
        (edge, nth): (Edge, u32),
        at: u64,
        checkpoint: Checkpoint,
    ) -> Result<String, PrivateRepositoryError> {
        let name = match edge {
            Edge::Before => "before",
            Edge::After => "after",
            Edge::Lost => "lost",
            Edge::Base => "base",
            Edge::Result => "result",
        };
        let state = KeptState {
            id: match nth {
                0 | 1 => format!("{writer}.{name}"),
                nth => format!("{writer}.{name}-{nth}"),
            },
            writer: writer.to_owned(),
            edge,
            at,
            checkpoint,
        };
        self.append(&state)?;
        Ok(state.id)
    }

    /// Forgets the versions before the first of some states, and answers a tree that
    /// holds the others; none if there are none.
    fn forget_versions(
        &self,
        kept: &[KeptState],
    ) -> Result<Option<String>, PrivateRepositoryError> {
        let log = journal::Log::of(self.folder());
        let stays = |id: &str| kept.iter().any(|state| state.id == id);
        let entries = log
            .forget(stays)
            .map_err(io_error("write", self.folder()))?;
        let objects: BTreeSet<String> = entries
            .into_iter()
            .filter_map(|entry| match entry {
                journal::Entry::Version(version) => version.found.object(),
                _ => None,
            })
            .collect();
        if objects.is_empty() {
            return Ok(None);
        }
        let asked: String = objects.iter().map(|name| format!("{name}\n")).collect();
        let found = self.git_with(&["cat-file", "--batch-check"], asked.as_bytes())?;
        let found = String::from_utf8_lossy(&found).into_owned();
        // `<name> blob <size>`, or `<name> missing` after a power loss.
        let entries: String = found
            .lines()
            .filter_map(|line| line.split_once(" blob "))
            .map(|(name, _)| format!("100644 blob {name}\t{name}\n"))
            .collect();
        let tree = self.git_with(&["mktree"], entries.as_bytes())?;
        Ok(Some(String::from_utf8_lossy(&tree).trim().to_owned()))
    }

    fn append(&self, state: &KeptState) -> Result<(), PrivateRepositoryError> {
        let path = self.folder().join(STATES);
        let mut line = serde_json::to_vec(state).map_err(|e| io_error("write", &path)(e.into()))?;
        line.push(b'\n');
        let appended = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| {
                // What a process that was killed left of a line is ended.
                if file.seek(SeekFrom::End(-1)).is_ok() {
                    let mut last = [0];
                    file.read_exact(&mut last)?;
                    if last != *b"\n" {
                        line.insert(0, b'\n');
                    }
                }
                file.write_all(&line)
            });
        appended.map_err(io_error("write", path))
    }

    /// Forgets the states of all writers but those that `stays` names, and what
    /// only they held.
    ///
    /// # Errors
    /// What is left cannot be written.
    pub fn forget(&self, stays: impl Fn(&str) -> bool) -> Result<usize, PrivateRepositoryError> {
        let (kept, gone): (Vec<_>, Vec<_>) = self
            .all_states()?
            .into_iter()
            .partition(|state| stays(&state.writer));
        if gone.is_empty() {
            return Ok(0);
        }
        let path = self.folder().join(STATES);
        let mut text = Vec::new();
        for state in &kept {
            serde_json::to_writer(&mut text, state)
                .map_err(|e| io_error("write", &path)(e.into()))?;
            text.push(b'\n');
        }
        write_atomic(&path, &text)?;
        let mut refs = String::new();
        for (n, state) in kept.iter().enumerate() {
            let _ = writeln!(refs, "{} refs/states/{n}", state.checkpoint.tree);
        }
        if let Some(versions) = self.forget_versions(&kept)? {
            let _ = writeln!(refs, "{versions} refs/versions");
        }
        write_atomic(&self.folder().join(REFS), refs.as_bytes())?;
        self.forget_trees_of_views();
        // Objects of the index stay too, but not those of the indices of views: what
        // only they hold is read again.
        self.git(&["prune", "--expire=now"])?;
        Ok(gone.len())
    }
}

/// Who writes in a tree, as far as the file is read.
#[derive(Debug, Default)]
struct Open {
    /// Length of the file as far as it is read, and its inode.
    read: (u64, u64),
    writers: HashSet<String>,
    /// Everybody who wrote, and whether others did meanwhile.
    met: HashMap<String, bool>,
}

impl Open {
    fn begin(&mut self, writer: String) {
        let alone = self.writers.iter().all(|other| *other == writer);
        if !alone {
            for other in &self.writers {
                self.met.insert(other.clone(), true);
            }
        }
        let met = self.met.entry(writer.clone()).or_default();
        *met |= !alone;
        self.writers.insert(writer);
    }
}

/// By folder of the repository.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Open>>> = LazyLock::new(Mutex::default);

impl Open {
    /// Reads what is new in the file.
    fn read_on(&mut self, path: &Path) -> io::Result<()> {
        let mut file = match fs_err::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *self = Self::default();
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let meta = file.metadata()?;
        let (length, inode) = self.read;
        if inode != meta.ino() || length > meta.len() {
            // Written anew.
            *self = Self::default();
        }
        file.seek(SeekFrom::Start(self.read.0))?;
        let mut fresh = Vec::new();
        file.read_to_end(&mut fresh)?;
        // A torn last line is looked at again.
        let whole = fresh.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |at| at + 1);
        for line in fresh[..whole].split(|byte| *byte == b'\n') {
            match serde_json::from_slice::<KeptState>(line) {
                Ok(state) if state.edge == Edge::Before => {
                    self.begin(state.writer);
                }
                Ok(state) if state.edge.is_of_own_tree() => {}
                Ok(state) => {
                    self.writers.remove(&state.writer);
                }
                Err(_) => {}
            }
        }
        self.read = (self.read.0 + whole as u64, meta.ino());
        Ok(())
    }
}
