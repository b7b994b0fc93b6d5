//! Remembers trees that were seen not to change, so that git need not be asked
//! whether anything did.
//!
//! A small tree that git has found unchanged twice is remembered with the stamps
//! of all its files and folders. As long as every stamp is the same, no file that
//! counts can be new, gone or different: a new one changes the stamp of its
//! folder. The time of the last change of an inode (`ctime`) cannot be set back.

use std::{
    collections::{BTreeSet, HashMap},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use super::Checkpoint;
use crate::private_repository::PrivateRepository;

/// Most files and folders of a tree that is remembered.
const MOST_ENTRIES: usize = 5_000;

/// Most trees remembered.
const MOST_TREES: usize = 64;

/// Stamps younger than this, in nanoseconds, say nothing: the clock of file
/// systems goes in steps of up to 10 ms, and a second change within a step
/// leaves the same stamp.
const TOO_YOUNG_NS: i64 = 50_000_000;

/// Size, inode, mode and times of the last change.
type Stamp = (u64, u64, u32, i64, i64);

/// What is known of a tree.
#[derive(Debug, Default)]
struct Known {
    /// How often git found it to be in this state, one after the other.
    times: u32,
    checkpoint: Option<Checkpoint>,
    /// What must be as it is; none until it is worth the trouble.
    stamps: Option<Vec<(PathBuf, Option<Stamp>)>>,
}

type Trees = HashMap<PathBuf, Known>;

/// By index of the private repository.
static KNOWN: LazyLock<Mutex<Trees>> = LazyLock::new(Mutex::default);

/// The state of the tree, if it is known to be as it was.
pub(super) fn state(repository: &PrivateRepository) -> Option<Checkpoint> {
    let (checkpoint, stamps) = {
        let mut known = known();
        let tree = known.get_mut(repository.index().as_path())?;
        // Taken out, so that nobody waits while they are compared.
        (tree.checkpoint.clone()?, tree.stamps.take()?)
    };
    // Another process may have written the index.
    let is_same = repository.known_tree().as_deref() == Some(&checkpoint.tree)
        && stamps.iter().all(|(path, stamp)| stamp_of(path) == *stamp);
    if !is_same {
        forget(repository);
        return None;
    }
    if let Some(tree) = known().get_mut(repository.index().as_path()) {
        tree.stamps = Some(stamps);
    }
    Some(checkpoint)
}

/// Whether the tree of this index is remembered.
pub(super) fn is_remembered(index: &Path) -> bool {
    let known = known();
    known.get(index).is_some_and(|tree| tree.stamps.is_some())
}

/// Git found the tree in this state, and changed since the last time or not; it
/// began to look at `begun`.
pub(super) fn note(
    repository: &PrivateRepository,
    checkpoint: &Checkpoint,
    changed: bool,
    begun: SystemTime,
) {
    let times = {
        let mut known = known();
        if known.len() >= MOST_TREES && !known.contains_key(repository.index().as_path()) {
            known.clear();
        }
        let tree = known.entry(repository.index()).or_default();
        let is_same = !changed && tree.checkpoint.as_ref() == Some(checkpoint);
        tree.times = if is_same { tree.times + 1 } else { 0 };
        tree.checkpoint = Some(checkpoint.clone());
        tree.stamps = None;
        tree.times
    };
    // Most trees in which jobs write are different each time.
    if times == 0 {
        return;
    }
    let stamps = stamps(repository, checkpoint, begun);
    if let Some(tree) = known().get_mut(repository.index().as_path()) {
        tree.stamps = stamps;
    }
}

fn forget(repository: &PrivateRepository) {
    known().remove(repository.index().as_path());
}

fn known() -> MutexGuard<'static, Trees> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stamps of everything that must stay as it is; none if that is too much, or
/// too young, or cannot be told.
fn stamps(
    repository: &PrivateRepository,
    checkpoint: &Checkpoint,
    begun: SystemTime,
) -> Option<Vec<(PathBuf, Option<Stamp>)>> {
    let begun = begun.duration_since(UNIX_EPOCH).ok()?;
    let begun = i64::try_from(begun.as_nanos()).ok()?;
    let mut paths = files(repository, checkpoint)?;
    let folders = folders(repository, &paths)?;
    paths.extend(folders);
    if paths.len() > MOST_ENTRIES {
        return None;
    }
    let inside = paths.into_iter().map(|path| repository.top().join(path));
    let mut stamps = Vec::new();
    for path in inside.chain(ignore_rules(repository)) {
        let stamp = stamp_of(&path);
        if stamp.is_some_and(|(.., changed)| changed > begun - TOO_YOUNG_NS) {
            return None;
        }
        stamps.push((path, stamp));
    }
    Some(stamps)
}

/// Every file that counts, relative to the top.
fn files(repository: &PrivateRepository, checkpoint: &Checkpoint) -> Option<BTreeSet<PathBuf>> {
    let listed = repository.git(&["ls-files", "-z"]).ok()?;
    let mut files = paths_of(&listed);
    if files.len() > MOST_ENTRIES {
        return None;
    }
    files.extend(
        checkpoint
            .skipped
            .iter()
            .map(|one| PathBuf::from(&one.path)),
    );
    Some(files)
}

/// Every folder in which a file that counts could appear.
fn folders(repository: &PrivateRepository, files: &BTreeSet<PathBuf>) -> Option<BTreeSet<PathBuf>> {
    let mut folders: BTreeSet<PathBuf> = files
        .iter()
        .flat_map(|file| file.ancestors().skip(1))
        .map(Path::to_owned)
        .collect();
    folders.insert(PathBuf::new());
    let mut fresh = folders.clone();
    while !fresh.is_empty() {
        let mut unknown = BTreeSet::new();
        for folder in &fresh {
            for entry in fs_err::read_dir(repository.top().join(folder)).ok()? {
                let entry = entry.ok()?;
                let path = folder.join(entry.file_name());
                let is_folder = entry.file_type().ok()?.is_dir();
                if is_folder && entry.file_name() != ".git" && !folders.contains(&path) {
                    unknown.insert(path);
                }
            }
        }
        fresh = not_ignored(repository, unknown)?;
        folders.extend(fresh.iter().cloned());
        if folders.len() > MOST_ENTRIES {
            return None;
        }
    }
    Some(folders)
}

/// Those of some folders that are not ignored.
fn not_ignored(
    repository: &PrivateRepository,
    folders: BTreeSet<PathBuf>,
) -> Option<BTreeSet<PathBuf>> {
    if folders.is_empty() {
        return Some(folders);
    }
    let mut asked = Vec::new();
    for folder in &folders {
        // A repository of its own has its own rules.
        if repository.top().join(folder).join(".git").exists() {
            return None;
        }
        asked.extend_from_slice(folder.as_os_str().as_bytes());
        asked.push(0);
    }
    let output = repository
        .run(&["check-ignore", "-z", "--stdin"], &asked)
        .ok()?;
    // 1: none is.
    if !matches!(output.status.code(), Some(0 | 1)) {
        return None;
    }
    let ignored = paths_of(&output.stdout);
    Some(
        folders
            .into_iter()
            .filter(|folder| !ignored.contains(folder))
            .collect(),
    )
}

/// Files outside of the tree that say what is ignored.
fn ignore_rules(repository: &PrivateRepository) -> Vec<PathBuf> {
    let mut rules = vec![repository.folder().join("info/exclude")];
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(home.as_ref()?.join(".config")));
    rules.extend(config.map(|folder| folder.join("git/ignore")));
    rules.extend(home.map(|home| home.join(".gitconfig")));
    rules
}

fn paths_of(listed: &[u8]) -> BTreeSet<PathBuf> {
    listed
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path)))
        .collect()
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000) + nanos;
    Some((
        meta.len(),
        meta.ino(),
        meta.mode(),
        nanos(meta.mtime(), meta.mtime_nsec()),
        nanos(meta.ctime(), meta.ctime_nsec()),
    ))
}
