//! Starts the runner of an attempt.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use convoke_core::runner_protocol::{RUNNER_ARG, RunnerSpec, paths};

/// A runner that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RunnerStartError {
    /// Its description cannot be written.
    #[error("cannot write {}", path.display())]
    WriteSpec {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its lock cannot be taken.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its process cannot be started.
    #[error("cannot start {} as a runner", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Writes the runner's description. Not synced: what a power loss can tear is
/// told by the missing `runner.json`.
///
/// # Errors
/// The file cannot be written.
pub fn write_spec(folder: &Path, spec: &RunnerSpec) -> Result<(), RunnerStartError> {
    let path = folder.join(paths::SPEC);
    let bytes = serde_json::to_vec(spec).expect("a spec holds only strings and numbers");
    let written = crate::private_file::write(&path, &bytes);
    written.map_err(|source| RunnerStartError::WriteSpec { path, source })
}

/// Starts the runner with the locked description as its stdin, in no
/// environment, and sees to it that it is reaped.
///
/// # Errors
/// The process cannot be started; the lock is free again then.
pub fn spawn(program: &Path, folder: &Path, lock: File) -> Result<(), RunnerStartError> {
    let mut command = tokio::process::Command::new(crate::image::own_image(program));
    command
        .arg0(program)
        .arg(RUNNER_ARG)
        .arg(folder)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(lock))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(false);
    for (name, value) in std::env::vars_os().filter(|(name, _)| is_test_hook(name)) {
        command.env(name, value);
    }
    let mut child = command.spawn().map_err(|source| RunnerStartError::Spawn {
        path: program.to_owned(),
        source,
    })?;
    // Not tracked: it ends with the runner, which may outlive the daemon.
    tokio::spawn(async move {
        let _ = child.wait().await;
    });
    Ok(())
}

/// Test hooks reach the runner through the daemon; programs built without them
/// ignore the variable.
fn is_test_hook(name: &std::ffi::OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with("CONVOKE_TEST_"))
}
