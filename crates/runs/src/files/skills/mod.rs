//! Finds the skills that Codex itself would load, without trusting any of them.
//!
//! A skill is a folder with a `SKILL.md` that begins with YAML between `---` lines.
//! Whatever is wrong with one becomes a warning and leaves the others alone.

mod front_matter;
mod roots;
mod walk;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use front_matter::{FrontMatterError, SkillText, parse};
pub use roots::{Places, roots};

/// Where a skill comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The repository the work is about.
    Repo,
    /// The user or the machine.
    Global,
}

impl Origin {
    /// `repo` or `global`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repo => "repo",
            Self::Global => "global",
        }
    }
}

/// A folder that may hold skills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillRoot {
    /// The folder.
    pub path: PathBuf,
    /// Whose it is.
    pub origin: Origin,
    /// The plugin whose skills these are: part of their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Whether the folder is there.
    pub exists: bool,
}

/// A skill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skill {
    /// Its name.
    pub name: String,
    /// What it says it is for.
    pub description: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its `SKILL.md`.
    pub path: PathBuf,
    /// The headings of its text.
    pub headings: Vec<String>,
    /// About how many tokens the worker reads with it.
    pub tokens: u64,
}

/// A skill that another one of the same name wins over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiddenSkill {
    /// The name of both.
    pub name: String,
    /// Where this one comes from.
    pub origin: Origin,
    /// Its `SKILL.md`.
    pub path: PathBuf,
}

/// What was found in all roots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillIndex {
    /// Where was looked, in order of precedence.
    pub roots: Vec<SkillRoot>,
    /// What was found there, in the same order, each name once.
    pub skills: Vec<Skill>,
    /// Those of names that were taken.
    pub hidden: Vec<HiddenSkill>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// Reads every skill of the given roots. Never fails: what cannot be read is told in
/// the warnings.
#[must_use]
pub fn index(places: &Places, include_repo: bool, include_global: bool) -> SkillIndex {
    let mut index = SkillIndex::default();
    for root in roots(places, &mut index.warnings) {
        let wanted = match root.origin {
            Origin::Repo => include_repo,
            Origin::Global => include_global,
        };
        if !wanted {
            continue;
        }
        if root.exists {
            walk::read_root(&root, places, &mut index);
        }
        index.roots.push(root);
    }
    index
}

#[cfg(test)]
mod tests;
