//! The state of a repository at one moment.

use std::{collections::BTreeMap, os::unix::fs::MetadataExt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    git::{self, GitError},
    history::{self, History, Mark},
};

/// Version of the stored form of [`Snapshot`].
pub const SNAPSHOT_VERSION: u32 = 1;

/// Most entries of `git status` that are kept.
const MOST_ENTRIES: usize = 10_000;

/// HEAD, refs and `git status` of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of this form.
    pub version: u32,
    /// HEAD's commit; none on an unborn branch.
    pub head: Option<String>,
    /// The branch HEAD is on; none if detached.
    pub branch: Option<String>,
    /// Every ref and what it points at.
    pub refs: BTreeMap<String, String>,
    /// Paths that differ from HEAD, relative to the top of the tree.
    pub status: Vec<StatusEntry>,
    /// Whether there were more entries than are kept.
    #[serde(default)]
    pub truncated: bool,
    /// The mark of its history, taken first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

impl Snapshot {
    /// Where HEAD and the refs pointed.
    #[must_use]
    pub fn history(&self) -> History {
        History {
            branch: self
                .branch
                .as_ref()
                .map(|name| format!("refs/heads/{name}")),
            head: self.head.clone(),
            refs: self.refs.clone(),
        }
    }
}

/// One entry of `git status --porcelain=v2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusEntry {
    /// Two letters as `git status --short` shows them, `??` for untracked.
    pub code: String,
    /// The path.
    pub path: String,
    /// The path it was renamed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// Size and time of last change of the file: tells a second change of a
    /// file that was dirty before. None if it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<(u64, i64)>,
}

impl StatusEntry {
    /// The entry as `git status --short` shows it.
    #[must_use]
    pub fn short(&self) -> String {
        match &self.original {
            Some(original) => format!("{} {original} -> {}", self.code, self.path),
            None => format!("{} {}", self.code, self.path),
        }
    }
}

/// Takes the state of the repository whose work tree has its top at `top`.
///
/// # Errors
/// Git cannot be run or fails.
pub fn take(top: &Path) -> Result<Snapshot, GitError> {
    let mark = history::mark(top);
    // Two programs at once: a job waits for this before its agent starts.
    let (status, refs) = std::thread::scope(|scope| {
        let refs = scope.spawn(|| git::read_store(top, &history::REFS));
        let status = git::read(
            top,
            &[
                "status",
                "--porcelain=v2",
                "--branch",
                "-z",
                "--untracked-files=all",
                // Looking into a submodule would run git with its settings.
                "--ignore-submodules=dirty",
            ],
        );
        (status, refs.join())
    });
    let refs = refs.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let mut snapshot = Snapshot {
        version: SNAPSHOT_VERSION,
        refs: history::parse_refs(&refs),
        mark,
        ..Snapshot::default()
    };
    parse_status(&status?, &mut snapshot);
    for entry in &mut snapshot.status {
        entry.stamp = stamp(&top.join(&entry.path));
    }
    Ok(snapshot)
}

fn stamp(path: &Path) -> Option<(u64, i64)> {
    Some(stamp_of(&fs_err::symlink_metadata(path).ok()?))
}

/// Size in bytes and time of last change in nanoseconds since the epoch.
pub(crate) fn stamp_of(meta: &std::fs::Metadata) -> (u64, i64) {
    (meta.len(), meta.mtime() * 1_000_000_000 + meta.mtime_nsec())
}

/// Reads the records of `git status --porcelain=v2 -z` (git-status(1)).
fn parse_status(output: &[u8], snapshot: &mut Snapshot) {
    let text = String::from_utf8_lossy(output);
    let mut records = text.split('\0');
    while let Some(record) = records.next() {
        if let Some(header) = record.strip_prefix("# ") {
            parse_header(header, snapshot);
            continue;
        }
        let entry = match record.split_once(' ') {
            Some(("1", rest)) => entry(rest, 7),
            Some(("u", rest)) => entry(rest, 9),
            Some(("2", rest)) => entry(rest, 8).map(|entry| StatusEntry {
                original: records.next().map(str::to_owned),
                ..entry
            }),
            Some(("?", path)) => Some(StatusEntry {
                code: "??".into(),
                path: path.to_owned(),
                original: None,
                stamp: None,
            }),
            _ => None,
        };
        let Some(entry) = entry else { continue };
        if snapshot.status.len() == MOST_ENTRIES {
            snapshot.truncated = true;
            return;
        }
        snapshot.status.push(entry);
    }
}

/// A changed entry: the code first, the path after `fields` further fields.
fn entry(rest: &str, fields: usize) -> Option<StatusEntry> {
    let mut parts = rest.splitn(fields + 1, ' ');
    let code = parts.next()?.replace('.', " ");
    let path = parts.last()?.to_owned();
    Some(StatusEntry {
        code,
        path,
        original: None,
        stamp: None,
    })
}

fn parse_header(header: &str, snapshot: &mut Snapshot) {
    match header.split_once(' ') {
        Some(("branch.oid", oid)) if oid != "(initial)" => snapshot.head = Some(oid.to_owned()),
        Some(("branch.head", name)) if name != "(detached)" => {
            snapshot.branch = Some(name.to_owned())
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn porcelain_is_read() {
        let output = b"# branch.oid 1234\0# branch.head main\0\
            1 .M N... 100644 100644 100644 aaa aaa a b.txt\0\
            2 R. N... 100644 100644 100644 aaa aaa R100 new name\0old name\0\
            ? un tracked\0";
        let mut snapshot = Snapshot::default();
        parse_status(output, &mut snapshot);
        assert_eq!(snapshot.head.as_deref(), Some("1234"));
        assert_eq!(snapshot.branch.as_deref(), Some("main"));
        let shown: Vec<String> = snapshot.status.iter().map(StatusEntry::short).collect();
        assert_eq!(
            shown,
            [" M a b.txt", "R  old name -> new name", "?? un tracked"]
        );
    }
}
