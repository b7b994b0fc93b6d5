//! What it costs a job that the versions of the files it writes are kept.

use std::time::Instant;

use super::{Figure, stats, world::World};
use crate::error::Error;

/// Pairs of jobs, one with the journal and one without.
const PAIRS: usize = 24;

/// Files that each of them writes.
const WRITTEN: usize = 1_000;

/// By how much longer, in per cent, a job may take.
const REACH_PERCENT: f64 = 5.0;

/// Jobs that write many files, one program after the other, in two worlds in turns:
/// in one of them nothing of what they write is kept in between.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let without = World::new(world.fdatasync_ms, world.quick)?;
    let config = "[workspace]\nversion_stands = \"0\"\n";
    without.environment.write_config(config);
    let written = world.scaled(WRITTEN);
    let (mut kept, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // The first ones start the daemons.
    writes(world, written, "first")?;
    writes(&without, written, "first")?;
    for pair in 0..PAIRS {
        let folder = format!("pair{pair}");
        // Whoever comes second may find the disk busy.
        let (one, other) = match pair % 2 {
            0 => {
                let one = writes(world, written, &folder)?;
                (one, writes(&without, written, &folder)?)
            }
            _ => {
                let other = writes(&without, written, &folder)?;
                (writes(world, written, &folder)?, other)
            }
        };
        kept.push(one);
        bare.push(other);
        ratios.push((one / other - 1.0) * 100.0);
    }
    let figure = |what: &str, value: f64, unit| Figure::new(what, value, unit, PAIRS);
    Ok(vec![
        figure(
            &format!("a job that writes {written} files, versions kept"),
            stats::median(&kept),
            "ms",
        ),
        figure("the same, none kept", stats::median(&bare), "ms"),
        figure("longer by", stats::median(&ratios), "%").reach(REACH_PERCENT),
    ])
}

/// Milliseconds from the request of a job until its end is told.
fn writes(world: &World, count: usize, folder: &str) -> Result<f64, Error> {
    let environment = &world.environment;
    let script = format!(
        "mkdir {folder} && for n in $(seq {count}); do seq 200 | sed \"s/$/ $n/\" > {folder}/$n; done"
    );
    let start = Instant::now();
    let job = environment.spawn_command(&[], &["sh", "-c", &script]);
    let state = environment.wait_end(&job);
    let took = stats::ms_since(start);
    match state.as_str() {
        "completed" => Ok(took),
        _ => Err(std::io::Error::other(environment.ok(&["status", &job])).into()),
    }
}
