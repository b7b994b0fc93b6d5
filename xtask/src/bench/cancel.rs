//! How soon a cancelled job is proved dead.

use std::time::Instant;

use super::{Figure, stats, world::World};
use crate::error::Error;

const JOBS: usize = 30;

/// What runs: a co-operative program with a child in a session of its own.
const TREE: &str = "setsid sleep 47110901 & exec sleep 47110902";

/// `convoke cancel`, from the start of the command to its answer that the job
/// is over; no process is left then.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let fresh = World::new(world.fdatasync_ms, world.quick)?;
    let mut measured = Vec::new();
    for (name, options, reach) in [
        ("graceful", &[][..], 1_000.0),
        ("forced", &["--force"][..], 300.0),
    ] {
        let mut times = Vec::new();
        for _ in 0..JOBS {
            times.push(cancelled(&fresh, options)?);
        }
        let worst = times.iter().copied().fold(0.0, f64::max);
        let name = format!("{name} `convoke cancel` until all is proved dead");
        measured.push(
            Figure::new(&format!("{name}, p50"), stats::median(&times), "ms", JOBS).reach(reach),
        );
        measured.push(Figure::new(&format!("{name}, worst"), worst, "ms", JOBS).reach(reach));
    }
    Ok(measured)
}

fn cancelled(fresh: &World, options: &[&str]) -> Result<f64, Error> {
    let environment = &fresh.environment;
    let job = environment.spawn_command(&["--access", "read"], &["sh", "-c", TREE]);
    environment.wait_state(&job, &["running"]);
    let command: Vec<&str> = ["cancel"]
        .iter()
        .chain(options)
        .copied()
        .chain([&*job])
        .collect();
    let start = Instant::now();
    environment.ok(&command);
    let time = stats::ms_since(start);
    let left: Vec<_> = environment
        .processes()
        .into_iter()
        .filter(|process| process.command.contains("471109"))
        .collect();
    if environment.state(&job) != "cancelled" || !left.is_empty() {
        return Err(Error::Unexpected {
            what: format!(
                "job {job} is {}, left are {left:?}",
                environment.state(&job)
            ),
            hint: None,
        });
    }
    Ok(time)
}
