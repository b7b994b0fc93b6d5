//! Where agents look for skills.

use std::path::{Path, PathBuf};

use crate::{environment, error::CliError};

/// Codex: the folder `skills` of its home.
///
/// # Errors
/// There is no home folder.
pub fn of_codex() -> Result<PathBuf, CliError> {
    match environment::value(environment::CODEX_HOME) {
        Some(home) => Ok(PathBuf::from(home).join("skills")),
        None => Ok(home("Codex's skills")?.join(".codex/skills")),
    }
}

/// Claude Code.
///
/// # Errors
/// There is no home folder.
pub fn of_claude() -> Result<PathBuf, CliError> {
    Ok(home("Claude Code's skills")?.join(".claude/skills"))
}

/// The repository of the current folder.
///
/// # Errors
/// The current folder is in none.
pub fn of_repository() -> Result<PathBuf, CliError> {
    let folder = std::env::current_dir().map_err(CliError::system("find the working folder"))?;
    let top = folder.ancestors().find(|folder| is_repository(folder));
    let top = top.ok_or_else(|| {
        CliError::usage_hint(
            format!("{} is in no git repository", folder.display()),
            "call it within the repository that is to have the skill",
        )
    })?;
    Ok(top.join(".agents/skills"))
}

/// A work tree has a `.git` folder with a HEAD in it, or, when linked, a file.
fn is_repository(folder: &Path) -> bool {
    let git = folder.join(".git");
    git.is_file() || git.join("HEAD").exists()
}

fn home(of: &str) -> Result<PathBuf, CliError> {
    let home = environment::value(environment::HOME);
    home.map(PathBuf::from).ok_or_else(|| {
        CliError::usage_hint(
            format!("it is not known where {of} are: HOME is not set"),
            "set HOME",
        )
    })
}
