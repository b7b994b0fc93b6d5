//! How soon `convoke mcp` answers `tools/list`, and its memory.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
    time::Instant,
};

use super::{Figure, stats, world::World};
use crate::error::Error;

const STARTS: usize = 40;

/// Measures with and without a daemon.
pub fn measure(world: &World) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    let (without, memory) = start_many(world)?;
    figures.push(
        Figure::new(
            "`convoke mcp` start → tools/list, no daemon",
            stats::median(&without),
            "ms",
            STARTS,
        )
        .reach(8.0),
    );
    world.environment.ok(&["daemon", "start"]);
    let (with, _) = start_many(world)?;
    figures.push(
        Figure::new(
            "`convoke mcp` start → tools/list, daemon running",
            stats::median(&with),
            "ms",
            STARTS,
        )
        .reach(8.0),
    );
    figures.push(
        Figure::new(
            "memory of one `convoke mcp` (RSS)",
            stats::median(&memory),
            "MiB",
            STARTS,
        )
        .reach(10.0),
    );
    Ok(figures)
}

fn start_many(world: &World) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let start = Instant::now();
        let mut child = world
            .environment
            .convoke(&["mcp"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut line = String::new();
        stdin.write_all(HELLO.as_bytes())?;
        stdout.read_line(&mut line)?;
        stdin.write_all(LIST.as_bytes())?;
        line.clear();
        stdout.read_line(&mut line)?;
        times.push(stats::ms_since(start));
        memory.push(World::resident_mib(i32::try_from(child.id()).unwrap_or(0)));
        drop(stdin);
        child.wait()?;
    }
    Ok((times, memory))
}

const HELLO: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#,
    "\n",
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    "\n"
);
const LIST: &str = concat!(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#, "\n");
