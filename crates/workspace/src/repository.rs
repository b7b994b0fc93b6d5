//! Finds the repository a folder belongs to.

use std::path::{Path, PathBuf};

/// The top folder of the git work tree that holds `folder`: the nearest one
/// with a `.git` folder or file in it. Runs no program, so that it is quick
/// enough for every request.
#[must_use]
pub fn top_level(folder: &Path) -> Option<PathBuf> {
    folder
        .ancestors()
        .find(|candidate| is_repository(candidate))
        .map(Path::to_owned)
}

/// A work tree has a `.git` folder with a HEAD in it, or, when linked, a file.
fn is_repository(folder: &Path) -> bool {
    let git = folder.join(".git");
    git.is_file() || git.join("HEAD").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_repository_is_found() {
        let root = tempfile::tempdir().expect("a temp folder");
        let deep = root.path().join("a/b");
        fs_err::create_dir_all(&deep).expect("created");
        fs_err::create_dir(root.path().join("a/.git")).expect("created");
        assert_eq!(top_level(&root.path().join("a/b")), None);
        fs_err::write(root.path().join("a/.git/HEAD"), "ref: refs/heads/main\n").expect("written");
        assert_eq!(top_level(&deep), Some(root.path().join("a")));
    }
}
