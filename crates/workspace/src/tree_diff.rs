//! What is different between two kept states of a tree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::private_repository::{PrivateRepository, PrivateRepositoryError};

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Add,
    /// Its content is another.
    Modify,
    /// It is gone.
    Delete,
    /// It was moved, and perhaps changed.
    Rename,
    /// Only its mode is another: executable or not.
    Mode,
}

/// One side of a change: what a path held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The mode git gives it, such as `100644`.
    pub mode: String,
    /// Name of the object.
    pub object: String,
}

/// One path that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path, relative to the top; for a move the new one.
    pub path: String,
    /// The path it was moved from.
    pub old_path: Option<String>,
    /// What became of it.
    pub kind: ChangeKind,
    /// Before; none if it was not there.
    pub before: Option<Side>,
    /// After; none if it is not there.
    pub after: Option<Side>,
}

/// Paths that are different, sorted. With `renames`, a file that went and one
/// much like it that came are one change.
///
/// # Errors
/// One of the trees is not there, or git cannot be run.
pub fn between(
    repository: &PrivateRepository,
    from: &str,
    to: &str,
    renames: bool,
) -> Result<Vec<Change>, PrivateRepositoryError> {
    if from == to {
        return Ok(Vec::new());
    }
    let find = if renames {
        "--find-renames"
    } else {
        "--no-renames"
    };
    let arguments = [
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--no-abbrev",
        find,
        from,
        to,
    ];
    let output = repository.git(&arguments)?;
    Ok(parse(&String::from_utf8_lossy(&output)))
}

