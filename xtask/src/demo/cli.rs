//! The `convoke` program, asked for JSON.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use convoke_api::job::{JobView, JobsPage};
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::scratch::Scratch;
use crate::{command, error::Error};

/// Runs `convoke` in the scratch folder's environment.
#[derive(Debug)]
pub struct Cli<'a> {
    program: PathBuf,
    scratch: &'a Scratch,
}

impl<'a> Cli<'a> {
    /// Uses this program.
    pub fn new(program: PathBuf, scratch: &'a Scratch) -> Self {
        Self { program, scratch }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What a command prints with `--format json`. Its exit code may say how a
    /// job ended and is no error as long as there is output.
    ///
    /// # Errors
    /// It prints nothing, or something else.
    pub async fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, Error> {
        let mut command = std::process::Command::new(&self.program);
        command
            .args(["--format", "json"])
            .args(arguments)
            .env_clear()
            .envs(self.scratch.environment())
            .current_dir(self.scratch.repository())
            .stdin(Stdio::null());
        let shown = command::shown(&command);
        let output = Command::from(command).kill_on_drop(true).output().await;
        let output = output.map_err(|source| Error::Start {
            command: shown.clone(),
            source,
        })?;
        if output.stdout.is_empty() && !output.status.success() {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            return Err(Error::Failed {
                command: shown,
                status: output.status,
            });
        }
        serde_json::from_slice(&output.stdout).map_err(|source| Error::Output {
            command: shown,
            source,
        })
    }

    /// All jobs, in the order of their acceptance; none before there is a
    /// daemon.
    ///
    /// # Errors
    /// They cannot be listed.
    pub async fn jobs(&self) -> Result<Vec<JobView>, Error> {
        if !self.has_daemon() {
            return Ok(Vec::new());
        }
        let page: JobsPage = self.json(&["ps"]).await?;
        Ok(page.jobs.into_iter().rev().collect())
    }

    /// Ends all jobs and the daemon.
    fn stop(&self) -> Result<(), Error> {
        if !self.has_daemon() {
            return Ok(());
        }
        let mut command = std::process::Command::new(&self.program);
        command
            .args(["daemon", "stop", "--jobs"])
            .env_clear()
            .envs(self.scratch.environment())
            .current_dir(self.scratch.repository())
            .stdin(Stdio::null());
        command::output(&mut command).map(drop)
    }

    fn has_daemon(&self) -> bool {
        self.scratch.state().join("daemon.json").exists()
    }
}

/// Whatever happened, a panic included: no process is left behind.
impl Drop for Cli<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            crate::report(&error);
        }
    }
}
