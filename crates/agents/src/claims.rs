//! Which files a worker says it changed.
//!
//! Workers are asked to end their last message with a list `modifiedFiles`,
//! and write it in as many ways as there are models: as a heading, a bullet or
//! bold text, with the paths below or on the same line. A claim is only a
//! claim: what was observed on disk is kept apart from it.

use serde_json::Value;

/// Titles of the list: lower case, without spaces, `_` and `-`.
const TITLES: &[&str] = &[
    "modifiedfiles",
    "editedfiles",
    "filesmodified",
    "filesedited",
];
/// Ways to say that nothing was changed, lower case.
const NOTHING: &[&str] = &[
    "none",
    "(none)",
    "[]",
    "[none]",
    "n/a",
    "-",
    "—",
    "nothing",
    "no files",
    "no files modified",
    "no files edited",
    "no files changed",
    "no files were modified",
    "no files were edited",
    "no files were changed",
    "no changes",
];

/// The files named in the last list of the message, in its order and without
/// repeats: `Some` and empty when the list says that there are none, `None`
/// when there is no list.
#[must_use]
pub fn modified_files(final_message: &str) -> Option<Vec<String>> {
    if let Some(files) = from_json(final_message) {
        return Some(once(files));
    }
    let lines: Vec<&str> = final_message
        .lines()
        .filter(|line| !line.trim_start().starts_with("```"))
        .collect();
    let (at, title) = lines
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, line)| Some((at, Title::read(line)?)))?;
    let files = if title.rest.is_empty() {
        below(&lines[at + 1..], &title)
    } else {
        same_line(title.rest)
    };
    Some(once(files))
}

/// The files without repeats and without names that are empty.
fn once(mut files: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| !file.is_empty() && seen.insert(file.clone()));
    files
}

/// The list of a message that is itself JSON, as an output schema makes it.
fn from_json(message: &str) -> Option<Vec<String>> {
    let value: Value = serde_json::from_str(message.trim()).ok()?;
    let (_, list) = value
        .as_object()?
        .iter()
        .find(|(key, _)| TITLES.contains(&plain(key).as_str()))?;
    let files = list.as_array()?.iter().filter_map(Value::as_str);
    Some(files.map(str::to_owned).collect())
}

/// The line that introduces the list.
struct Title<'a> {
    /// Columns before its bullet, if it is a bullet.
    bullet: Option<usize>,
    /// What follows it on its line.
    rest: &'a str,
}

impl<'a> Title<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let indent = line.len() - line.trim_start().len();
        let (marked, is_bullet) = without_bullet(line.trim());
        let text = marked.trim_start_matches('#').trim();
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name, rest),
            None => (text, ""),
        };
        // "Modified files (2)" is a title as well.
        let name = name.split_once('(').map_or(name, |(name, count)| {
            if count
                .trim_end_matches([')', '*', '_'])
                .parse::<u32>()
                .is_ok()
            {
                name
            } else {
                text
            }
        });
        TITLES.contains(&plain(name).as_str()).then(|| Self {
            bullet: is_bullet.then_some(indent),
            rest: rest.trim().trim_start_matches("**").trim(),
        })
    }
}

/// A name in lower case without what only dresses it.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_whitespace() && !"*_`-\"".contains(*c))
        .flat_map(char::to_lowercase)
        .collect()
}

fn same_line(rest: &str) -> Vec<String> {
    if is_nothing(rest) {
        return Vec::new();
    }
    let inner = rest
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(rest);
    inner
        .split(',')
        .filter_map(|part| path_of(part, true))
        .collect()
}

