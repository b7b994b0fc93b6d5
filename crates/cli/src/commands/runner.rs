//! `convoke __runner FOLDER`: the process that keeps one agent. Only the daemon
//! starts it; nothing of the command line is touched on the way.

use std::{ffi::OsString, path::Path, process::ExitCode};

use convoke_runner::Hooks;

/// Becomes the runner of a folder.
pub fn run(folder: Option<OsString>) -> ExitCode {
    match folder {
        Some(folder) => convoke_runner::main(Path::new(&folder), Hooks::from_env()),
        None => {
            eprintln!("__runner: the folder is missing");
            ExitCode::from(2)
        }
    }
}
