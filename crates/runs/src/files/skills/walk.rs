//! Walks one root. Links are followed, as Codex does, but in no circle, and not out of
//! the repository whose root it is.

use std::{
    collections::{HashSet, VecDeque},
    io::Read as _,
    path::{Path, PathBuf},
};

use fs_err::os::unix::fs::OpenOptionsExt as _;

use super::{HiddenSkill, Origin, Places, Skill, SkillIndex, SkillRoot, front_matter};

/// How deep below a root skills may lie.
const DEEPEST: usize = 6;
/// Most folders looked at below one root.
const MOST_FOLDERS: usize = 2_000;
/// Most skills in all.
const MOST_SKILLS: usize = 1_000;
/// Largest `SKILL.md` that is read: a worker is to read it whole.
const LARGEST: u64 = 1024 * 1024;
/// Bytes that make up about one token.
const BYTES_A_TOKEN: u64 = 4;
/// Most warnings kept; a folder full of broken skills needs no more.
const MOST_WARNINGS: usize = 200;

/// Reads every skill below a root.
pub fn read_root(root: &SkillRoot, places: &Places, index: &mut SkillIndex) {
    let bound = match root.origin {
        Origin::Repo => Some(places.top_level.as_ref().unwrap_or(&places.folder)),
        Origin::Global => None,
    };
    let bound = bound.map(|top| fs_err::canonicalize(top).unwrap_or_else(|_| top.clone()));
    let mut seen = HashSet::new();
    let mut folders = VecDeque::from([(root.path.clone(), 0)]);
    while let Some((folder, depth)) = folders.pop_front() {
        let Ok(real) = fs_err::canonicalize(&folder) else {
            continue;
        };
        if !seen.insert(real.clone()) {
            continue;
        }
        if bound.as_ref().is_some_and(|bound| !real.starts_with(bound)) {
            warn(
                index,
                format!(
                    "{} leads out of the repository and is left out",
                    folder.display()
                ),
            );
            continue;
        }
        if seen.len() > MOST_FOLDERS {
            warn(
                index,
                format!(
                    "{} holds more than {MOST_FOLDERS} folders; the rest is left out",
                    root.path.display()
                ),
            );
            return;
        }
        let file = folder.join("SKILL.md");
        if fs_err::symlink_metadata(&file).is_ok() {
            read_skill(root, &file, bound.as_deref(), index);
        }
        if depth < DEEPEST {
            folders.extend(below(&folder).into_iter().map(|path| (path, depth + 1)));
        }
    }
}

/// The folders in a folder, in order of their names, so that two runs find the same.
fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn read_skill(root: &SkillRoot, file: &Path, bound: Option<&Path>, index: &mut SkillIndex) {
    let shown = file.display();
    // A path stands in the prompt of a worker, on one line.
    let is_line = |path: &str| !path.chars().any(char::is_control);
    if !file.to_str().is_some_and(is_line) {
        return warn(
            index,
            format!("{file:?} is left out: its path has control characters or is no UTF-8"),
        );
    }
    let inside = |real: PathBuf| bound.is_none_or(|bound| real.starts_with(bound));
    if !fs_err::canonicalize(file).is_ok_and(inside) {
        return warn(
            index,
            format!("{shown} leads out of the repository, or nowhere, and is left out"),
        );
    }
    let (text, size) = match read(file) {
        Ok(read) => read,
        Err(why) => return warn(index, format!("{shown} is left out: {why}")),
    };
    match front_matter::parse(&text) {
        Ok(text) if text.excluded => {}
        Ok(text) => add(root, file, text, size, index),
        Err(error) => warn(index, format!("{shown} is left out: {error}")),
    }
}

fn add(
    root: &SkillRoot,
    file: &Path,
    text: front_matter::SkillText,
    size: u64,
    index: &mut SkillIndex,
) {
    let folder_name = || {
        let name = file.parent().and_then(Path::file_name)?;
        Some(name.to_string_lossy().into_owned()).filter(|name| front_matter::is_name(name))
    };
    let Some(own) = text.name.or_else(folder_name) else {
        return warn(
            index,
            format!("{} is left out: it has no name", file.display()),
        );
    };
    let name = match &root.plugin {
        Some(plugin) => format!("{plugin}:{own}"),
        None => own,
    };
    if index.skills.iter().any(|skill| skill.name == name) {
        if index.hidden.len() < MOST_SKILLS {
            index.hidden.push(HiddenSkill {
                name,
                origin: root.origin,
                path: file.to_owned(),
            });
        }
        return;
    }
    if index.skills.len() >= MOST_SKILLS {
        return warn(
            index,
            format!(
                "{} is left out: there are {MOST_SKILLS} skills already",
                file.display()
            ),
        );
    }
    index.skills.push(Skill {
        name,
        description: text.description,
        origin: root.origin,
        path: file.to_owned(),
        headings: text.headings,
        tokens: size.div_ceil(BYTES_A_TOKEN),
    });
}

/// The text and its size. Nothing but a plain file is opened: a pipe of this name would
/// never end.
fn read(file: &Path) -> Result<(String, u64), String> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let opened = fs_err::OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(file)
        .map_err(|error| error.to_string())?;
    let meta = opened.metadata().map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("it is no plain file".to_owned());
    }
    if meta.len() > LARGEST {
        return Err(format!("it has {} bytes, more than {LARGEST}", meta.len()));
    }
    let mut bytes = Vec::new();
    opened
        .take(LARGEST)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    let size = bytes.len() as u64;
    String::from_utf8(bytes)
        .map(|text| (text, size))
        .map_err(|_| "it is no UTF-8 text".to_owned())
}

/// Names of folders may hold anything; a warning is one line.
fn warn(index: &mut SkillIndex, warning: String) {
    let warning = warning.replace(char::is_control, " ");
    if index.warnings.len() < MOST_WARNINGS {
        index.warnings.push(warning);
    }
}
