//! Puts the skill into a folder of skills.

use std::{
    io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::files::{FILES, NAME};
use crate::error::CliError;

/// A skill of an older server, which contradicts this one.
const CONTRADICTING: &str = "codex-subagent-orchestrator";

/// Folder beside that of the skills where what was replaced is kept: within it,
/// agents would still load it.
const BACKUPS: &str = "skill-backups";

/// What is to be done in one folder of skills.
#[derive(Debug)]
pub struct Plan {
    root: PathBuf,
    /// Folders of skills to be moved away.
    replaced: Vec<PathBuf>,
    changed: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Installed {
    /// Folder of the skill.
    pub path: String,
    /// Whether anything was written.
    pub changed: bool,
    /// Where what was there before is kept.
    pub kept: Vec<String>,
}

/// Looks at what is there.
///
/// # Errors
/// Something is in the way and may not be replaced.
pub fn plan(root: &Path, replace: bool) -> Result<Plan, CliError> {
    let own = root.join(NAME);
    let changed = !is_same(&own);
    let mut replaced = Vec::new();
    let old = root.join(CONTRADICTING);
    if old.symlink_metadata().is_ok() {
        if !replace {
            return Err(CliError::usage_hint(
                format!(
                    "{} contradicts this skill: it coordinates by rules of its own what convoke keeps track of",
                    old.display()
                ),
                "nothing was written; --replace moves it away and keeps it",
            ));
        }
        replaced.push(old);
    }
    if changed && own.symlink_metadata().is_ok() {
        if !replace {
            return Err(CliError::usage_hint(
                format!("{} is of another version or was changed", own.display()),
                "nothing was written; --replace moves it away and keeps it",
            ));
        }
        replaced.push(own);
    }
    Ok(Plan {
        root: root.to_owned(),
        replaced,
        changed,
    })
}

impl Plan {
    /// Does it. The skill is there wholly or not at all.
    ///
    /// # Errors
    /// A file cannot be written or moved.
    pub fn carry_out(self) -> Result<Installed, CliError> {
        let own = self.root.join(NAME);
        let mut kept = Vec::new();
        for folder in &self.replaced {
            kept.push(move_away(&self.root, folder)?.display().to_string());
        }
        if self.changed {
            let next = self
                .root
                .join(format!(".{NAME}.next-{}", std::process::id()));
            write_all(&next).map_err(CliError::file("write", &next))?;
            fs_err::rename(&next, &own).map_err(CliError::file("create", &own))?;
        }
        Ok(Installed {
            path: own.display().to_string(),
            changed: self.changed,
            kept,
        })
    }
}

fn is_same(folder: &Path) -> bool {
    FILES.iter().all(|(name, text)| {
        fs_err::read(folder.join(name)).is_ok_and(|bytes| bytes == text.as_bytes())
    })
}

fn write_all(folder: &Path) -> io::Result<()> {
    for (name, text) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::write(path, text)?;
    }
    Ok(())
}

fn move_away(root: &Path, folder: &Path) -> Result<PathBuf, CliError> {
    let backups = root.parent().unwrap_or(root).join(BACKUPS);
    fs_err::create_dir_all(&backups).map_err(CliError::file("create", &backups))?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let to = backups.join(format!("{name}-{}", now.as_millis()));
    fs_err::rename(folder, &to).map_err(CliError::file("move away", folder))?;
    Ok(to)
}
