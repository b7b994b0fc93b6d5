//! `cargo xtask soak`: the daemon, runners, agents and MCP servers are killed
//! at random moments while many jobs of every temper run; then a census says
//! whether anything was lost, doubled or left behind.
//!
//! `plan` makes the jobs out of a seed, `feeder` and `clients` ask for them,
//! `killer` kills, `monitor` looks on, `settle` waits for the end, `checks` is
//! the census, `report` tells. What they share is in `stage`, `ledger` and
//! `world`.

mod checks;
mod clients;
mod feeder;
mod killer;
mod ledger;
mod monitor;
mod no_namespaces;
mod plan;
mod random;
mod report;
mod settle;
mod stage;
mod temper;
mod world;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::Value;

use crate::{deps, error::Error};
use monitor::Seen;
use plan::Plan;
use random::Random;
use report::Report;
use stage::Stage;
use world::World;

/// Threads that ask for jobs by the command line.
const FEEDERS: u64 = 3;
/// MCP clients.
const CLIENTS: u64 = 3;
/// How long the daemon may take to give back memory.
const MEMORY_BACK_WITHIN: Duration = Duration::from_secs(20);
/// Seconds between two kills, unless their number is given.
const SECONDS_A_KILL: u64 = 3;

/// Arguments of `cargo xtask soak`
#[derive(Debug, Args)]
pub struct Soak {
    /// Go on for so many minutes
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Choose the same jobs as an earlier soak
    #[arg(long)]
    seed: Option<u64>,
    /// Keep about so many jobs alive at once
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    /// Kill so many processes over the time, and some waiting commands besides (default: one every 3 s)
    #[arg(long)]
    kills: Option<u64>,
    /// Hold agents without PID namespaces, as on systems that allow none
    #[arg(long)]
    without_namespaces: bool,
    /// Write the figures as JSON to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Soak {
    /// Runs the task.
    ///
    /// # Errors
    /// Something needed is missing, or the census finds something wrong.
    pub fn run(self) -> Result<(), Error> {
        deps::required()?;
        let seed = self.seed.unwrap_or_else(Random::any_seed);
        let mut world = World::new(self.jobs, !self.without_namespaces)?;
        println!(
            "seed {seed}, environment {}",
            world.environment.root().display()
        );
        let report = self.soak(&world, seed);
        print!("\n{}", report.tables());
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&report).map_err(|source| Error::Output {
                command: "soak".to_owned(),
                source,
            })?;
            fs_err::write(path, format!("{text}\n"))?;
            println!("\nwritten to {}", path.display());
        }
        if report.failures.is_empty() {
            world.environment.keep(false);
            println!("\nNothing was lost, doubled or left behind.");
            return Ok(());
        }
        print!("\n{}", report.troubles());
        Err(Error::Unexpected {
            what: format!(
                "the soak found {} faults (seed {seed})",
                report.failures.len()
            ),
            hint: Some(format!(
                "the environment is kept in {}",
                world.environment.root().display()
            )),
        })
    }

    fn soak(&self, world: &World, seed: u64) -> Report {
        let plan = Plan {
            seed,
            started: world.started.clone(),
            codex_path: world.codex_path.clone(),
        };
        let kills = self.kills.unwrap_or(self.minutes * 60 / SECONDS_A_KILL);
        let length = Duration::from_secs(self.minutes * 60);
        let stage = Stage::new(world, plan, kills, length);
        let seen = self.act(&stage);
        let jobs = settle::settle(&stage);
        let late = late_memory(&stage, &seen);
        let census = checks::all(&stage, &jobs);
        Report::new(&stage, &jobs, seen, late, census)
    }

    /// Lets all threads work until the time is over.
    fn act(&self, stage: &Stage) -> Seen {
        let jobs = self.jobs;
        std::thread::scope(|scope| {
            for number in 1..=FEEDERS {
                scope.spawn(move || guarded(stage, || feeder::feed(stage, number, jobs)));
            }
            for number in 1..=CLIENTS {
                let number = FEEDERS + number;
                scope.spawn(move || guarded(stage, || clients::work(stage, number)));
            }
            scope.spawn(|| guarded(stage, || feeder::cancel(stage)));
            scope.spawn(|| guarded(stage, || killer::kill_at_random(stage, 0)));
            monitor::look(stage)
        })
    }
}

/// Runs a thread's work; if it panics the soak ends early and fails, and the
/// census is made all the same.
fn guarded(stage: &Stage, work: impl FnOnce()) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        stage.break_off();
        stage.ledger.fail_at_large(format!(
            "a thread of the soak panicked: {}",
            text.unwrap_or_default()
        ));
    }
}

/// Memory of the idle daemon, once it gave back what the last jobs needed; too
/// much growth is a failure.
fn late_memory(stage: &Stage, seen: &Seen) -> Option<f64> {
    let deadline = Instant::now() + MEMORY_BACK_WITHIN;
    loop {
        let status: Value = stage.json(&["daemon", "status"]).unwrap_or_default();
        let late = monitor::memory_mib(&status);
        let ratio = report::ratio(seen, late).unwrap_or_default();
        if ratio <= 1.0 {
            return late;
        }
        if Instant::now() >= deadline {
            if ratio > report::MOST_GROWTH {
                stage.ledger.fail_at_large(format!(
                    "the daemon's memory grew to {ratio:.2} times what it was"
                ));
            }
            return late;
        }
        stage::rest(500);
    }
}
