//! The census: what must hold when everything has settled.

mod events;
mod jobs;
mod leftovers;
mod outcomes;
mod secrets;

use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use super::stage::Stage;

/// One check and what it found.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// What must hold.
    pub what: &'static str,
    /// How many things were looked at.
    pub looked_at: usize,
    /// How many failures were found.
    pub wrong: usize,
}

/// A check: it writes down what is wrong and answers how much it looked at.
type Check = fn(&Stage, &[Value]) -> usize;

/// Checks made while the daemon still runs.
const WITH_DAEMON: [(&str, Check); 5] = [
    ("each key has one job, and it is over", jobs::keys),
    ("kills and agents explain each outcome", outcomes::explained),
    ("no more starts of agents than attempts", jobs::starts),
    ("events are whole, with one end", events::whole),
    ("printed lines came once and in order", events::lines),
];

/// Checks made after it was stopped.
const WITHOUT_DAEMON: [(&str, Check); 3] = [
    ("no process is left", leftovers::processes),
    ("no mount is left", leftovers::mounts),
    ("no secret is left on disk", secrets::nowhere),
];

/// Checks the settled jobs; stops the daemon in between.
pub fn all(stage: &Stage, jobs: &[Value]) -> Vec<Checked> {
    let mut checked = run(stage, jobs, &WITH_DAEMON);
    match stage.run(&["daemon", "stop"]) {
        Ok(ran) if ran.success() => {}
        Ok(ran) => stage.ledger.fail_at_large(format!("daemon stop: {ran}")),
        Err(error) => stage.ledger.fail_at_large(error),
    }
    checked.extend(run(stage, jobs, &WITHOUT_DAEMON));
    checked
}

fn run(stage: &Stage, jobs: &[Value], checks: &[(&'static str, Check)]) -> Vec<Checked> {
    checks
        .iter()
        .map(|(what, check)| {
            let began = Instant::now();
            let before = stage.ledger.failures().len();
            let looked_at = check(stage, jobs);
            let seconds = began.elapsed().as_secs_f64();
            eprintln!("soak: checked in {seconds:.1} s: {what}");
            Checked {
                what,
                looked_at,
                wrong: stage.ledger.failures().len() - before,
            }
        })
        .collect()
}
