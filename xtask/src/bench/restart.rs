//! How soon a restarted daemon serves, and how soon it has taken up every live
//! job.

use std::time::Instant;

use super::{Figure, stats, world::World};
use crate::error::Error;

const FINISHED: usize = 10_000;
const LIVE: usize = 100;
const JOURNAL_BYTES: usize = 100 * 1024 * 1024;
const RESTARTS: usize = 5;

/// Fills a state home, then kills and restarts the daemon.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let (finished, live, journal) = (
        world.scaled(FINISHED),
        world.scaled(LIVE),
        world.scaled(JOURNAL_BYTES),
    );
    world.environment.write_config(
        "[limits]\ntotal = 1000\nreaders = 1000\nwriters = 1000\nqueue = 100000\noutput = \"0\"\n",
    );
    finish_many(world, finished)?;
    let script =
        format!("head -c {journal} /dev/zero | tr '\\0' x | fold -w 60000; exec sleep 100000");
    for _ in 0..live {
        world.environment.spawn_command(&[], &["sh", "-c", &script]);
    }
    let total = (live * journal) as u64;
    World::wait_until(|| {
        journals(world) >= total && world.load().0 == live as u64 && settled(world)
    });
    let (mut serving, mut adopted) = (Vec::new(), Vec::new());
    for _ in 0..RESTARTS {
        world.environment.kill_daemon();
        let start = Instant::now();
        world.environment.ok(&["daemon", "start"]);
        serving.push(stats::ms_since(start));
        World::wait_until(|| all_connected(world, live));
        adopted.push(stats::ms_since(start));
    }
    world.environment.ok(&["daemon", "stop", "--jobs"]);
    Ok(vec![
        Figure::new(
            &format!("restart with {finished} finished and {live} live jobs → serves"),
            stats::median(&serving),
            "ms",
            RESTARTS,
        )
        .reach(500.0),
        Figure::new(
            "… → all live jobs taken up",
            stats::median(&adopted),
            "ms",
            RESTARTS,
        )
        .reach(2000.0),
    ])
}

fn finish_many(world: &World, count: usize) -> Result<(), Error> {
    // Started by one client each hundred at once, so that it takes minutes and
    // not an hour.
    let mut started = 0;
    while started < count {
        let batch = (count - started).min(100);
        let mut children = Vec::new();
        for _ in 0..batch {
            let mut command = world.environment.convoke(&["spawn", "--", "true"]);
            children.push(
                command
                    .stdout(std::process::Stdio::null())
                    .stderr(std::process::Stdio::null())
                    .spawn()?,
            );
        }
        for mut child in children {
            child.wait()?;
        }
        started += batch;
        World::wait_until(|| world.load() == (0, 0));
    }
    Ok(())
}

fn journals(world: &World) -> u64 {
    let Ok(runners) = fs_err::read_dir(world.environment.state_home().join("runners")) else {
        return 0;
    };
    runners
        .filter_map(Result::ok)
        .filter_map(|entry| fs_err::metadata(entry.path().join("journal")).ok())
        .map(|meta| meta.len())
        .sum()
}

/// Whether the daemon has read everything: its processor time stands still.
fn settled(world: &World) -> bool {
    let daemon = world.environment.daemon_pid().unwrap_or(0);
    let before = World::cpu_ms(daemon);
    let start = Instant::now();
    World::wait_until(|| start.elapsed().as_millis() > 3_000);
    World::cpu_ms(daemon) - before < 100.0
}

/// Whether every live job's agent is known to the daemon again.
fn all_connected(world: &World, live: usize) -> bool {
    let status = world.environment.json(&["daemon", "status"]);
    status["attached"].as_u64() == Some(live as u64)
}
