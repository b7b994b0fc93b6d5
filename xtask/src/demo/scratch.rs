//! The scratch folder: a git repository, and homes of their own for Codex and
//! convoke, so that nothing of the user's is read or written.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use fs_err as fs;

use super::cast;
use crate::{command, error::Error};

/// The folders of one demo. They stay unless removed.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
    path: OsString,
}

impl Scratch {
    /// Makes the folders and the repository. With Codex its program's folder
    /// comes first in the `PATH` of all that is started.
    ///
    /// # Errors
    /// A file cannot be written, or git fails.
    pub fn create(codex: Option<&PathBuf>) -> Result<Self, Error> {
        let root = tempfile::Builder::new()
            .prefix("convoke-demo-")
            .tempdir()?
            .keep();
        // Git and the agents name folders by their real paths.
        let root = fs::canonicalize(root)?;
        let codex_folder = codex.and_then(|program| program.parent());
        let old = std::env::var_os("PATH").unwrap_or_default();
        let folders = codex_folder
            .map(Path::to_owned)
            .into_iter()
            .chain(std::env::split_paths(&old));
        let path = std::env::join_paths(folders)
            .map_err(|_| super::unexpected("PATH holds an odd folder"))?;
        let scratch = Self { root, path };
        for folder in [scratch.repository(), scratch.codex_home(), scratch.state()] {
            fs::create_dir_all(folder)?;
        }
        scratch.make_repository()?;
        Ok(scratch)
    }

    /// The folder that holds everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The git repository the workers change.
    pub fn repository(&self) -> PathBuf {
        self.root.join("repo")
    }

    /// Codex's folder.
    pub fn codex_home(&self) -> PathBuf {
        self.root.join("home/.codex")
    }

    /// The state home.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The environment of everything that is started, in full.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            ("PATH", self.path.clone()),
            ("HOME", self.root.join("home").into()),
            ("CODEX_HOME", self.codex_home().into()),
            ("CONVOKE_HOME", self.state().into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
        ];
        for name in ["TERM", "LANG", "TMPDIR", "USER", "SHELL"] {
            variables.extend(std::env::var_os(name).map(|value| (name, value)));
        }
        variables
    }

    /// Git in the repository.
    pub fn git(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .envs(self.environment())
            .current_dir(self.repository())
            .args(arguments);
        command
    }

    /// Removes all of it.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(self) -> Result<(), Error> {
        Ok(fs::remove_dir_all(&self.root)?)
    }

    fn make_repository(&self) -> Result<(), Error> {
        for (name, content) in cast::FILES {
            fs::write(self.repository().join(name), content)?;
        }
        let identity = [
            ["config", "user.name", "Demo"],
            ["config", "user.email", "demo@localhost"],
        ];
        command::output(&mut self.git(&["init", "--quiet", "--initial-branch=main"]))?;
        for arguments in &identity {
            command::output(&mut self.git(arguments))?;
        }
        command::output(&mut self.git(&["add", "."]))?;
        command::output(&mut self.git(&["commit", "--quiet", "--message", "Begin"]))?;
        Ok(())
    }
}
