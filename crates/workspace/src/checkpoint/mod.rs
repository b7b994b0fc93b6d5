//! The state of a working tree at one moment, kept as a git tree in the
//! [private repository](crate::private_repository) of the tree.
//!
//! All files count that are tracked, or untracked and not ignored, as they lie
//! on disk. The user's index, HEAD, refs, stash and reflog are not touched.

pub(crate) mod nested;
mod unchanged;

use std::{
    collections::{BTreeSet, HashMap},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use crate::private_repository::{PrivateRepository, PrivateRepositoryError};

/// Version of the stored form of [`Checkpoint`].
pub const CHECKPOINT_VERSION: u32 = 1;

/// How often a state is taken anew when files vanish while they are read.
pub(crate) const TRIES: usize = 3;

/// How much of a tree is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointLimits {
    /// Files that are new or changed and larger than this many bytes are not
    /// kept.
    pub file_bytes: u64,
    /// Most files of a folder that is no git repository.
    pub plain_files: usize,
    /// Most bytes of all files of a folder that is no git repository.
    pub plain_bytes: u64,
}

impl Default for CheckpointLimits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            plain_files: 20_000,
            plain_bytes: 512 << 20,
        }
    }
}

/// A state that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Version of this form.
    pub version: u32,
    /// The git tree.
    pub tree: String,
    /// What the tree lacks, or has in an older state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// What tells whether other files are ignored by the rules outside of the tree.
    #[serde(default)]
    pub ignores: String,
}

impl Checkpoint {
    /// Name of the object that holds the content of a path, if it is there.
    ///
    /// # Errors
    /// Git cannot be run.
    pub fn file(
        &self,
        repository: &PrivateRepository,
        path: &str,
    ) -> Result<Option<String>, PrivateRepositoryError> {
        let mut sides = crate::tree_diff::sides(repository, &self.tree, &[path])?;
        Ok(sides.remove(path).map(|side| side.object))
    }
}

/// A path that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The path, relative to the top.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
    /// Size and time of last change, which tell whether it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<(u64, i64)>,
}

/// Why a path is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// It is larger than is kept.
    Large,
    /// It cannot be read.
    Unreadable,
    /// It is a repository of its own with too many files, of which only the commit is
    /// kept.
    Repository,
}

impl SkipReason {
    /// The reason as sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Large => "large",
            Self::Unreadable => "unreadable",
            Self::Repository => "repository",
        }
    }
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The private repository cannot be used.
    #[error("the state of the tree cannot be kept")]
    Repository(#[from] PrivateRepositoryError),
    /// The folder is no git repository and holds too much.
    #[error(
        "the state of {top} is not kept: it is no git repository and holds more than {files} files or {mib} MiB"
    )]
    TooLarge {
        /// The folder.
        top: String,
        /// Most files.
        files: usize,
        /// Most bytes, in MiB.
        mib: u64,
    },
}

impl CheckpointError {
    pub(crate) fn too_large(top: &Path, limits: &CheckpointLimits) -> Self {
        Self::TooLarge {
            top: top.display().to_string(),
            files: limits.plain_files,
            mib: limits.plain_bytes >> 20,
        }
    }
}

/// The state of the tree, if it is known to be as it was when it was last taken: no
/// program is run.
#[must_use]
pub fn remembered(repository: &PrivateRepository) -> Option<Checkpoint> {
    unchanged::state(repository)
}

/// Whether a tree may be remembered: else it is not worth asking.
#[must_use]
pub fn may_be_remembered(folder: &Path, top: &Path) -> bool {
    unchanged::is_remembered(&PrivateRepository::index_of(folder, top))
}

/// Keeps the state of the tree as it is now.
///
/// # Errors
/// See [`CheckpointError`]; nothing is kept then.
pub fn take(
    repository: &PrivateRepository,
    limits: &CheckpointLimits,
) -> Result<Checkpoint, CheckpointError> {
    if let Some(known) = unchanged::state(repository) {
        return Ok(known);
    }
    for _ in 1..TRIES {
        match take_once(repository, limits) {
            // A file vanished between two looks.
            Err(error) if is_failure(&error) => {}
            taken => return taken,
        }
    }
    match take_once(repository, limits) {
        // A power loss can leave an index that git cannot read.
        Err(error) if is_failure(&error) => {
            repository.renew_index()?;
            take_once(repository, limits)
        }
        taken => taken,
    }
}

/// Whether git ran and failed, which it may not do again.
pub(crate) fn is_failure(error: &CheckpointError) -> bool {
    use crate::git::GitError;
    matches!(
        error,
        CheckpointError::Repository(PrivateRepositoryError::Git(GitError::Failed { .. }))
    )
}

fn take_once(
    repository: &PrivateRepository,
    limits: &CheckpointLimits,
) -> Result<Checkpoint, CheckpointError> {
    let begun = SystemTime::now();
    let (changed, replaced) = nested::expand(repository, changed_paths(repository)?, limits);
    let is_plain = !repository.top().join(".git").exists();
    let mut found = sort_out(repository.top(), &changed, limits);
    found.gone.extend(replaced);
    if is_plain && (changed.len() > limits.plain_files || found.bytes > limits.plain_bytes) {
        return Err(CheckpointError::too_large(repository.top(), limits));
    }
    let known = repository
        .known_tree()
        .filter(|_| found.kept.is_empty() && found.gone.is_empty());
    let changed = known.is_none();
    let tree = match known {
        Some(tree) => tree,
        None => write_tree(repository, &found)?,
    };
    let checkpoint = Checkpoint {
        version: CHECKPOINT_VERSION,
        tree,
        skipped: found.skipped,
        ignores: repository.ignore_rules(),
    };
    unchanged::note(repository, &checkpoint, changed, begun);
    Ok(checkpoint)
}

