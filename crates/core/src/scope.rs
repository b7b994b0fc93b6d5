//! The folders that a job is about: what it may write, and what it reads.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Folders, each absolute and canonical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The job may write below these only, and no other job with a scope does
    /// meanwhile. Empty: it has no such bounds.
    #[serde(default)]
    pub write: Vec<PathBuf>,
    /// What it reads; told to the agent, and nothing else.
    #[serde(default)]
    pub read: Vec<PathBuf>,
}

impl Scope {
    /// Whether the job may write a path.
    #[must_use]
    pub fn may_write(&self, path: &Path) -> bool {
        self.write.is_empty() || self.write.iter().any(|folder| path.starts_with(folder))
    }
}

/// Whether a folder of one lies in a folder of the other, or is the same.
#[must_use]
pub fn overlap(one: &[PathBuf], other: &[PathBuf]) -> bool {
    one.iter()
        .any(|a| other.iter().any(|b| a.starts_with(b) || b.starts_with(a)))
}

/// Where the sandbox of a job lets it write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Everywhere below these.
    pub write: Vec<PathBuf>,
    /// Nowhere else below this one.
    pub within: PathBuf,
    /// Elsewhere, below these: temp folders.
    pub temp: Vec<PathBuf>,
}

impl Bounds {
    /// Whether the job could have written a path.
    #[must_use]
    pub fn allow(&self, path: &Path) -> bool {
        let below = |folders: &[PathBuf]| folders.iter().any(|folder| path.starts_with(folder));
        below(&self.write) || (!path.starts_with(&self.within) && below(&self.temp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn folders_overlap_by_whole_names() {
        let table: [(&[&str], &[&str], bool); 6] = [
            (&["/r/a"], &["/r/a"], true),
            (&["/r/a"], &["/r/a/b"], true),
            (&["/r/x", "/r/a/b"], &["/r/a"], true),
            (&["/r/a"], &["/r/ab"], false),
            (&["/r/a"], &["/r/b", "/r/c"], false),
            (&[], &["/r"], false),
        ];
        for (one, other, expected) in table {
            let (one, other) = (folders(one), folders(other));
            assert_eq!(overlap(&one, &other), expected, "{one:?} {other:?}");
            assert_eq!(overlap(&other, &one), expected, "{other:?} {one:?}");
        }
    }

    #[test]
    fn bounds_leave_out_the_rest_of_the_working_folder() {
        let bounds = Bounds {
            write: folders(&["/tmp/r/a"]),
            within: PathBuf::from("/tmp/r"),
            temp: folders(&["/tmp"]),
        };
        for (path, allowed) in [
            ("/tmp/r/a/f", true),
            ("/tmp/r/f", false),
            ("/tmp/other", true),
            ("/home/f", false),
        ] {
            assert_eq!(bounds.allow(Path::new(path)), allowed, "{path}");
        }
    }

    #[test]
    fn without_folders_everything_may_be_written() {
        let scope = Scope {
            write: folders(&["/r/a"]),
            ..Scope::default()
        };
        assert!(scope.may_write(Path::new("/r/a/f")) && !scope.may_write(Path::new("/r/f")));
        assert!(Scope::default().may_write(Path::new("/r/f")));
    }
}
