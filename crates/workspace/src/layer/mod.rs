//! What a job wrote in a layer of its own over a live tree (overlayfs).
//!
//! It is read from the folder of the layer, which holds nothing else: no mount is
//! needed, and what others changed in the tree meanwhile is not taken for the job's.
//! What the job began with, with the layer on top, is what it made of it.
//!
//! `written.rs` walks the folder, `rules.rs` finds out what is ignored,
//! `folders.rs` looks at and makes folders as they are with the layer on top.

mod folders;
mod rules;
mod written;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

pub use folders::{Standing, remove};
pub use written::has_user_attributes;

use crate::{
    checkpoint::{
        CHECKPOINT_VERSION, Checkpoint, CheckpointError, CheckpointLimits, Skipped, TRIES,
        is_failure, sort_out, write_tree,
    },
    private_repository::{PrivateRepository, PrivateRepositoryError, io_error},
};
use written::Written;

/// A layer over a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The tree beneath.
    pub tree: PathBuf,
    /// The folder that takes what is written.
    pub upper: PathBuf,
}

/// What the job began with, as far as it is asked for.
struct Base {
    paths: BTreeSet<Vec<u8>>,
    /// Commits of other repositories.
    repositories: BTreeSet<Vec<u8>>,
}

impl Layer {
    /// The state that `base` is with the layer of `writer` on top of it.
    ///
    /// # Errors
    /// The layer cannot be read, or git fails.
    pub fn take(
        &self,
        repository: &PrivateRepository,
        writer: &str,
        base: &Checkpoint,
        limits: &CheckpointLimits,
    ) -> Result<Checkpoint, CheckpointError> {
        let view = repository.view(&self.upper, writer)?;
        for _ in 1..TRIES {
            match self.take_once(&view, base, limits) {
                // A file vanished between two looks.
                Err(error) if is_failure(&error) => {}
                taken => return taken,
            }
        }
        self.take_once(&view, base, limits)
    }

    fn take_once(
        &self,
        view: &PrivateRepository,
        base: &Checkpoint,
        limits: &CheckpointLimits,
    ) -> Result<Checkpoint, CheckpointError> {
        let written = written::of(self).map_err(io_error("read", &self.upper))?;
        if written.is_empty() {
            return Ok(base.clone());
        }
        let known = Base::of(view, base)?;
        view.forget_tree()?;
        view.git(&["read-tree", &base.tree])?;
        let ignored = self.ignored(view, &written, &known)?;
        let changed = known.outside_of_repositories(written.files.difference(&ignored));
        let mut found = sort_out(&self.upper, &changed, limits);
        let is_plain = !self.tree.join(".git").exists();
        if is_plain && (changed.len() > limits.plain_files || found.bytes > limits.plain_bytes) {
            return Err(CheckpointError::too_large(&self.tree, limits));
        }
        for path in known.gone(&written) {
            found.gone.extend_from_slice(path);
            found.gone.push(0);
        }
        let tree = match found.kept.is_empty() && found.gone.is_empty() {
            true => base.tree.clone(),
            false => write_tree(view, &found)?,
        };
        let mut skipped = untouched(&base.skipped, &written);
        skipped.append(&mut found.skipped);
        skipped.append(&mut written.skipped_but(&ignored));
        skipped.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Checkpoint {
            version: CHECKPOINT_VERSION,
            tree,
            skipped,
            // Everything else is as it was at the beginning.
            ignores: base.ignores.clone(),
        })
    }

    /// Paths of the layer that do not count.
    fn ignored(
        &self,
        view: &PrivateRepository,
        written: &Written,
        known: &Base,
    ) -> Result<BTreeSet<Vec<u8>>, PrivateRepositoryError> {
        // Git does not answer for what lies in a repository of its own.
        let fresh = known.outside_of_repositories(written.paths());
        let fresh = fresh.iter().filter(|path| !known.paths.contains(*path));
        rules::ignored(self, view, written, &fresh.collect())
    }
}

impl Base {
    fn of(view: &PrivateRepository, base: &Checkpoint) -> Result<Self, PrivateRepositoryError> {
        let listed = view.git(&["ls-tree", "-r", "-z", "--full-tree", &base.tree])?;
        let mut known = Self {
            paths: BTreeSet::new(),
            repositories: BTreeSet::new(),
        };
        for entry in listed.split(|byte| *byte == 0) {
            let Some(at) = entry.iter().position(|byte| *byte == b'\t') else {
                continue;
            };
            let path = entry[at + 1..].to_vec();
            if entry.starts_with(b"160000 ") {
                known.repositories.insert(path.clone());
            }
            known.paths.insert(path);
        }
        Ok(known)
    }

    fn outside_of_repositories<'a>(
        &self,
        paths: impl Iterator<Item = &'a Vec<u8>>,
    ) -> BTreeSet<Vec<u8>> {
        let outside = paths.filter(|path| !is_below(path, &self.repositories));
        outside.cloned().collect()
    }

    /// What is there no more: it was removed, or something else lies in its place.
    fn gone<'a>(&'a self, written: &'a Written) -> BTreeSet<&'a Vec<u8>> {
        let mut gone = BTreeSet::new();
        for path in &written.replaced {
            gone.extend(self.paths.get(path));
            gone.extend(self.below(path));
        }
        for path in &written.files {
            gone.extend(self.below(path));
        }
        gone.retain(|path| !written.files.contains(*path));
        gone
    }

    fn below(&self, path: &[u8]) -> impl Iterator<Item = &Vec<u8>> {
        let start = [path, b"/"].concat();
        let from = self.paths.range(start.clone()..);
        from.take_while(move |path| path.starts_with(&start))
    }
}

/// Whether one of `folders` is above a path.
fn is_below(path: &[u8], folders: &BTreeSet<Vec<u8>>) -> bool {
    let mut above = path;
    while let Some(at) = above.iter().rposition(|byte| *byte == b'/') {
        above = &above[..at];
        if folders.contains(above) {
            return true;
        }
    }
    false
}

/// Those of the beginning that the layer says nothing of.
fn untouched(skipped: &[Skipped], written: &Written) -> Vec<Skipped> {
    let is_touched = |one: &&Skipped| written.touches(one.path.as_bytes());
    skipped
        .iter()
        .filter(|one| !is_touched(one))
        .cloned()
        .collect()
}

/// A path relative to the top, of bytes as git has them.
fn path_of(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