/// The entries in the lines after the title.
fn below(lines: &[&str], title: &Title<'_>) -> Vec<String> {
    let mut files = Vec::new();
    let mut blank = false;
    for line in lines {
        if line.trim().is_empty() {
            blank = true;
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let (text, is_bullet) = without_bullet(line.trim());
        // After a blank line only a bulleted list goes on.
        let ended = blank && !files.is_empty() && !is_bullet;
        if ended || text.starts_with('#') || is_nothing(text) {
            break;
        }
        // A bullet beside the title's own is the next point, unless it can be
        // nothing but a path.
        let beside = is_bullet && title.bullet.is_some_and(|at| indent <= at);
        if beside && !(is_code(text) || (!text.contains(' ') && text.contains(['/', '.']))) {
            break;
        }
        match path_of(text, is_bullet) {
            Some(path) => files.push(path),
            None => break,
        }
        blank = false;
    }
    files
}

/// The line without its bullet or number, and whether it had one.
fn without_bullet(line: &str) -> (&str, bool) {
    for bullet in ["- [x] ", "- [ ] ", "- ", "* ", "+ ", "• ", "– ", "— "] {
        if let Some(rest) = line.strip_prefix(bullet) {
            return (rest.trim(), true);
        }
    }
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let numbered = line[digits..]
        .strip_prefix(". ")
        .or_else(|| line[digits..].strip_prefix(") "));
    match numbered {
        Some(rest) if digits > 0 => (rest.trim(), true),
        _ => (line, false),
    }
}

fn is_nothing(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || "*_`\"".contains(c));
    let text = text.strip_suffix('.').unwrap_or(text).to_lowercase();
    NOTHING.contains(&text.as_str())
}

fn is_code(text: &str) -> bool {
    text.trim_start_matches('*').starts_with('`')
}

/// The path an entry names, if it names one.
fn path_of(entry: &str, is_listed: bool) -> Option<String> {
    let entry = entry.trim().trim_end_matches(',').trim();
    if is_nothing(entry) {
        return None;
    }
    let entry = entry.trim_start_matches("**").trim();
    if let Some(path) = between(entry, '`', '`').or_else(|| between(entry, '"', '"')) {
        return Some(path);
    }
    if let Some(path) = link_target(entry) {
        return Some(path);
    }
    let path = without_remark(entry).trim_end_matches("**").trim();
    // `status: ok` is the next field, not a file called `status`.
    let is_field = !path.contains(['/', '.']) && entry[path.len()..].starts_with(": ");
    if is_field {
        return None;
    }
    is_path(path, is_listed).then(|| path.to_owned())
}

/// What stands between the opening mark at the start and the closing one.
fn between(entry: &str, open: char, close: char) -> Option<String> {
    let (inner, _) = entry.strip_prefix(open)?.split_once(close)?;
    (!inner.trim().is_empty()).then(|| inner.trim().to_owned())
}

/// The target of a Markdown link `[name](path:12)`, without the line number.
fn link_target(entry: &str) -> Option<String> {
    let (_, rest) = entry.strip_prefix('[')?.split_once("](")?;
    let (target, _) = rest.split_once(')')?;
    let target = target.split("#L").next().unwrap_or(target);
    let numbers = |c: char| c.is_ascii_digit() || c == ':';
    let bare = target.trim_end_matches(numbers);
    let path = if target[bare.len()..].starts_with(':') {
        bare
    } else {
        target
    };
    (!path.is_empty()).then(|| path.to_owned())
}

/// The entry without what is said about it.
fn without_remark(entry: &str) -> &str {
    [" — ", " – ", " - ", " -- ", " (", ": ", "\t", " → ", " # "]
        .iter()
        .filter_map(|mark| entry.find(mark))
        .min()
        .map_or(entry, |at| &entry[..at])
        .trim()
}

/// Whether a text can be a path rather than prose.
fn is_path(text: &str, is_listed: bool) -> bool {
    let ends_like_prose = text.ends_with(['.', ':', ';', '!', '?']);
    if text.is_empty() || ends_like_prose || text.len() > 4096 {
        return false;
    }
    if !text.contains(char::is_whitespace) {
        return is_listed || text.contains(['/', '.']) || text.chars().all(is_name_char);
    }
    // With spaces only what ends like a file name.
    let words = text.split_whitespace().count();
    let extension = text.rsplit_once('.').map_or("", |(_, extension)| extension);
    words <= 4
        && (1..=8).contains(&extension.len())
        && extension.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || "_-".contains(c)
}

#[cfg(test)]
mod tests;
