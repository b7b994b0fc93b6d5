//! Remembers which repositories have no filters, so that git is not asked each
//! time.
//!
//! What is remembered holds as long as no file of settings changes, by size,
//! inode and both times; the time of the last change of an inode (`ctime`)
//! cannot be set back. Repositories with filters, or with settings in further
//! files (`include`), are asked each time.

use std::{
    collections::HashMap,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Most repositories remembered.
const MOST: usize = 256;

/// What tells that a file is as it was; none for one that does not exist.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

static WITHOUT_FILTERS: Mutex<Option<HashMap<PathBuf, Vec<Stamp>>>> = Mutex::new(None);

/// Whether the repository is known to have none.
pub(crate) fn has_none(top: &Path) -> bool {
    let Some(stamps) = stamps(top) else {
        return false;
    };
    memory()
        .as_ref()
        .is_some_and(|known| known.get(top) == Some(&stamps))
}

/// The files of settings as they were before git was asked.
pub(crate) struct Asked<'a> {
    top: &'a Path,
    stamps: Option<Vec<Stamp>>,
}

impl<'a> Asked<'a> {
    /// To be made before git is asked: what changes meanwhile counts as changed.
    pub(crate) fn of(top: &'a Path) -> Self {
        Self {
            top,
            stamps: stamps(top),
        }
    }

    /// Git said that there are none.
    pub(crate) fn remember_none(self) {
        let Some(stamps) = self.stamps else { return };
        let mut memory = memory();
        let known = memory.get_or_insert_default();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(self.top.to_owned(), stamps);
    }
}

fn memory() -> MutexGuard<'static, Option<HashMap<PathBuf, Vec<Stamp>>>> {
    WITHOUT_FILTERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Stamps of all files of settings (git-config(1), FILES); none if it cannot
/// be told which they are.
fn stamps(top: &Path) -> Option<Vec<Stamp>> {
    let git = top.join(".git");
    // A linked work tree has settings in several places.
    if !git.is_dir() {
        return None;
    }
    let mut files = vec![
        git.join("config"),
        git.join("config.worktree"),
        "/etc/gitconfig".into(),
        "/usr/local/etc/gitconfig".into(),
    ];
    for name in ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"] {
        files.extend(std::env::var_os(name).map(PathBuf::from));
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let xdg = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    files.extend(home.as_ref().map(|home| home.join(".gitconfig")));
    files.extend(
        xdg.or_else(|| home.map(|home| home.join(".config")))
            .map(|folder| folder.join("git/config")),
    );
    files.iter().map(|file| stamp(file).ok()).collect()
}

fn stamp(file: &Path) -> io::Result<Stamp> {
    match fs_err::metadata(file) {
        Ok(meta) => Ok(Some((
            meta.ino(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
