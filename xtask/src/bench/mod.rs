//! `cargo xtask bench`: measures what users feel, as ratios to the disk's own
//! fdatasync and to the bare agent in the same run.
//!
//! It prints a table, keeps the figures as JSON and never fails for being slow.

mod cancel;
mod checkpoint;
mod events;
mod journal;
mod live_jobs;
mod mcp_start;
mod overhead;
mod overlay;
mod restart;
mod spawn;
mod stats;
mod steady_memory;
mod worktree;
mod world;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::{build, error::Error, folders};
use world::World;

/// Arguments of `cargo xtask bench`
#[derive(Debug, Args)]
pub struct Bench {
    /// Run only the measurements whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Use less time and disk: a tenth of the events, jobs and journals
    #[arg(long)]
    quick: bool,
    /// Write the figures as JSON to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// The measured value.
    pub value: f64,
    /// Its unit: `ms`, `MiB`, `%`.
    pub unit: &'static str,
    /// What is to be reached, in the same unit.
    pub reach: Option<f64>,
    /// How that was computed, if it depends on the disk.
    pub formula: Option<String>,
    /// Number of samples.
    pub samples: usize,
}

impl Figure {
    fn new(what: &str, value: f64, unit: &'static str, samples: usize) -> Self {
        Self {
            what: what.to_owned(),
            value,
            unit,
            reach: None,
            formula: None,
            samples,
        }
    }

    fn reach(mut self, reach: f64) -> Self {
        self.reach = Some(reach);
        self
    }

    /// The goal is `base` milliseconds and so many times the disk's fdatasync.
    fn reach_with_disk(mut self, base: f64, times: f64, fdatasync_ms: f64) -> Self {
        self.reach = Some(base + times * fdatasync_ms);
        self.formula = Some(format!("{base} + {times}·f"));
        self
    }
}

type Measure = fn(&World) -> Result<Vec<Figure>, Error>;

/// The measurements, in the order in which they run.
const MEASURES: [(&str, Measure); 13] = [
    ("mcp-start", mcp_start::measure),
    ("spawn", spawn::measure),
    ("wake", spawn::measure_wake),
    ("overhead", overhead::measure),
    ("cancel", cancel::measure),
    ("live-jobs", live_jobs::measure),
    ("events", events::measure),
    ("steady-memory", steady_memory::measure),
    ("checkpoint", checkpoint::measure),
    ("worktree", worktree::measure),
    ("overlay", overlay::measure),
    ("journal", journal::measure),
    ("restart", restart::measure),
];

impl Bench {
    /// Measures and reports.
    pub fn run(self) -> Result<(), Error> {
        build::release()?;
        let machine = stats::machine();
        println!("{machine}");
        let fdatasync = stats::fdatasync_ms()?;
        println!("f, one fdatasync: {fdatasync:.3} ms (median)\n");
        let mut figures = Vec::new();
        for (name, measure) in MEASURES {
            if self
                .only
                .as_ref()
                .is_some_and(|only| !name.contains(only.as_str()))
            {
                continue;
            }
            eprintln!("measuring {name} …");
            let world = World::new(fdatasync, self.quick)?;
            let measured = measure(&world)?;
            for figure in &measured {
                print(figure);
            }
            figures.extend(measured);
        }
        let path = self
            .json
            .unwrap_or_else(|| folders::workspace().join("target/bench.json"));
        let report = serde_json::json!({"machine": machine, "fdatasync_ms": fdatasync, "quick": self.quick, "figures": figures});
        fs_err::write(&path, format!("{report:#}\n"))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }
}

fn print(figure: &Figure) {
    let goal = match (figure.reach, &figure.formula) {
        (Some(reach), Some(formula)) => format!("{reach:9.3} ({formula})"),
        (Some(reach), None) => format!("{reach:9.3}"),
        (None, _) => "        –".to_owned(),
    };
    let ratio = figure.reach.map_or_else(String::new, |reach| {
        format!("  ratio {:.2}", figure.value / reach)
    });
    println!(
        "{:62} {:10.3} {:3}  reach {goal}{ratio}  n={}",
        figure.what, figure.value, figure.unit, figure.samples
    );
}
