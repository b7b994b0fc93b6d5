//! A git repository of our own beside a working tree, in which states of the
//! tree are kept.
//!
//! The user's repository is only read. Ours has its own settings, index and
//! objects, so that nothing of the user's changes and no setting, filter or
//! hook of a repository runs a program: files are stored byte for byte as they
//! lie on disk. Objects of the user's repository are linked into ours when it is
//! made, so that they need not be stored again, and so that a later `git gc`
//! there takes nothing from us.
//!
//! `commands.rs` runs git here, `seed.rs` fills a new repository, `states.rs`
//! keeps what was taken.

mod commands;
mod seed;
mod states;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err::{File, OpenOptions, os::unix::fs::OpenOptionsExt as _};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{checkpoint::nested, git::GitError};

pub(crate) use commands::command;
pub use states::{Edge, KeptState};

/// Version of [`Identity`].
const VERSION: u32 = 1;

/// Name of the file that says whose repository this is.
const IDENTITY: &str = "tree.json";

/// Name of the file that is locked while the repository is used.
const LOCK: &str = "lock";

/// Name of the file that holds the tree of the index as it stands.
const TREE: &str = "index.tree";

/// Name of the folder with the indices of single writers' own working trees.
const VIEWS: &str = "views";

/// Whose repository it is.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    version: u32,
    /// The working tree, absolute.
    top: PathBuf,
    /// Whether the objects of the user's repository are there.
    seeded: bool,
    /// The file of the user's repository that says what is ignored besides what
    /// `.gitignore` says.
    #[serde(default)]
    exclude: Option<PathBuf>,
    /// Whether the index holds the files of repositories within the tree.
    #[serde(default)]
    nested: bool,
}

/// The private repository of one working tree, locked for as long as this
/// lives.
#[derive(Debug)]
pub struct PrivateRepository {
    folder: PathBuf,
    top: PathBuf,
    /// Where the index lies, and what is remembered of it.
    index_folder: PathBuf,
    /// The writer whose working tree this is a view of; none for the tree itself.
    view_of: Option<String>,
    // Released with the last one that has it.
    _lock: Arc<File>,
}

/// Why a private repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateRepositoryError {
    /// One of its files cannot be used.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Git failed in it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// It belongs to another working tree, or to a newer version.
    #[error("{} is not the repository of {}", folder.display(), top.display())]
    Foreign {
        /// The repository.
        folder: PathBuf,
        /// The working tree it was opened for.
        top: PathBuf,
    },
}

