//! cargo-nextest, which runs each test in a process of its own.

use std::{path::PathBuf, process::Command};

use crate::{command, error::Error, folders};

/// The version that is installed, and the oldest that will do.
const VERSION: [u32; 3] = [0, 9, 143];

/// The `cargo-nextest` program: the one in `PATH` if it is new enough, else
/// the one below `.tools`, installed there if need be (some minutes, once).
///
/// # Errors
/// It does not compile.
pub fn provide() -> Result<PathBuf, Error> {
    let local = folders::tools().join("bin/cargo-nextest");
    let found = command::find("cargo-nextest")
        .into_iter()
        .chain([local.clone()]);
    for program in found.filter(|program| program.is_file()) {
        if is_new_enough(&program) {
            return Ok(program);
        }
    }
    install()?;
    Ok(local)
}

fn install() -> Result<(), Error> {
    let package = format!(
        "cargo-nextest@{}",
        VERSION.map(|part| part.to_string()).join(".")
    );
    eprintln!(
        "    cargo-nextest is missing: building it once below {} (`cargo install --locked {package}` provides it for all projects)",
        folders::tools().display()
    );
    // Without optimisation and self-update: it only starts processes, and the
    // build takes a third of the time.
    let mut command = command::cargo(&["install", "--locked", "--debug", "--no-default-features"]);
    command.args(["--features", "default-no-update", "--root"]);
    command.arg(folders::tools()).arg(package);
    command::run(&mut command)
}

fn is_new_enough(program: &PathBuf) -> bool {
    let mut command = Command::new(program);
    let text = command::output(command.args(["nextest", "--version"]));
    text.ok()
        .and_then(|text| version(&text))
        .is_some_and(|version| version >= VERSION)
}

/// The version in `cargo-nextest 0.9.143 (…)`.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split_whitespace().nth(1)?.split(['.', '-']);
    let mut next = || parts.next()?.parse().ok();
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(
            version("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\n"),
            Some(VERSION)
        );
        assert!(version("cargo-nextest 0.9.98").unwrap() < VERSION);
        assert_eq!(version(""), None);
    }
}
