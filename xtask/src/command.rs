//! Running programs.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{error::Error, folders};

/// Cargo, in the workspace's root: the same one that runs this task.
pub fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(folders::workspace());
    command
}

/// Runs a command that prints by itself.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(|source| Error::Start {
        command: shown(command),
        source,
    })?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Failed {
            command: shown(command),
            status,
        }),
    }
}

/// Runs a command and returns what it writes to stdout; stderr goes through.
///
/// # Errors
/// It cannot be started, or fails.
pub fn output(command: &mut Command) -> Result<String, Error> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start {
            command: shown(command),
            source,
        })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Error::Failed {
            command: shown(command),
            status: output.status,
        }),
    }
}

/// A program of this name in `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The command line for messages: the program's name and its arguments.
pub fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program
        .file_name()
        .unwrap_or(command.get_program())
        .to_owned();
    std::iter::once(name.as_os_str())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