/// Paths that are not as the index has them, or not in it and not ignored.
fn changed_paths(
    repository: &PrivateRepository,
) -> Result<BTreeSet<Vec<u8>>, PrivateRepositoryError> {
    let listed = repository.git(&[
        "ls-files",
        "-z",
        "--modified",
        "--deleted",
        "--others",
        "--exclude-standard",
    ])?;
    let paths = listed.split(|byte| *byte == 0);
    Ok(paths
        .filter(|path| !path.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

#[derive(Default)]
pub(crate) struct Found {
    /// Paths to be brought up to date in the index, each ended by a zero byte.
    pub(crate) kept: Vec<u8>,
    /// Paths to be taken out of the index although something is there, because a
    /// folder on the way was replaced by a link, or the file by a pipe; each ended
    /// by a zero byte.
    pub(crate) gone: Vec<u8>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) bytes: u64,
}

/// Looks at paths that are not as the index has them.
pub(crate) fn sort_out(
    top: &Path,
    changed: &BTreeSet<Vec<u8>>,
    limits: &CheckpointLimits,
) -> Found {
    let mut found = Found::default();
    let mut links = Links::default();
    for path in changed {
        // Folders are listed when they are repositories of their own.
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let relative = Path::new(std::ffi::OsStr::from_bytes(path));
        if links.lead_to(top, relative) {
            // Git refuses to look there, and so to notice that it is gone.
            found.gone.extend_from_slice(path);
            found.gone.push(0);
            continue;
        }
        let full = top.join(relative);
        let mut skip = |reason, stamp| {
            found.skipped.push(Skipped {
                path: String::from_utf8_lossy(path).into_owned(),
                reason,
                stamp,
            });
        };
        match fs_err::symlink_metadata(&full) {
            Ok(meta) if meta.is_dir() => {
                skip(SkipReason::Repository, None);
                if !has_commit(&full) {
                    continue;
                }
            }
            Ok(meta) if meta.is_file() => {
                let stamp = crate::snapshot::stamp_of(&meta);
                if meta.len() > limits.file_bytes {
                    skip(SkipReason::Large, Some(stamp));
                    continue;
                }
                if fs_err::File::open(&full).is_err() {
                    skip(SkipReason::Unreadable, Some(stamp));
                    continue;
                }
                found.bytes += meta.len();
            }
            Ok(meta) if meta.is_symlink() => {}
            // A pipe or a socket: git keeps none, and refuses to look on.
            Ok(_) => {
                skip(SkipReason::Unreadable, None);
                found.gone.extend_from_slice(path);
                found.gone.push(0);
                continue;
            }
            Err(error) if is_gone(&error) => {}
            Err(_) => {
                skip(SkipReason::Unreadable, None);
                continue;
            }
        }
        found.kept.extend_from_slice(path);
        found.kept.push(0);
    }
    found
}

fn is_gone(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Folders of the tree that are links, as far as they were looked at.
#[derive(Default)]
struct Links {
    known: HashMap<PathBuf, bool>,
}

impl Links {
    /// Whether a folder on the way to `path` is a link.
    fn lead_to(&mut self, top: &Path, path: &Path) -> bool {
        path.ancestors()
            .skip(1)
            .filter(|folder| !folder.as_os_str().is_empty())
            .any(|folder| {
                *self.known.entry(folder.to_owned()).or_insert_with(|| {
                    fs_err::symlink_metadata(top.join(folder)).is_ok_and(|meta| meta.is_symlink())
                })
            })
    }
}

/// Whether a repository within the tree has a commit that git can note.
fn has_commit(folder: &Path) -> bool {
    crate::git::read_store(
        folder,
        &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"],
    )
    .is_ok()
}

/// Brings the index up to date and writes its tree.
pub(crate) fn write_tree(
    repository: &PrivateRepository,
    found: &Found,
) -> Result<String, PrivateRepositoryError> {
    repository.forget_tree()?;
    if !found.gone.is_empty() {
        let remove = ["update-index", "-z", "--force-remove", "--stdin"];
        repository.git_with(&remove, &found.gone)?;
    }
    if !found.kept.is_empty() {
        let update = [
            "update-index",
            "-z",
            "--add",
            "--remove",
            "--replace",
            "--stdin",
        ];
        repository.git_with(&update, &found.kept)?;
    }
    // Refuses when an object is missing.
    let tree = repository.git(&["write-tree"])?;
    let tree = String::from_utf8_lossy(&tree).trim().to_owned();
    repository.remember_tree(&tree)?;
    Ok(tree)
}

/// Whether everything a kept tree consists of is there.
///
/// # Errors
/// Git cannot be run.
pub fn is_whole(
    repository: &PrivateRepository,
    tree: &str,
) -> Result<bool, PrivateRepositoryError> {
    let check = ["rev-list", "--objects", "--quiet", "--end-of-options", tree];
    // The objects of submodules are not ours.
    Ok(repository.run(&check, &[])?.status.success())
}
