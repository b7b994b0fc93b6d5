//! The text of a `SKILL.md`, which anyone may have written, and the ranking that uses it.

use std::path::PathBuf;

use convoke_runs::{
    controllers::skills::{Mode, TOKEN_BUDGET, Wanted, select},
    files::skills::{Origin, Skill, SkillIndex, parse},
};

use crate::corpus;

const WORDS: &[&str] = &[
    "---\n",
    "name: ",
    "description: ",
    "delegator_exclude: true",
    "\n# ",
    "```",
    ">-\n",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "\u{feff}",
    "\u{0}",
    "..",
    "/",
    "? ",
];

fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(skill) = parse(&text) else {
        return;
    };
    let is_line = |text: &str| !text.chars().any(char::is_control);
    if let Some(name) = &skill.name {
        assert!(is_line(name) && !name.contains(['/', '\\']), "{name:?}");
        assert!(!name.is_empty() && !name.starts_with('.'), "{name:?}");
    }
    assert!(is_line(&skill.description) && !skill.description.is_empty());
    assert!(skill.headings.iter().all(|heading| is_line(heading)));
    let index = SkillIndex {
        skills: vec![Skill {
            name: skill.name.unwrap_or_else(|| "s".to_owned()),
            description: skill.description.clone(),
            origin: Origin::Repo,
            path: PathBuf::from("/s"),
            headings: skill.headings,
            tokens: TOKEN_BUDGET,
        }],
        ..SkillIndex::default()
    };
    let selection = select(
        &index,
        &Wanted {
            mode: Mode::Auto,
            names: &[],
            max_skills: 1,
            task: &skill.description,
        },
    );
    assert!(
        selection
            .selected
            .iter()
            .all(|chosen| chosen.score.is_some_and(f64::is_finite))
    );
    assert!(!selection.selected.is_empty() || !selection.warnings.is_empty());
}

#[test]
fn skills() {
    corpus::run("skills", 500, corpus::kept("skills", &[]), WORDS, check);
}
