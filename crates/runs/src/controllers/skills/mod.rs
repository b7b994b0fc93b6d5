//! Which skills a worker is pointed to.
//!
//! `explicit` takes the names as they are; `auto` ranks by relevance to the task and
//! takes nothing rather than something that only happens to share a word.

mod rank;
mod terms;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::files::skills::{Origin, Skill, SkillIndex};

/// Most tokens that the chosen skills together may ask a worker to read.
pub const TOKEN_BUDGET: u64 = 24_000;

/// How skills are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By relevance to the task.
    #[default]
    Auto,
    /// By name.
    Explicit,
    /// Not at all.
    None,
}

/// A chosen skill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelectedSkill {
    /// Its name.
    pub name: String,
    /// What it says it is for.
    pub description: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its `SKILL.md`.
    pub path: PathBuf,
    /// Why it was chosen.
    pub reason: String,
    /// How relevant it is, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// How it was chosen.
    pub mode: Mode,
    /// At most so many.
    pub max_skills: u64,
    /// The names asked for.
    pub requested: Vec<String>,
    /// The skills, the most relevant first.
    pub selected: Vec<SelectedSkill>,
    /// What somebody should know.
    pub warnings: Vec<String>,
    /// Why the work cannot begin.
    pub errors: Vec<String>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// How to choose.
    pub mode: Mode,
    /// The names, for [`Mode::Explicit`].
    pub names: &'a [String],
    /// At most so many.
    pub max_skills: u64,
    /// What is to be done. Empty when work is only continued: there is nothing to be
    /// relevant to.
    pub task: &'a str,
}

/// Chooses.
#[must_use]
pub fn select(index: &SkillIndex, wanted: &Wanted<'_>) -> Selection {
    let mut selection = Selection {
        mode: wanted.mode,
        max_skills: wanted.max_skills,
        requested: wanted.names.to_vec(),
        ..Selection::default()
    };
    match wanted.mode {
        Mode::None => {}
        Mode::Explicit => by_name(index, wanted, &mut selection),
        Mode::Auto if wanted.task.trim().is_empty() => {
            selection
                .warnings
                .push("no task is given, so no skill was looked for".to_owned());
        }
        Mode::Auto => by_relevance(index, wanted, &mut selection),
    }
    warn_of_hidden(index, &mut selection);
    selection
}

fn by_name(index: &SkillIndex, wanted: &Wanted<'_>, selection: &mut Selection) {
    if wanted.names.is_empty() {
        selection
            .errors
            .push("`skills_mode` is explicit and `skills` names none".to_owned());
    }
    for name in wanted.names {
        if selection.selected.iter().any(|chosen| chosen.name == *name) {
            continue;
        }
        match index.skills.iter().find(|skill| skill.name == *name) {
            Some(skill) => {
                let reason = "asked for by name".to_owned();
                selection.selected.push(chosen(skill, reason, None));
            }
            None => selection.errors.push(missing(index, name)),
        }
    }
    let most = usize::try_from(wanted.max_skills).unwrap_or(usize::MAX);
    if selection.selected.len() > most {
        selection.errors.push(format!(
            "{} skills are asked for by name, and `max_skills` is {most}",
            selection.selected.len()
        ));
    }
}

fn missing(index: &SkillIndex, name: &str) -> String {
    let same = |skill: &&Skill| skill.name.eq_ignore_ascii_case(name);
    let near = match index.skills.iter().find(same) {
        Some(skill) => format!("; did you mean `{}`?", skill.name),
        None => format!("; {} are known, see skills_index.json", index.skills.len()),
    };
    format!("there is no skill `{name}`{near}")
}

fn by_relevance(index: &SkillIndex, wanted: &Wanted<'_>, selection: &mut Selection) {
    let most = usize::try_from(wanted.max_skills).unwrap_or(usize::MAX);
    let mut tokens = 0;
    for ranked in rank::rank(&index.skills, wanted.task) {
        if selection.selected.len() == most {
            break;
        }
        let skill = &index.skills[ranked.skill];
        if tokens + skill.tokens > TOKEN_BUDGET {
            selection.warnings.push(format!(
                "`{}` is relevant and left out: its {} tokens would exceed the budget of {TOKEN_BUDGET}",
                skill.name, skill.tokens
            ));
            continue;
        }
        tokens += skill.tokens;
        let score = (ranked.score * 100.0).round() / 100.0;
        selection
            .selected
            .push(chosen(skill, ranked.reason, Some(score)));
    }
    if selection.selected.is_empty() {
        selection.warnings.push(format!(
            "none of the {} known skills is relevant to the task",
            index.skills.len()
        ));
    }
}

fn chosen(skill: &Skill, reason: String, score: Option<f64>) -> SelectedSkill {
    SelectedSkill {
        name: skill.name.clone(),
        description: skill.description.clone(),
        origin: skill.origin,
        path: skill.path.clone(),
        reason,
        score,
    }
}

fn warn_of_hidden(index: &SkillIndex, selection: &mut Selection) {
    for hidden in &index.hidden {
        let winner = selection
            .selected
            .iter()
            .find(|chosen| chosen.name == hidden.name);
        if let Some(winner) = winner {
            let warning = format!(
                "there are several skills `{}`: {} ({}) was taken, not {} ({})",
                hidden.name,
                winner.path.display(),
                winner.origin.as_str(),
                hidden.path.display(),
                hidden.origin.as_str()
            );
            selection.warnings.push(warning);
        }
    }
}

#[cfg(test)]
mod tests;
