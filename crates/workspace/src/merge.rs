//! Three-way merges of single files, by `git merge-file`.

use crate::private_repository::{
    PrivateRepository, PrivateRepositoryError, create_private, io_error,
};

/// `ours` with what is different between `base` and `theirs`; none where both
/// touch the same lines, or where there are no lines.
///
/// # Errors
/// Git cannot be run.
pub(crate) fn three_way(
    repository: &PrivateRepository,
    ours: &[u8],
    base: &[u8],
    theirs: &[u8],
) -> Result<Option<Vec<u8>>, PrivateRepositoryError> {
    let folder = repository.folder().join("merge");
    create_private(&folder)?;
    let mut paths = Vec::new();
    for (name, content) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        let file = folder.join(name);
        fs_err::write(&file, content).map_err(io_error("write", &file))?;
        paths.push(file.display().to_string());
    }
    let arguments = ["merge-file", "-p", "-q", &paths[0], &paths[1], &paths[2]];
    let output = repository.run(&arguments, &[])?;
    let _ = fs_err::remove_dir_all(&folder);
    // Otherwise the number of conflicts, or that it is no text.
    Ok(output.status.success().then_some(output.stdout))
}
