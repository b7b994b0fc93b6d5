//! What a turn of real Codex costs more under convoke than bare: the same
//! command line, environment and prompt, in pairs.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Instant,
};

use super::{Figure, stats, world::World};
use crate::error::Error;

const PAIRS: usize = 40;

/// Runs the pairs.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let prompt = world.no_op_prompt();
    // The first turn teaches the daemon about Codex, and us the command line.
    let job = world.environment.ok(&["spawn", &prompt]);
    world.environment.wait_end(&job);
    let spec = fs_err::read_to_string(
        world
            .environment
            .state_home()
            .join(format!("runners/{job}.1/spec.json")),
    )?;
    let spec: serde_json::Value = serde_json::from_str(&spec).map_err(|source| Error::Output {
        command: "spec.json".into(),
        source,
    })?;
    let argv: Vec<String> =
        serde_json::from_value(spec["argv"].clone()).map_err(|source| Error::Output {
            command: "spec.json".into(),
            source,
        })?;
    let (mut bare, mut under, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let alone = run_bare(world, &argv, &prompt)?;
        let start = Instant::now();
        let ran = world.environment.run(&["run", &prompt]);
        let ours = stats::ms_since(start);
        assert!(ran.success(), "a turn under convoke failed: {ran}");
        bare.push(alone);
        under.push(ours);
        added.push(ours - alone);
    }
    Ok(vec![
        Figure::new(
            "no-op `codex exec`, bare",
            stats::median(&bare),
            "ms",
            PAIRS,
        ),
        Figure::new(
            "no-op `codex exec` under `convoke run`",
            stats::median(&under),
            "ms",
            PAIRS,
        ),
        Figure::new(
            "added by convoke, median of pairs",
            stats::median(&added),
            "ms",
            PAIRS,
        )
        .reach_with_disk(12.0, 6.0, world.fdatasync_ms),
    ])
}

fn run_bare(world: &World, argv: &[String], prompt: &str) -> Result<f64, Error> {
    let start = Instant::now();
    let mut command: Command = world.environment.command(&argv[0]);
    let mut child = command
        .args(&argv[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    child
        .stdin
        .take()
        .expect("stdin is a pipe")
        .write_all(prompt.as_bytes())?;
    let status = child.wait()?;
    assert!(status.success(), "a bare turn failed: {status}");
    Ok(stats::ms_since(start))
}
