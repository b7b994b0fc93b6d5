//! `convoke daemon status`: show the daemon.

use convoke_api::daemon::DaemonView;
use jiff::Timestamp;

use crate::{context::Context, error::CliError, exit_code::End, output::time, runtime};

/// Arguments of `convoke daemon status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with 6 when no daemon runs. None is started.")]
pub struct Status {}

impl Status {
    /// Shows the daemon.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect_to_running()?;
        let daemon = runtime::block_on(async { connection.daemon().await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&daemon)?;
        } else {
            printer.line(&words(&daemon, Timestamp::now()))?;
        }
        Ok(End::Success)
    }
}

fn words(daemon: &DaemonView, now: Timestamp) -> String {
    let memory = daemon
        .memory_bytes
        .map(|bytes| format!("\nmemory   {}", time::bytes(bytes)));
    format!(
        "process  {}\nversion  {}\nstarted  {} ({} ago)\nhome     {}\nsocket   {}\njobs     {} running, {} queued{}",
        daemon.pid,
        daemon.version,
        daemon.started_at,
        time::age(&daemon.started_at, now),
        daemon.home,
        daemon.socket,
        daemon.running,
        daemon.queued,
        memory.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon() {
        let daemon: DaemonView = serde_json::from_value(serde_json::json!({
            "pid": 42, "version": "0.1.0", "startedAt": "2026-01-01T00:00:00Z", "home": "/h",
            "socket": "/h/run/0a1b2c3d", "running": 2, "queued": 1, "attached": 2,
            "memoryBytes": 12 << 20,
        }))
        .unwrap();
        let now = "2026-01-01T03:00:00Z".parse().unwrap();
        insta::assert_snapshot!(words(&daemon, now), @r"
        process  42
        version  0.1.0
        started  2026-01-01T00:00:00Z (3h ago)
        home     /h
        socket   /h/run/0a1b2c3d
        jobs     2 running, 1 queued
        memory   12 MiB
        ");
    }
}
