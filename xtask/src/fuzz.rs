//! `cargo xtask fuzz`: the fuzz targets of the test suite, for as long as
//! asked and with new inputs each time.

use std::{
    num::NonZero,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    command::{cargo, output, run},
    error::Error,
    steps::Steps,
};

/// The targets' own variables; see `crates/fuzz/tests/targets/harness.rs`.
const SEED_VARIABLE: &str = "CONVOKE_FUZZ_SEED";
const SECONDS_VARIABLE: &str = "CONVOKE_FUZZ_SECONDS";

/// The targets, optimised but with all checks of arithmetic.
const TARGETS: [&str; 7] = [
    "test",
    "--profile",
    "fuzz",
    "--package",
    "convoke-fuzz",
    "--test",
    "targets",
];

/// Run the fuzz targets for long, with new inputs each time
#[derive(Debug, clap::Args)]
pub struct Fuzz {
    /// Run so many minutes in all
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Run only the targets whose name contains this
    #[arg(long, value_name = "NAME", default_value = "")]
    target: String,
    /// Begin with this seed instead of one of the present time
    #[arg(long)]
    seed: Option<u64>,
}

impl Fuzz {
    /// Runs the task.
    ///
    /// # Errors
    /// There is no such target, or one fails.
    pub fn run(self) -> Result<(), Error> {
        let steps = Steps::begin();
        steps.step("build", || run(cargo(&TARGETS).arg("--no-run")))?;
        let listed = output(cargo(&TARGETS).args(["--quiet", "--", &self.target, "--list"]))?;
        let targets = listed.lines().filter(|line| line.ends_with(": test"));
        let seconds = self.seconds_each(targets.count() as u64)?;
        let seed = self.seed.unwrap_or_else(now);
        eprintln!("    seed {seed}, {seconds} s a target");
        steps.last("targets", || {
            let mut command = cargo(&TARGETS);
            command
                .args(["--quiet", "--", &self.target, "--show-output"])
                .env(SEED_VARIABLE, seed.to_string())
                .env(SECONDS_VARIABLE, seconds.to_string());
            run(&mut command)
        })
    }

    /// The time of one target, when as many run at once as there are cores.
    fn seconds_each(&self, targets: u64) -> Result<u64, Error> {
        if targets == 0 {
            return Err(Error::Unexpected {
                what: format!("no fuzz target has `{}` in its name", self.target),
                hint: Some("the targets are the tests of `crates/fuzz`".to_owned()),
            });
        }
        let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let rounds = targets.div_ceil(cores);
        Ok((self.minutes * 60 / rounds).max(1))
    }
}

/// The present time as a number, different each time.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
