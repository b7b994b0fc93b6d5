//! `cargo xtask test`: everything that must hold for a commit.

use std::{path::PathBuf, process::Command};

use convoke_test_support::codex::{CODEX_VARIABLE, WITHOUT_CODEX_VARIABLE};

use crate::{
    command::{cargo, run},
    deps,
    error::Error,
    folders, schemas,
    steps::Steps,
    tools,
};

/// Selects the tests that need no real Codex.
const WITHOUT_CODEX_FILTER: &str = "not test(/real_codex/)";

/// Check everything: format, lints, generated files, tests
#[derive(Debug, clap::Args)]
pub struct Test {}

impl Test {
    /// Runs the task. Its last output is the test runner's summary.
    ///
    /// # Errors
    /// A check or test fails; later ones are not run then.
    pub fn run(self) -> Result<(), Error> {
        let steps = Steps::begin();
        steps.step("programs of the machine", deps::required)?;
        steps.step("format", || run(&mut cargo(&["fmt", "--all", "--check"])))?;
        steps.step("lints", lints)?;
        let nextest = steps.step("test runner", tools::nextest::provide)?;
        let codex = steps.step("real Codex", real_codex)?;
        steps.step("build", || {
            run(nextest_run(&nextest, codex.as_ref()).arg("--no-run"))
        })?;
        // Built by the step before.
        let convoke = folders::built().join("convoke");
        steps.step("generated files", || schemas::check(&convoke))?;
        steps.step("documentation tests", || {
            run(&mut cargo(&["test", "--quiet", "--doc", "--workspace"]))
        })?;
        if codex.is_none() {
            warn_without_codex();
        }
        steps.last("tests", || run(&mut nextest_run(&nextest, codex.as_ref())))
    }
}

fn lints() -> Result<(), Error> {
    let arguments = ["clippy", "--quiet", "--workspace", "--all-targets"];
    run(cargo(&arguments).args(["--", "-D", "warnings"]))
}

/// Codex, installed from the lockfile; none without Node. An installation that
/// fails where there is Node is an error: the tests are not to be skipped.
fn real_codex() -> Result<Option<PathBuf>, Error> {
    if let Err(error) = deps::node() {
        crate::report(&error);
        return Ok(None);
    }
    tools::codex::install().map(Some)
}

fn nextest_run(nextest: &PathBuf, codex: Option<&PathBuf>) -> Command {
    let mut command = Command::new(nextest);
    command
        .args(["nextest", "run", "--workspace"])
        .current_dir(folders::workspace());
    match codex {
        Some(program) => command
            .env(CODEX_VARIABLE, program)
            .env_remove(WITHOUT_CODEX_VARIABLE),
        None => command
            .env(WITHOUT_CODEX_VARIABLE, "1")
            .args(["--filterset", WITHOUT_CODEX_FILTER]),
    };
    command
}

fn warn_without_codex() {
    let line = "!".repeat(72);
    eprintln!("{line}");
    eprintln!("!! There is no real Codex on this machine (see the step \"real Codex\").");
    eprintln!("!! The tests that need one are SKIPPED: this run proves less.");
    eprintln!("{line}");
}
