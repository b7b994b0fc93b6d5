//! Whether the daemon's memory stays where it is when job after job goes
//! through it.

use super::{Figure, world::World};
use crate::error::Error;

/// Jobs in all, and jobs in line at once.
const JOBS: usize = 5_000;
const BATCH: usize = 50;

/// The daemon's memory after the first fifth of the jobs and after all, which
/// go through in batches.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let mut fresh = World::new(world.fdatasync_ms, world.quick)?;
    fresh.use_instant_agent()?;
    let environment = &fresh.environment;
    environment.ok(&["daemon", "start"]);
    let daemon = environment.daemon_pid().unwrap_or(0);
    let batches = fresh.scaled(JOBS) / BATCH;
    let mut early = 0.0;
    for batch in 0..batches {
        if batch == batches / 5 {
            early = World::resident_mib(daemon);
        }
        let jobs: Vec<String> = (0..BATCH)
            .map(|_| environment.ok(&["spawn", "-s", "read-only", "x"]))
            .collect();
        let wait: Vec<&str> = ["wait", "--all"]
            .into_iter()
            .chain(jobs.iter().map(|job| job.trim()))
            .collect();
        environment.ok(&wait);
    }
    let late = World::resident_mib(daemon);
    let count = batches * BATCH;
    Ok(vec![
        Figure::new(
            "daemon after a fifth of the jobs (RSS)",
            early,
            "MiB",
            count / 5,
        ),
        Figure::new("daemon after all of them (RSS)", late, "MiB", count).reach(early * 1.1),
    ])
}
