//! What is different between two states of a repository.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    git::{self, GitError},
    history,
    snapshot::{Snapshot, StatusEntry},
};

/// Refs that were created, moved or deleted, and HEAD if it is on another branch,
/// as `name old -> new`.
#[must_use]
pub fn refs_changed(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let moves = history::moves(&before.history(), &after.history());
    moves.iter().map(history::Move::shown).collect()
}

/// Paths that changed between the two states, by whomever, sorted.
///
/// # Errors
/// HEAD moved and git cannot tell what lies between.
pub fn paths_changed(
    top: &Path,
    before: &Snapshot,
    after: &Snapshot,
) -> Result<Vec<String>, GitError> {
    let index = |snapshot: &'_ Snapshot| -> BTreeMap<String, StatusEntry> {
        snapshot
            .status
            .iter()
            .map(|entry| (entry.path.clone(), entry.clone()))
            .collect()
    };
    let (old, new) = (index(before), index(after));
    let mut changed: BTreeSet<String> = old
        .keys()
        .chain(new.keys())
        .filter(|path| old.get(*path) != new.get(*path))
        .cloned()
        .collect();
    changed.extend(
        after
            .status
            .iter()
            .filter(|e| old.get(&e.path) != Some(e))
            .filter_map(|e| e.original.clone()),
    );
    if let (Some(from), Some(to)) = (&before.head, &after.head)
        && from != to
    {
        let output = git::read(
            top,
            &[
                "diff",
                "--name-only",
                "-z",
                "--no-ext-diff",
                "--no-textconv",
                "--ignore-submodules=dirty",
                "--end-of-options",
                from,
                to,
            ],
        )?;
        let text = String::from_utf8_lossy(&output).into_owned();
        changed.extend(
            text.split('\0')
                .filter(|path| !path.is_empty())
                .map(str::to_owned),
        );
    }
    Ok(changed.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::snapshot;

    fn git(folder: &Path, arguments: &[&str]) {
        let status = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"])
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(
            status.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&status.stderr)
        );
    }

    #[test]
    fn changes_between_two_states() {
        let root = tempfile::tempdir().expect("a temp folder");
        let top = root.path();
        let write = |name: &str, text: &str| fs_err::write(top.join(name), text).expect("written");
        git(top, &["init", "-q", "-b", "main"]);
        write("clean", "1");
        write("dirty", "1");
        write("committed", "1");
        git(top, &["add", "."]);
        git(top, &["commit", "-q", "-m", "one"]);
        write("dirty", "22");
        write("left dirty", "1");
        let before = snapshot::take(top).expect("a snapshot");
        write("dirty", "333");
        write("new", "1");
        write("committed", "2");
        git(top, &["commit", "-q", "-m", "two", "committed"]);
        let after = snapshot::take(top).expect("a snapshot");
        assert_eq!(
            paths_changed(top, &before, &after).expect("changes"),
            ["committed", "dirty", "new"]
        );
        let refs = refs_changed(&before, &after);
        assert_eq!(refs.len(), 1);
        assert!(refs[0].starts_with("refs/heads/main "), "{refs:?}");
        assert_eq!(snapshot::take(top).expect("a snapshot"), after);
    }
}
