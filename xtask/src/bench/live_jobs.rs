//! What many live jobs cost: memory of daemon and runners, processor when
//! nothing happens.

use std::time::{Duration, Instant};

use convoke_test_support::census;

use super::{Figure, stats, world::World};
use crate::error::Error;

const JOBS: usize = 200;
const IDLE: Duration = Duration::from_secs(10);
/// The start of so many jobs is made up for by then.
const AT_REST_AFTER: Duration = Duration::from_secs(5);

/// Measures with all of them running.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let count = world.scaled(JOBS);
    world
        .environment
        .write_config("[limits]\ntotal = 1000\nreaders = 1000\nwriters = 1000\n");
    for _ in 0..count {
        world.environment.spawn_command(&[], &["sleep", "100000"]);
    }
    World::wait_until(|| world.load() == (count as u64, 0) && runners(world).len() >= 2 * count);
    let daemon = world.environment.daemon_pid().unwrap_or(0);
    let pids = runners(world);
    let private: Vec<f64> = pids.iter().map(|pid| World::private_mib(*pid)).collect();
    // Each job has a runner and, in a namespace, its init.
    let per_job = private.iter().sum::<f64>() / count as f64;
    let started = Instant::now();
    World::wait_until(|| started.elapsed() >= AT_REST_AFTER);
    let used = || {
        let runners = pids.iter().map(|pid| World::thread_cpu_ms(*pid));
        World::cpu_ms(daemon) + runners.sum::<f64>()
    };
    let before = used();
    let start = Instant::now();
    World::wait_until(|| start.elapsed() >= IDLE);
    let after = used();
    let busy = (after - before) / stats::ms_since(start) * 100.0;
    let memory = World::resident_mib(daemon);
    world.environment.ok(&["daemon", "stop", "--jobs"]);
    Ok(vec![
        Figure::new(
            &format!("{count} live jobs: daemon (RSS)"),
            memory,
            "MiB",
            1,
        )
        .reach(60.0),
        Figure::new(
            &format!("{count} live jobs: private memory per process, median"),
            stats::median(&private),
            "MiB",
            private.len(),
        )
        .reach(0.5),
        Figure::new(
            &format!("{count} live jobs: private memory per job (runner + init)"),
            per_job,
            "MiB",
            count,
        )
        .reach(0.5),
        Figure::new(
            &format!("{count} live jobs: share of one core over 10 s idle"),
            busy,
            "%",
            1,
        )
        .reach(0.5),
    ])
}

/// The runners and their inits.
fn runners(world: &World) -> Vec<i32> {
    let all = census::of_folder(world.environment.root());
    all.into_iter()
        .filter(|process| process.command.contains(" __runner "))
        .map(|process| process.pid)
        .collect()
}