/// Reads raw output (git-diff-tree(1), "Raw output format", with `-z`).
fn parse(raw: &str) -> Vec<Change> {
    let mut fields = raw.split('\0').filter(|field| !field.is_empty());
    let mut changes = Vec::new();
    while let Some(header) = fields.next() {
        let words: Vec<&str> = header.trim_start_matches(':').split(' ').collect();
        let (&[old_mode, new_mode, old, new, status], Some(path)) = (&words[..], fields.next())
        else {
            break;
        };
        let moved = status.starts_with('R');
        let (path, old_path) = match moved.then(|| fields.next()).flatten() {
            Some(new_path) => (new_path, Some(path.to_owned())),
            None => (path, None),
        };
        let before = side(old_mode, old);
        let after = side(new_mode, new);
        changes.push(Change {
            path: path.to_owned(),
            kind: kind_of(moved, before.as_ref(), after.as_ref()),
            old_path,
            before,
            after,
        });
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

fn side(mode: &str, object: &str) -> Option<Side> {
    (mode != "000000").then(|| Side {
        mode: mode.to_owned(),
        object: object.to_owned(),
    })
}

fn kind_of(moved: bool, before: Option<&Side>, after: Option<&Side>) -> ChangeKind {
    match (before, after) {
        _ if moved => ChangeKind::Rename,
        (None, _) => ChangeKind::Add,
        (_, None) => ChangeKind::Delete,
        (Some(before), Some(after)) if before.object == after.object => ChangeKind::Mode,
        _ => ChangeKind::Modify,
    }
}

/// Paths named in one command.
const NAMED_AT_ONCE: usize = 200;

/// What paths hold in a tree; those that it does not have are missing.
///
/// # Errors
/// The tree is not there, or git cannot be run.
pub fn sides(
    repository: &PrivateRepository,
    tree: &str,
    paths: &[&str],
) -> Result<BTreeMap<String, Side>, PrivateRepositoryError> {
    let mut sides = BTreeMap::new();
    for some in paths.chunks(NAMED_AT_ONCE) {
        let mut arguments = vec![
            "--literal-pathspecs",
            "ls-tree",
            "-r",
            "-z",
            "--full-tree",
            tree,
            "--",
        ];
        arguments.extend(some);
        let output = repository.git(&arguments)?;
        // `<mode> <type> <object>\t<path>`, see git-ls-tree(1).
        for entry in String::from_utf8_lossy(&output).split('\0') {
            let Some((facts, path)) = entry.split_once('\t') else {
                continue;
            };
            let words: Vec<&str> = facts.split(' ').collect();
            if let [mode, _, object] = words[..] {
                let side = Side {
                    mode: mode.to_owned(),
                    object: object.to_owned(),
                };
                sides.insert(path.to_owned(), side);
            }
        }
    }
    Ok(sides)
}

/// The differences as a patch, of all paths or of some.
///
/// # Errors
/// See [`between`].
pub fn patch(
    repository: &PrivateRepository,
    from: &str,
    to: &str,
    paths: Option<&[String]>,
) -> Result<Vec<u8>, PrivateRepositoryError> {
    if paths.is_some_and(<[String]>::is_empty) {
        return Ok(Vec::new());
    }
    let mut arguments = vec![
        "--literal-pathspecs",
        "diff-tree",
        "-r",
        "-p",
        "--find-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        from,
        to,
        "--",
    ];
    // A command line has its limits; beyond them the patch has all paths.
    if let Some(paths) = paths
        && paths.iter().map(String::len).sum::<usize>() < 64 * 1024
    {
        arguments.extend(paths.iter().map(String::as_str));
    }
    repository.git(&arguments)
}

/// Lines of one path that are different, each as first line and number of lines
/// in the later state.
///
/// # Errors
/// See [`between`].
pub(crate) fn hunks(
    repository: &PrivateRepository,
    from: &str,
    to: &str,
    path: &str,
) -> Result<Vec<(u64, u64)>, PrivateRepositoryError> {
    let arguments = [
        "--literal-pathspecs",
        "diff-tree",
        "-r",
        "-p",
        "-U0",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        from,
        to,
        "--",
        path,
    ];
    let patch = repository.git(&arguments)?;
    Ok(String::from_utf8_lossy(&patch)
        .lines()
        .filter_map(hunk)
        .collect())
}

/// The same of two contents; none is an empty one.
///
/// # Errors
/// See [`between`].
pub(crate) fn hunks_of(
    repository: &PrivateRepository,
    sides: [Option<&Side>; 2],
) -> Result<Vec<(u64, u64)>, PrivateRepositoryError> {
    // A repository of its own has no content here.
    if sides.iter().flatten().any(|side| side.mode == "160000") {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for side in sides {
        names.push(match side {
            Some(side) => side.object.clone(),
            None => {
                let empty = repository.git(&["hash-object", "-w", "--stdin"])?;
                String::from_utf8_lossy(&empty).trim().to_owned()
            }
        });
    }
    if names[0] == names[1] {
        return Ok(Vec::new());
    }
    let arguments = [
        "diff",
        "-U0",
        "--no-ext-diff",
        "--no-textconv",
        "--no-color",
        &names[0],
        &names[1],
    ];
    let patch = repository.git(&arguments)?;
    Ok(String::from_utf8_lossy(&patch)
        .lines()
        .filter_map(hunk)
        .collect())
}

/// Reads `@@ -a,b +c,d @@`.
fn hunk(line: &str) -> Option<(u64, u64)> {
    let after = line
        .strip_prefix("@@ ")?
        .split(' ')
        .nth(1)?
        .strip_prefix('+')?;
    let (start, lines) = after.split_once(',').unwrap_or((after, "1"));
    Some((start.parse().ok()?, lines.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_read() {
        assert_eq!(hunk("@@ -1,2 +3,4 @@ fn x()"), Some((3, 4)));
        assert_eq!(hunk("@@ -1 +1 @@"), Some((1, 1)));
        assert_eq!(hunk("+@@ -1 +1 @@"), None);
    }

    #[test]
    fn raw_output_is_read() {
        let raw = ":100644 100755 aa aa M\0b\0:000000 100644 00 cc A\0a new\0\
            :100644 100644 dd ee R090\0old\0z\0:100644 000000 ff 00 D\0gone\0";
        let found: Vec<_> = parse(raw)
            .into_iter()
            .map(|change| (change.path, change.old_path, change.kind))
            .collect();
        assert_eq!(
            found,
            [
                ("a new".into(), None, ChangeKind::Add),
                ("b".into(), None, ChangeKind::Mode),
                ("gone".into(), None, ChangeKind::Delete),
                ("z".into(), Some("old".into()), ChangeKind::Rename),
            ]
        );
    }
}
