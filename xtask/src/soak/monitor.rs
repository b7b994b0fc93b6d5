//! Looks at the daemon while the soak goes on: memory, restarts, and a line
//! about how things stand.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::{feeder::CLIENT, stage::Stage};

/// Between two looks at the daemon.
const LOOK: Duration = Duration::from_millis(1_000);
/// Between two lines.
const TELL: Duration = Duration::from_secs(10);
/// Bytes of one MiB.
const MIB: f64 = 1024.0 * 1024.0;

/// What was seen of the daemon.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Seen {
    /// Daemons after the first one.
    pub restarts: u64,
    /// Resident memory after the first tenth of the time, MiB.
    pub early_mib: Option<f64>,
    /// The most resident memory seen, MiB.
    pub peak_mib: f64,
    /// Most jobs that lived at once.
    pub peak_live: u64,
    #[serde(skip)]
    pid: Option<i32>,
}

/// Looks until the time is over.
pub fn look(stage: &Stage) -> Seen {
    let mut seen = Seen::default();
    let length = stage.until.saturating_duration_since(stage.began);
    let early = stage.began + length / 10;
    let mut tell = Instant::now() + TELL;
    while stage.goes_on() {
        // One that was killed does not answer; the next look finds the next one.
        let status = stage.json(&["daemon", "status"]).unwrap_or_default();
        seen.take(stage, &status, Instant::now() >= early);
        if Instant::now() >= tell {
            eprintln!("{}", line(stage, &seen, &status));
            tell = Instant::now() + TELL;
        }
        let next = Instant::now() + LOOK;
        while Instant::now() < next && stage.goes_on() {
            seen.take_pid(stage.environment().daemon_pid());
            stage.rest_until((Instant::now() + LOOK / 10).min(next));
        }
    }
    seen
}

/// Resident memory by what the daemon says, MiB.
pub fn memory_mib(status: &Value) -> Option<f64> {
    status["memoryBytes"].as_f64().map(|bytes| bytes / MIB)
}

impl Seen {
    fn take(&mut self, stage: &Stage, status: &Value, is_early_over: bool) {
        if let Some(live) = live(status) {
            stage.set_live(live);
            self.peak_live = self.peak_live.max(live);
        }
        if let Some(memory) = memory_mib(status) {
            self.peak_mib = self.peak_mib.max(memory);
            if is_early_over {
                self.early_mib.get_or_insert(memory);
            }
        }
    }

    fn take_pid(&mut self, pid: Option<i32>) {
        if pid.is_some() && pid != self.pid {
            self.restarts += u64::from(self.pid.is_some());
            self.pid = pid;
        }
    }
}

fn live(status: &Value) -> Option<u64> {
    Some(status["running"].as_u64()? + status["queued"].as_u64()?)
}

fn line(stage: &Stage, seen: &Seen, status: &Value) -> String {
    let length = stage.until.saturating_duration_since(stage.began);
    let (asked, accepted) = stage.ledger.totals();
    let mut kills = stage.ledger.counts("kill: ");
    // These come with the jobs and are not among the wanted ones.
    kills.remove(CLIENT);
    let kills: u64 = kills.values().sum();
    let memory = memory_mib(status).map_or("away".to_owned(), |mib| format!("{mib:.0} MiB"));
    format!(
        "soak: {:4} of {} s; jobs: {asked} asked for, {accepted} accepted, {} live; kills: {kills} of {}; daemon: {memory}, {} restarts; failures: {}",
        stage.began.elapsed().as_secs(),
        length.as_secs(),
        stage.live(),
        stage.kills,
        seen.restarts,
        stage.ledger.failures().len(),
    )
}
