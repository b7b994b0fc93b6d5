//! The text of a `SKILL.md`: its front matter and its headings.

use serde::Deserialize;

/// Longest front matter that is read, bytes. It holds a name and a description.
const LONGEST: usize = 16 * 1024;
/// Longest name, characters.
const LONGEST_NAME: usize = 64;
/// Longest description, characters; what is beyond is left out.
const LONGEST_DESCRIPTION: usize = 1_024;
/// Most headings that are looked at.
const MOST_HEADINGS: usize = 40;

/// What a skill says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillText {
    /// Its name, if it says one.
    pub name: Option<String>,
    /// What it is for.
    pub description: String,
    /// Whether it is not to be handed to workers.
    pub excluded: bool,
    /// The headings of its text.
    pub headings: Vec<String>,
}

/// Why a text is no skill.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrontMatterError {
    /// There is none, or it has no end.
    #[error("it does not begin with front matter between two `---` lines")]
    Missing,
    /// It is too long.
    #[error("its front matter is longer than {LONGEST} bytes")]
    TooLong,
    /// It is no YAML of the expected form.
    #[error("its front matter is not valid: {0}")]
    Yaml(String),
    /// The name could be taken for a path, or is no name.
    #[error(
        "its name {0:?} is not valid: 1 to {LONGEST_NAME} characters without `/`, `\\`, a leading `.` and control characters"
    )]
    Name(String),
    /// Nothing says what it is for.
    #[error("its front matter has no `description`")]
    NoDescription,
}

#[derive(Deserialize)]
struct Fields {
    name: Option<String>,
    description: Option<String>,
    #[serde(default)]
    delegator_exclude: Option<bool>,
}

/// Reads the text of a `SKILL.md`.
///
/// # Errors
/// [`FrontMatterError`].
pub fn parse(text: &str) -> Result<SkillText, FrontMatterError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (yaml, body) = split(text)?;
    let fields: Fields =
        serde_saphyr::from_str(yaml).map_err(|error| FrontMatterError::Yaml(first_line(&error)))?;
    let name = fields.name.map(|name| name.trim().to_owned());
    if let Some(name) = name.as_ref().filter(|name| !is_name(name)) {
        return Err(FrontMatterError::Name(name.chars().take(80).collect()));
    }
    let description = one_line(&fields.description.unwrap_or_default());
    if description.is_empty() {
        return Err(FrontMatterError::NoDescription);
    }
    Ok(SkillText {
        name,
        description,
        excluded: fields.delegator_exclude.unwrap_or(false),
        headings: headings(body),
    })
}

/// Whether a text can stand for a skill, on one line and without being a path.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=LONGEST_NAME).contains(&length)
        && !name.starts_with('.')
        && !name
            .chars()
            .any(|c| c.is_control() || c == '/' || c == '\\')
}

fn split(text: &str) -> Result<(&str, &str), FrontMatterError> {
    let rest = text
        .strip_prefix("---")
        .and_then(|rest| {
            rest.strip_prefix("\r\n")
                .or_else(|| rest.strip_prefix('\n'))
        })
        .ok_or(FrontMatterError::Missing)?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Ok((&rest[..at], &rest[at + line.len()..]));
        }
        at += line.len();
        if at > LONGEST {
            return Err(FrontMatterError::TooLong);
        }
    }
    Err(FrontMatterError::Missing)
}

/// Only what stands outside of code blocks is a heading.
fn headings(body: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in body.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let marks = line.chars().take_while(|c| *c == '#').count();
        if in_code || !(1..=6).contains(&marks) || !line[marks..].starts_with(' ') {
            continue;
        }
        found.push(one_line(&line[marks..]));
        if found.len() == MOST_HEADINGS {
            break;
        }
    }
    found
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    line.chars().take(LONGEST_DESCRIPTION).collect()
}

fn first_line(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}
