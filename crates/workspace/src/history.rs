//! The history of a repository: HEAD and its refs, at one moment.
//!
//! A [`Mark`] is read without running git, so that it costs nothing to take one
//! around every job; only where two marks differ git is asked what is different.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    git::{self, GitError},
    plain_file::plain_file,
};

/// Most files of refs that are read for a mark.
const MOST_FILES: usize = 20_000;

/// Most bytes of one of them.
const LONGEST_REF: u64 = 4096;

/// Tells whether the history changed: equal for as long as it did not. It may be
/// another without a change, for instance after refs were packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(String);

/// Where HEAD and the refs point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The branch HEAD is on, as `refs/heads/…`; none if detached.
    pub branch: Option<String>,
    /// The commit of HEAD; none on an unborn branch.
    pub head: Option<String>,
    /// Every ref and the object it points at.
    pub refs: BTreeMap<String, String>,
}

impl History {
    /// Where a ref points, or `HEAD` is.
    #[must_use]
    pub fn at(&self, name: &str) -> Option<String> {
        match name {
            "HEAD" => place(self),
            name => self.refs.get(name).cloned(),
        }
    }
}

/// One difference between two histories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The ref, or `HEAD` if it is on another branch or detached.
    pub name: String,
    /// Where it pointed; none if it was not there.
    pub from: Option<String>,
    /// Where it points; none if it is not there.
    pub to: Option<String>,
}

impl Move {
    /// The move back.
    #[must_use]
    pub fn back(&self) -> Self {
        Self {
            name: self.name.clone(),
            from: self.to.clone(),
            to: self.from.clone(),
        }
    }

    /// As people read it: `name old -> new`.
    #[must_use]
    pub fn shown(&self) -> String {
        let side = |side: &Option<String>| match side.as_deref() {
            None => "(none)".to_owned(),
            Some(name) if name.starts_with("refs/") => name.to_owned(),
            Some(object) => object.get(..12).unwrap_or(object).to_owned(),
        };
        format!("{} {} -> {}", self.name, side(&self.from), side(&self.to))
    }
}

/// The mark of the repository whose work tree has its top at `top`; none outside
/// git, or if it cannot be read as a whole.
#[must_use]
pub fn mark(top: &Path) -> Option<Mark> {
    let (own, common) = folders(top)?;
    let mut hash = Sha256::new();
    hash.update(plain_file(&own.join("HEAD"), LONGEST_REF).ok()?);
    let mut files = 0;
    for folder in [common.join("refs"), own.join("refs")] {
        add_refs(&folder, &mut hash, &mut files)?;
        if own == common {
            break;
        }
    }
    // Written anew as a whole whenever one of them changes.
    for packed in [common.join("packed-refs"), common.join("reftable")] {
        add_stamp(&packed, &mut hash);
    }
    let hash = hash.finalize();
    Some(Mark(hash[..16].iter().fold(
        String::new(),
        |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        },
    )))
}

/// The folder of the work tree's own git files, and the one that all work trees
/// of the repository share (gitrepository-layout(5)).
#[must_use]
pub fn folders(top: &Path) -> Option<(PathBuf, PathBuf)> {
    let dot = top.join(".git");
    let own = if dot.is_dir() {
        dot
    } else {
        let text = String::from_utf8(plain_file(&dot, LONGEST_REF).ok()?).ok()?;
        let path = text.strip_prefix("gitdir:")?.trim();
        fs_err::canonicalize(top.join(path)).ok()?
    };
    let common = match plain_file(&own.join("commondir"), LONGEST_REF) {
        Ok(text) => {
            let text = String::from_utf8(text).ok()?;
            fs_err::canonicalize(own.join(text.trim())).ok()?
        }
        Err(_) => own.clone(),
    };
    Some((own, common))
}

fn add_refs(folder: &Path, hash: &mut Sha256, files: &mut usize) -> Option<()> {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return Some(());
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    for path in names {
        let meta = fs_err::symlink_metadata(&path).ok()?;
        if meta.is_dir() {
            add_refs(&path, hash, files)?;
            continue;
        }
        *files += 1;
        if *files > MOST_FILES {
            return None;
        }
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update(plain_file(&path, LONGEST_REF).ok()?);
    }
    Some(())
}

