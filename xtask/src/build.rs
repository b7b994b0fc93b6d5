//! Building our own programs.

use std::path::PathBuf;

use crate::{command, error::Error, folders};

/// Builds `convoke` for development.
///
/// # Errors
/// It does not compile.
pub fn convoke() -> Result<PathBuf, Error> {
    program("convoke-cli", "convoke")
}

/// Builds the scripted agent.
///
/// # Errors
/// It does not compile.
pub fn scripted_agent() -> Result<PathBuf, Error> {
    program("convoke-test-support", "scripted-agent")
}

/// Builds `convoke` as it is released.
///
/// # Errors
/// It does not compile.
pub fn release() -> Result<(), Error> {
    command::run(&mut command::cargo(&[
        "build",
        "--release",
        "--package",
        "convoke-cli",
        "--bin",
        "convoke",
    ]))
}

fn program(package: &str, name: &str) -> Result<PathBuf, Error> {
    command::run(&mut command::cargo(&[
        "build",
        "--package",
        package,
        "--bin",
        name,
    ]))?;
    Ok(folders::built().join(name))
}
