//! How soon a job is durably accepted, and how soon its end wakes the caller.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use convoke_test_support::mcp_client::McpClient;
use serde_json::json;

use super::{Figure, stats, world::World};
use crate::error::Error;

const JOBS: usize = 200;
const FIRST: usize = 10;

/// `codex_spawn` over MCP: with a daemon, and the first one without.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let mut fresh = World::new(world.fdatasync_ms, world.quick)?;
    fresh.use_instant_agent()?;
    let mut first = Vec::new();
    for _ in 0..FIRST {
        let mut client = McpClient::start(&fresh.environment, &[], "bench");
        let start = Instant::now();
        let spawned = client.call_ok("codex_spawn", json!({"prompt": "x"}));
        first.push(stats::ms_since(start));
        wait(&mut client, &spawned["jobId"]);
        fresh.environment.ok(&["daemon", "stop"]);
    }
    let mut client = McpClient::start(&fresh.environment, &[], "bench");
    // With the daemon at rest, and while it settles the job before.
    let (mut times, mut busy) = (Vec::new(), Vec::new());
    for number in 0..2 * fresh.scaled(JOBS) {
        let start = Instant::now();
        let spawned = client.call_ok("codex_spawn", json!({"prompt": "x"}));
        let at_rest = number % 2 == 0;
        let times = if at_rest { &mut times } else { &mut busy };
        times.push(stats::ms_since(start));
        wait(&mut client, &spawned["jobId"]);
        if !at_rest {
            fresh.settled(spawned["jobId"].as_str().unwrap_or_default());
        }
    }
    let f = world.fdatasync_ms;
    Ok(vec![
        Figure::new(
            "codex_spawn answered as soon as another job ended, p50",
            stats::median(&busy),
            "ms",
            busy.len(),
        ),
        Figure::new(
            "codex_spawn answered, p50",
            stats::median(&times),
            "ms",
            times.len(),
        )
        .reach_with_disk(2.0, 2.0, f),
        Figure::new(
            "codex_spawn answered, p99",
            stats::percentile(&times, 0.99),
            "ms",
            times.len(),
        )
        .reach_with_disk(10.0, 4.0, f),
        Figure::new(
            "first codex_spawn, no daemon running",
            stats::median(&first),
            "ms",
            first.len(),
        )
        .reach(100.0),
    ])
}

/// From the runner's exit stamp to the answer of `codex_wait_any`.
pub fn measure_wake(world: &World) -> Result<Vec<Figure>, Error> {
    let mut fresh = World::new(world.fdatasync_ms, world.quick)?;
    // No agent ends while its start is still being made up for.
    fresh.use_agent("sleep 0.05")?;
    let mut client = McpClient::start(&fresh.environment, &[], "bench");
    let mut times = Vec::new();
    for _ in 0..fresh.scaled(JOBS) {
        let spawned = client.call_ok("codex_spawn", json!({"prompt": "x"}));
        wait(&mut client, &spawned["jobId"]);
        let answered = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64()
            * 1000.0;
        let job = spawned["jobId"].as_str().unwrap_or_default();
        let record = fresh.exit_record(job)?;
        let part = |name: &str| record[name].as_f64().unwrap_or(f64::NAN);
        times.push(answered - part("wall_ms") - part("wall_us") / 1000.0);
    }
    Ok(vec![
        Figure::new(
            "runner's exit stamp → codex_wait_any answers, p50",
            stats::median(&times),
            "ms",
            times.len(),
        )
        .reach_with_disk(2.0, 3.0, world.fdatasync_ms),
    ])
}

fn wait(client: &mut McpClient, job: &serde_json::Value) {
    client.call_ok(
        "codex_wait_any",
        json!({"jobIds": [job], "timeoutMs": 30_000}),
    );
}