fn add_stamp(path: &Path, hash: &mut Sha256) {
    if let Ok(meta) = fs_err::symlink_metadata(path) {
        let stamp = (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
        hash.update(format!("{}{stamp:?}", path.display()));
    }
}

/// Where HEAD and the refs point now.
///
/// # Errors
/// Git cannot be run or fails.
pub fn read(top: &Path) -> Result<History, GitError> {
    let refs = git::read_store(top, &REFS)?;
    let one = |arguments: &[&str]| {
        let answer = git::read_store(top, arguments).ok()?;
        let text = String::from_utf8_lossy(&answer).trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    Ok(History {
        branch: one(&["symbolic-ref", "--quiet", "HEAD"]),
        head: one(&["rev-parse", "--quiet", "--verify", "HEAD^{commit}"]),
        refs: parse_refs(&refs),
    })
}

/// Asks for every ref, its object, and where it is a symbolic one, which moves with
/// another, that one.
pub(crate) const REFS: [&str; 2] = [
    "for-each-ref",
    "--format=%(refname) %(objectname) %(symref)",
];

/// Reads the answer; symbolic refs are left out.
pub(crate) fn parse_refs(output: &[u8]) -> BTreeMap<String, String> {
    String::from_utf8_lossy(output)
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, object) = (words.next()?, words.next()?);
            let is_symbolic = words.next().is_some_and(|other| !other.is_empty());
            (!is_symbolic).then(|| (name.to_owned(), object.to_owned()))
        })
        .collect()
}

/// Where HEAD is: its branch, else its commit.
fn place(history: &History) -> Option<String> {
    history.branch.clone().or_else(|| history.head.clone())
}

/// What moved from one to the other, sorted by name.
#[must_use]
pub fn moves(before: &History, after: &History) -> Vec<Move> {
    let mut moves = Vec::new();
    let on_branch = before.branch.is_some() && before.branch == after.branch;
    if !on_branch && place(before) != place(after) {
        moves.push(Move {
            name: "HEAD".to_owned(),
            from: place(before),
            to: place(after),
        });
    }
    let mut names: Vec<&String> = before.refs.keys().chain(after.refs.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (from, to) = (before.refs.get(name), after.refs.get(name));
        if from != to {
            moves.push(Move {
                name: name.clone(),
                from: from.cloned(),
                to: to.cloned(),
            });
        }
    }
    moves
}

/// Takes moves back: every ref that still points where the move left it points
/// again where it did before. Files and the index are not touched, so what was
/// committed since is uncommitted again. Commits are not lost: the reflog and
/// `to` still name them.
///
/// # Errors
/// A ref points elsewhere by now, or git cannot be run; nothing is changed then.
pub fn undo(top: &Path, moves: &[Move]) -> Result<(), GitError> {
    let head = moves.iter().find(|one| one.name == "HEAD");
    if let Some(head) = head {
        let now = read(top)?.at("HEAD");
        if now != head.to {
            let now = now.unwrap_or_else(|| "(none)".to_owned());
            let message = format!("HEAD is at {now}: it moved on since");
            return Err(git::failed(top, &["update-ref"], message.as_bytes()));
        }
    }
    let mut commands = String::from("start\n");
    for one in moves.iter().filter(|one| one.name != "HEAD") {
        let name = &one.name;
        let _ = match (&one.from, &one.to) {
            (Some(from), Some(to)) => writeln!(commands, "update {name} {from} {to}"),
            (Some(from), None) => writeln!(commands, "create {name} {from}"),
            (None, Some(to)) => writeln!(commands, "delete {name} {to}"),
            (None, None) => Ok(()),
        };
    }
    commands.push_str("commit\n");
    git::update_refs(top, &commands)?;
    match head {
        Some(Move {
            from: Some(from), ..
        }) => git::set_head(top, from),
        _ => Ok(()),
    }
}
