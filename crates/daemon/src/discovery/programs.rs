//! Looks programs up as a shell would, in a job's PATH.

use std::path::{Path, PathBuf};

/// The first executable file called `name` in `path` (a PATH variable), or
/// `name` itself, taken against `folder`, if it has a slash.
#[must_use]
pub fn look_up(name: &str, path: Option<&str>, folder: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        let candidate = folder.join(name);
        return is_executable(&candidate).then_some(candidate);
    }
    std::env::split_paths(path.unwrap_or_default())
        .map(|entry| folder.join(entry).join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let here = Path::new("/");
        assert!(look_up("sh", Some("/nonexistent:/bin"), here).is_some());
        assert_eq!(look_up("sh", Some("/nonexistent"), here), None);
        assert_eq!(
            look_up("bin/sh", None, here),
            Some(PathBuf::from("/bin/sh"))
        );
    }
}
