//! `cargo xtask sim`: the random histories of the test suite, as many as asked.

use crate::{
    command::{cargo, run},
    error::Error,
    steps::Steps,
};

/// The tests' own variables; see `crates/core/tests/histories.rs`.
const COUNT_VARIABLE: &str = "CONVOKE_HISTORIES";
const FIRST_VARIABLE: &str = "CONVOKE_FIRST_HISTORY";
const ONE_VARIABLE: &str = "CONVOKE_HISTORY";

/// The tests, optimised but with all checks of arithmetic.
const TESTS: [&str; 7] = [
    "test",
    "--profile",
    "fuzz",
    "--package",
    "convoke-core",
    "--test",
    "histories",
];

/// Check random histories of jobs, crashes and clock jumps against the oracle
#[derive(Debug, clap::Args)]
pub struct Sim {
    /// Check so many histories of each profile
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// Begin with this seed; the test suite checks those from 0 on
    #[arg(long, default_value_t = 5_200)]
    first: u64,
    /// Check this one history only
    #[arg(long, value_name = "PROFILE:SEED", conflicts_with_all = ["seeds", "first"])]
    only: Option<String>,
}

impl Sim {
    /// Runs the task.
    ///
    /// # Errors
    /// A history breaks a rule; it is printed, shortened, with its seed.
    pub fn run(self) -> Result<(), Error> {
        let steps = Steps::begin();
        steps.step("build", || run(cargo(&TESTS).arg("--no-run")))?;
        steps.last("histories", || {
            let mut command = cargo(&TESTS);
            command.args(["--quiet"]);
            match &self.only {
                Some(name) => command.env(ONE_VARIABLE, name),
                None => command
                    .env(COUNT_VARIABLE, self.seeds.to_string())
                    .env(FIRST_VARIABLE, self.first.to_string()),
            };
            run(&mut command)
        })
    }
}
