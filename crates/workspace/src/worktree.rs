//! Working trees of their own for single jobs: they hold what the caller's tree
//! holds at one moment, uncommitted and untracked included.
//!
//! In a git repository with a commit it is a linked work tree (git-worktree(1))
//! without a branch, so that git can be used in it; else a plain folder. What is
//! ignored is not in it.

use std::{io, path::Path};

use crate::{
    checkpoint::{Checkpoint, SkipReason},
    git::{self, GitError},
    history,
    private_repository::{PrivateRepository, PrivateRepositoryError, create_private, io_error},
};

/// Makes the working tree of `view` and fills it with a state of the tree at
/// `source`. What an earlier try left there is removed.
///
/// # Errors
/// Git cannot be run or fails, or a file cannot be written.
pub fn create(
    source: &Path,
    view: &PrivateRepository,
    base: &Checkpoint,
) -> Result<(), PrivateRepositoryError> {
    let top = view.top();
    remove(source, top)?;
    if let Some(above) = top.parent() {
        create_private(above)?;
    }
    let is_linked = has_commit(source);
    if is_linked {
        git::add_worktree(source, top)?;
    } else {
        create_private(top)?;
    }
    view.git(&["read-tree", &base.tree])?;
    view.git(&["checkout-index", "--all", "--force", "-u", "--quiet"])?;
    copy_skipped(source, top, base)?;
    if is_linked {
        adopt_index(view)?;
    }
    Ok(())
}

/// Removes a working tree, and what the repository of `source` knows of it. One
/// that is not there is as good as removed.
///
/// # Errors
/// The folder cannot be removed.
pub fn remove(source: &Path, top: &Path) -> Result<(), PrivateRepositoryError> {
    if top.join(".git").is_file() && git::remove_worktree(source, top).is_ok() {
        return Ok(());
    }
    match fs_err::symlink_metadata(top) {
        Ok(meta) if meta.is_dir() => {
            fs_err::remove_dir_all(top).map_err(io_error("remove", top))?;
        }
        Ok(_) => fs_err::remove_file(top).map_err(io_error("remove", top))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error("look at", top)(error)),
    }
    // Its folder is gone, so that git may forget it; where it knows none it says so.
    match git::remove_worktree(source, top) {
        Ok(()) | Err(GitError::Failed { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn has_commit(source: &Path) -> bool {
    history::folders(source).is_some()
        && git::read_store(
            source,
            &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"],
        )
        .is_ok()
}

/// Large files are in no state; they are copied as they are now.
fn copy_skipped(
    source: &Path,
    top: &Path,
    base: &Checkpoint,
) -> Result<(), PrivateRepositoryError> {
    let large = base.skipped.iter();
    for one in large.filter(|one| one.reason == SkipReason::Large) {
        let (from, to) = (source.join(&one.path), top.join(&one.path));
        if let Some(folder) = to.parent() {
            fs_err::create_dir_all(folder).map_err(io_error("create", folder))?;
        }
        match copy_with_time(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("copy", from)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The time is what tells whether it is changed later.
fn copy_with_time(from: &Path, to: &Path) -> io::Result<()> {
    let modified = fs_err::metadata(from)?.modified()?;
    fs_err::copy(from, to)?;
    let file = fs_err::OpenOptions::new().write(true).open(to)?;
    file.file().set_modified(modified)
}

/// Gives the work tree an index as HEAD has it, with what ours knows of the files:
/// else git would read each of them to tell whether it changed.
fn adopt_index(view: &PrivateRepository) -> Result<(), PrivateRepositoryError> {
    let Some((own, _)) = history::folders(view.top()) else {
        return Ok(());
    };
    let index = own.join("index");
    fs_err::copy(view.index(), &index).map_err(io_error("copy", &index))?;
    Ok(git::reset_index(view.top())?)
}
