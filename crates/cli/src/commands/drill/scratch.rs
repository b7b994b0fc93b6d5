//! The folders of a drill: a repository to work in, a state home, a Codex home.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::error::CliError;

/// The folders of a drill; removed with this unless they are to be kept.
#[derive(Debug)]
pub struct Scratch {
    root: TempDir,
    kept: bool,
}

impl Scratch {
    /// Makes them: the repository has one commit.
    ///
    /// # Errors
    /// They cannot be made, or git cannot be run.
    pub fn create() -> Result<Self, CliError> {
        let root = tempfile::Builder::new()
            .prefix("convoke-drill-")
            .tempdir()
            .map_err(CliError::system("make a scratch folder"))?;
        let scratch = Self { root, kept: false };
        for folder in [scratch.work(), scratch.codex_home()] {
            fs_err::create_dir(&folder).map_err(CliError::file("make", &folder))?;
        }
        scratch.git(&["init", "--quiet"])?;
        let readme = scratch.work().join("README");
        fs_err::write(&readme, "A drill.\n").map_err(CliError::file("write", &readme))?;
        scratch.git(&["add", "README"])?;
        scratch.git(&["commit", "--quiet", "--message", "Begin"])?;
        Ok(scratch)
    }

    /// Leaves the folders.
    pub fn keep(&mut self) {
        self.root.disable_cleanup(true);
        self.kept = true;
    }

    /// Whether anything ran in them.
    pub fn is_used(&self) -> bool {
        let jobs = fs_err::read_dir(self.state_home().join("jobs"));
        jobs.is_ok_and(|mut jobs| jobs.next().is_some())
    }

    /// Where they are, if they are kept.
    pub fn kept(&self) -> Option<&Path> {
        self.kept.then(|| self.root.path())
    }

    /// The repository.
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// The state home.
    pub fn state_home(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// The Codex home of scripted workers.
    pub fn codex_home(&self) -> PathBuf {
        self.root.path().join("codex")
    }

    /// Writes the configuration of scripted workers.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_codex_config(&self, text: &str) -> Result<(), CliError> {
        let path = self.codex_home().join("config.toml");
        fs_err::write(&path, text).map_err(CliError::file("write", &path))
    }

    /// What a file of the repository holds; nothing if it is not there.
    pub fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.work().join(name)).unwrap_or_default()
    }

    /// Runs git in the repository.
    ///
    /// # Errors
    /// It cannot be run, or fails.
    pub fn git(&self, arguments: &[&str]) -> Result<String, CliError> {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.work())
            .args(["-c", "user.name=drill", "-c", "user.email=drill@localhost"])
            .args(arguments)
            .output()
            .map_err(CliError::system("run git"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let failed = std::io::Error::other(said.trim().to_owned());
        Err(CliError::system("use git in the scratch folder")(failed))
    }

    /// HEAD and all refs.
    ///
    /// # Errors
    /// Git cannot be run.
    pub fn history(&self) -> Result<String, CliError> {
        let head = self.git(&["rev-parse", "HEAD"])?;
        Ok(head + &self.git(&["for-each-ref"])?)
    }

    /// What `git status --porcelain` says.
    ///
    /// # Errors
    /// Git cannot be run.
    pub fn status(&self) -> Result<String, CliError> {
        self.git(&["status", "--porcelain"])
    }
}
