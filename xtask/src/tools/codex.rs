//! The real Codex, installed from the committed lockfile.

use std::{path::PathBuf, process::Command};

use convoke_test_support::codex::{INSTALL_FOLDER, program_in};
use fs_err as fs;

use crate::{command, deps, error::Error, folders};

/// The committed manifest and lockfile.
const MANIFEST: [&str; 2] = ["package.json", "package-lock.json"];

/// The lockfile as it was when npm last succeeded.
const INSTALLED: &str = "installed-lock.json";

/// The local installation's `codex` program, if it is there, current, and
/// Node is there to start it.
pub fn codex_binary() -> Option<PathBuf> {
    let current = deps::has_node() && is_current().unwrap_or(false);
    let program = program_in(&install_folder());
    (current && program.is_file()).then_some(program)
}

/// Installs Codex unless this version is installed already; its `codex`
/// program.
///
/// # Errors
/// A file cannot be written, or npm fails.
pub fn install() -> Result<PathBuf, Error> {
    if let Some(program) = codex_binary() {
        return Ok(program);
    }
    let folder = install_folder();
    fs::create_dir_all(&folder)?;
    // Until npm is done there is no valid installation.
    if is_current()? {
        fs::remove_file(folder.join(INSTALLED))?;
    }
    for name in MANIFEST {
        fs::copy(manifest_folder().join(name), folder.join(name))?;
    }
    command::run(
        Command::new("npm")
            .args([
                "ci",
                "--include=optional",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
            ])
            .arg("--prefix")
            .arg(&folder)
            .current_dir(&folder),
    )?;
    fs::copy(manifest_folder().join(MANIFEST[1]), folder.join(INSTALLED))?;
    codex_binary().ok_or_else(|| Error::Unexpected {
        what: format!("npm installed no {}", program_in(&folder).display()),
        hint: Some(format!("remove {} and try again", folder.display())),
    })
}

/// Whether what is installed was installed from the committed lockfile.
fn is_current() -> Result<bool, Error> {
    let installed = install_folder().join(INSTALLED);
    if !installed.is_file() {
        return Ok(false);
    }
    let committed = fs::read(manifest_folder().join(MANIFEST[1]))?;
    Ok(fs::read(installed)? == committed)
}

fn manifest_folder() -> PathBuf {
    folders::workspace().join("tools/npm")
}

fn install_folder() -> PathBuf {
    folders::workspace().join(INSTALL_FOLDER)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// A lockfile that names hosts would fetch from them only.
    #[test]
    fn the_lockfile_names_versions_and_hashes_but_no_hosts() {
        let text = fs::read_to_string(manifest_folder().join(MANIFEST[1])).unwrap();
        assert!(!text.contains("://"), "the lockfile holds an address");
        let lock: Value = serde_json::from_str(&text).unwrap();
        for (name, package) in lock["packages"].as_object().unwrap() {
            let pinned = package["integrity"].is_string() && package["version"].is_string();
            assert!(pinned || name.is_empty(), "{name} is not pinned");
        }
    }
}