/// What failed on which file.
pub fn io_error(
    operation: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> PrivateRepositoryError {
    let path = path.into();
    move |source| PrivateRepositoryError::Io {
        operation,
        path,
        source,
    }
}

impl PrivateRepository {
    /// Opens the repository of the working tree at `top` below `folder`, which
    /// holds one for every tree, and makes it if there is none. Waits while
    /// another process or thread uses it.
    ///
    /// # Errors
    /// The repository cannot be made, opened or locked.
    pub fn open(folder: &Path, top: &Path) -> Result<Self, PrivateRepositoryError> {
        let folder = folder.join(name_of(top));
        create_private(&folder)?;
        let lock_path = folder.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error("open", &lock_path))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|errno| io_error("lock", &lock_path)(errno.into()))?;
        let repository = Self {
            index_folder: folder.clone(),
            folder,
            top: top.to_owned(),
            view_of: None,
            _lock: Arc::new(lock),
        };
        repository.prepare()?;
        Ok(repository)
    }

    /// The same repository for another working tree, that of one writer: with an
    /// index of its own, and the same objects and states.
    ///
    /// # Errors
    /// The folder of the index cannot be made.
    pub fn view(&self, top: &Path, writer: &str) -> Result<Self, PrivateRepositoryError> {
        let index_folder = self.folder.join(VIEWS).join(writer);
        create_private(&index_folder)?;
        // Left by a git that was killed: the lock is ours.
        let _ = fs_err::remove_file(index_folder.join("index.lock"));
        Ok(Self {
            folder: self.folder.clone(),
            top: top.to_owned(),
            index_folder,
            view_of: Some(writer.to_owned()),
            _lock: Arc::clone(&self._lock),
        })
    }

    /// The same with its files in another folder.
    pub(crate) fn with_top(&self, top: &Path) -> Self {
        Self {
            folder: self.folder.clone(),
            top: top.to_owned(),
            index_folder: self.index_folder.clone(),
            view_of: self.view_of.clone(),
            _lock: Arc::clone(&self._lock),
        }
    }

    /// A folder beside the index for what is needed only while it is used.
    pub(crate) fn scratch_folder(&self) -> PathBuf {
        self.index_folder.join("scratch")
    }

    /// Forgets which trees the indices of single writers' own working trees have.
    fn forget_trees_of_views(&self) {
        let Ok(views) = fs_err::read_dir(self.folder.join(VIEWS)) else {
            return;
        };
        for view in views.flatten() {
            let _ = fs_err::remove_file(view.path().join(TREE));
        }
    }

    /// Forgets the index of a writer's own working tree.
    pub fn drop_view(&self, writer: &str) {
        let _ = fs_err::remove_dir_all(self.folder.join(VIEWS).join(writer));
    }

    /// Whether there is a repository of the working tree at `top` below `folder`.
    #[must_use]
    pub fn exists(folder: &Path, top: &Path) -> bool {
        Self::tree_of(&folder.join(name_of(top))).as_deref() == Some(top)
    }

    /// The folder of the repository of the tree at `top` below `folder`.
    #[must_use]
    pub fn folder_of(folder: &Path, top: &Path) -> PathBuf {
        folder.join(name_of(top))
    }

    /// The last state that was kept of the working tree at `top`, as a git tree: no lock
    /// is waited for.
    #[must_use]
    pub fn last_tree(folder: &Path, top: &Path) -> Option<String> {
        let text = fs_err::read_to_string(folder.join(name_of(top)).join(TREE)).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// Where the index of the repository of the tree at `top` lies.
    pub(crate) fn index_of(folder: &Path, top: &Path) -> PathBuf {
        folder.join(name_of(top)).join("index")
    }

    /// The working tree whose repository lies in `folder`, if one does.
    #[must_use]
    pub fn tree_of(folder: &Path) -> Option<PathBuf> {
        let bytes = fs_err::read(folder.join(IDENTITY)).ok()?;
        let identity: Identity = serde_json::from_slice(&bytes).ok()?;
        Some(identity.top)
    }

    /// The working tree.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// Where the repository lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder in which the private repositories and what belongs to them lie, if
    /// it is in the working tree: relative to its top.
    fn own_folders_within(&self) -> Option<PathBuf> {
        let home = self.folder.parent()?.parent()?;
        let within = home.strip_prefix(&self.top).ok()?;
        (!within.as_os_str().is_empty()).then(|| within.to_owned())
    }

    /// The content of an object, if it is there.
    ///
    /// # Errors
    /// Git cannot be run.
    pub fn content(&self, object: &str) -> Result<Option<Vec<u8>>, PrivateRepositoryError> {
        Ok(crate::objects::contents(self, [object])?.remove(object))
    }

    /// The index.
    #[must_use]
    pub(crate) fn index(&self) -> PathBuf {
        self.index_folder.join("index")
    }

    fn prepare(&self) -> Result<(), PrivateRepositoryError> {
        let path = self.folder.join(IDENTITY);
        let known: Option<Identity> = fs_err::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match known {
            Some(known) if known.version > VERSION || known.top != self.top => {
                return Err(PrivateRepositoryError::Foreign {
                    folder: self.folder.clone(),
                    top: self.top.clone(),
                });
            }
            Some(known) if known.seeded => {
                // Left by a git that was killed: the lock is ours.
                let _ = fs_err::remove_file(self.folder.join("index.lock"));
                match &known.exclude {
                    Some(exclude) => seed::follow_exclude(self, exclude)?,
                    None => seed::write_rules(self, b"")?,
                }
                if !known.nested {
                    nested::take_out(self)?;
                    let nested = true;
                    self.identify(&Identity { nested, ..known })?;
                }
                return Ok(());
            }
            _ => {}
        }
        let exclude = seed::fill(self)?;
        nested::take_out(self)?;
        self.identify(&Identity {
            version: VERSION,
            top: self.top.clone(),
            seeded: true,
            exclude,
            nested: true,
        })
    }

    fn identify(&self, identity: &Identity) -> Result<(), PrivateRepositoryError> {
        let path = self.folder.join(IDENTITY);
        let bytes = serde_json::to_vec(identity).map_err(|e| io_error("write", &path)(e.into()))?;
        write_atomic(&path, &bytes)
    }

    /// Makes the index anew, with the paths of the last state: every file is read
    /// for the next one.
    pub(crate) fn renew_index(&self) -> Result<(), PrivateRepositoryError> {
        self.forget_tree()?;
        let path = self.index();
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", path)(error));
            }
            _ => {}
        }
        // Without them, files that are tracked and ignored would be missing.
        let last = match &self.view_of {
            Some(writer) => self.states_of_own_tree(writer)?.pop(),
            None => self.states()?.pop(),
        };
        if let Some(last) = last {
            self.git(&["read-tree", &last.checkpoint.tree])?;
        }
        Ok(())
    }

    /// What tells whether the rules outside of the tree ignore other files.
    pub(crate) fn ignore_rules(&self) -> String {
        let rules = fs_err::read(self.folder.join("info/exclude")).unwrap_or_default();
        let hash = Sha256::digest(rules);
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The tree of the index, if it is known without asking.
    pub(crate) fn known_tree(&self) -> Option<String> {
        let text = fs_err::read_to_string(self.index_folder.join(TREE)).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// Notes the tree of the index as it stands.
    pub(crate) fn remember_tree(&self, tree: &str) -> Result<(), PrivateRepositoryError> {
        write_atomic(&self.index_folder.join(TREE), tree.as_bytes())
    }

    /// Forgets it: the index is about to change.
    pub(crate) fn forget_tree(&self) -> Result<(), PrivateRepositoryError> {
        let path = self.index_folder.join(TREE);
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// A folder's name that says which tree it is for, to people too.
fn name_of(top: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let hash = Sha256::digest(top.as_os_str().as_bytes());
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let plain: String = top
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(32)
        .collect();
    let plain = plain.trim_start_matches('.');
    format!("{plain}-{hash}")
}

/// Makes a folder, and those above it, that nobody else may enter.
pub(crate) fn create_private(folder: &Path) -> Result<(), PrivateRepositoryError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io_error("create", folder))
}

/// Writes a file that nobody else may read.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), PrivateRepositoryError> {
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes));
    written.map_err(io_error("write", path))
}

fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), PrivateRepositoryError> {
    let next = path.with_extension("next");
    write_private(&next, bytes)?;
    fs_err::rename(&next, path).map_err(io_error("rename", &next))
}
