//! Repositories within the working tree, such as submodules: their files are kept
//! like all others. Git by itself would only note the commit.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    time::{Duration, Instant},
};

use super::CheckpointLimits;
use crate::{
    bounded,
    private_repository::{PrivateRepository, PrivateRepositoryError, command},
};

/// Where there is no index.
const NO_INDEX: &str = "index.none";

/// How long git may take to list the files of one.
const LONGEST: Duration = Duration::from_secs(60);

/// Paths of which those that are repositories of their own, ended by a slash, are
/// replaced by their files, unless there are too many; and what is to be taken out of
/// the index for that, each ended by a zero byte.
pub(super) fn expand(
    repository: &PrivateRepository,
    paths: BTreeSet<Vec<u8>>,
    limits: &CheckpointLimits,
) -> (BTreeSet<Vec<u8>>, Vec<u8>) {
    let (mut all, mut replaced) = (BTreeSet::new(), Vec::new());
    let mut left: Vec<Vec<u8>> = paths.into_iter().collect();
    while let Some(path) = left.pop() {
        let files = path
            .strip_suffix(b"/")
            .and_then(|folder| files(repository, Path::new(OsStr::from_bytes(folder))))
            .filter(|files| files.len() <= limits.plain_files);
        match files {
            Some(files) => {
                // Git would refuse to look into it.
                replaced.extend_from_slice(path.strip_suffix(b"/").unwrap_or(&path));
                replaced.push(0);
                left.extend(files);
            }
            None => {
                all.insert(path);
            }
        }
    }
    (all, replaced)
}

/// The files of a repository within the tree that are not ignored there, relative to
/// the top; none if git cannot list them.
fn files(repository: &PrivateRepository, folder: &Path) -> Option<Vec<Vec<u8>>> {
    let mut git = command(repository.folder(), &repository.top().join(folder));
    git.env("GIT_INDEX_FILE", repository.folder().join(NO_INDEX));
    git.args(["ls-files", "-z", "--others", "--exclude-standard"]);
    let output = bounded::output_with_input(&mut git, &[], Instant::now() + LONGEST).ok()?;
    if !output.status.success() {
        return None;
    }
    let names = output.stdout.split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty());
    let path = [folder.as_os_str().as_bytes(), b"/"].concat();
    Some(names.map(|name| [path.as_slice(), name].concat()).collect())
}

/// Takes the repositories within the tree out of the index, so that their files come
/// in.
///
/// # Errors
/// Git cannot be run.
pub(crate) fn take_out(repository: &PrivateRepository) -> Result<(), PrivateRepositoryError> {
    let listed = repository.git(&["ls-files", "-z", "--stage"])?;
    let mut nested = Vec::new();
    for entry in listed.split(|byte| *byte == 0) {
        let Some(at) = entry.iter().position(|byte| *byte == b'\t') else {
            continue;
        };
        let path = &entry[at + 1..];
        let folder = repository.top().join(OsStr::from_bytes(path));
        // Where nothing is checked out there is nothing to keep.
        if entry.starts_with(b"160000 ") && folder.join(".git").exists() {
            nested.extend_from_slice(path);
            nested.push(0);
        }
    }
    if !nested.is_empty() {
        repository.forget_tree()?;
        let remove = ["update-index", "-z", "--force-remove", "--stdin"];
        repository.git_with(&remove, &nested)?;
    }
    Ok(())
}
