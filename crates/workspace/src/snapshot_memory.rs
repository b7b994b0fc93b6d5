//! Remembers what git said of repositories whose trees are known not to change, so
//! that it need not be asked again.
//!
//! What git says follows from the files of the tree, which the
//! [state](crate::checkpoint) of it stands for, and from the index, HEAD, the refs
//! and the settings of the repository.

use std::{
    collections::HashMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use crate::{
    checkpoint::Checkpoint,
    history::{self, Mark},
    snapshot::Snapshot,
};

/// Most repositories remembered.
const MOST: usize = 64;

/// Files of a repository on which the answers depend, besides its refs.
const OWN_FILES: [&str; 2] = ["index", "config.worktree"];
const COMMON_FILES: [&str; 3] = ["config", "info/exclude", "info/attributes"];

/// Inode, length, and time of the last change of an inode, which cannot be set
/// back.
type Stamp = (u64, u64, i64, i64);

/// What the answers depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    checkpoint: Checkpoint,
    mark: Mark,
    stamps: Vec<Option<Stamp>>,
}

impl Grounds {
    /// As they are now; `checkpoint` is the tree's present state. None where they
    /// cannot be told.
    #[must_use]
    pub fn now(top: &Path, checkpoint: Checkpoint) -> Option<Self> {
        let (own, common) = history::folders(top)?;
        let own = OWN_FILES.iter().map(|name| own.join(name));
        let common = COMMON_FILES.iter().map(|name| common.join(name));
        Some(Self {
            checkpoint,
            mark: history::mark(top)?,
            stamps: own.chain(common).map(|path| stamp_of(&path)).collect(),
        })
    }
}

static KNOWN: LazyLock<Mutex<HashMap<PathBuf, (Grounds, Snapshot)>>> =
    LazyLock::new(Mutex::default);

/// What git said on the same grounds.
#[must_use]
pub fn recall(top: &Path, grounds: &Grounds) -> Option<Snapshot> {
    let known = known();
    let (then, snapshot) = known.get(top)?;
    (then == grounds).then(|| snapshot.clone())
}

/// Remembers what git said while the grounds were these, before and after.
pub fn remember(top: &Path, grounds: Grounds, snapshot: &Snapshot) {
    let mut known = known();
    if known.len() >= MOST && !known.contains_key(top) {
        known.clear();
    }
    known.insert(top.to_owned(), (grounds, snapshot.clone()));
}

fn known() -> MutexGuard<'static, HashMap<PathBuf, (Grounds, Snapshot)>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec()))
}
