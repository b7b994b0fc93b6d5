//! What jobs came to: only what their agents, the kills and the cancellations
//! can bring about.

use serde_json::Value;

use crate::soak::{ledger::Entry, stage::Stage};

/// A runner was killed.
const LOST: &str = "lost";
/// An agent failed by itself, or was killed.
const AGENT_FAILED: &str = "agent_failed";

/// Each job by itself, then their numbers against those of the kills.
pub fn explained(stage: &Stage, jobs: &[Value]) -> usize {
    let (mut lost, mut killed) = (0, 0);
    let entries = stage.ledger.by_key();
    for job in jobs {
        let Some(entry) = job["label"].as_str().and_then(|label| entries.get(label)) else {
            continue;
        };
        if let Err(what) = outcome(stage, entry, job) {
            stage.ledger.fail(&entry.job, job["jobId"].as_str(), what);
        }
        match job["code"].as_str() {
            Some(LOST) => lost += 1,
            Some(AGENT_FAILED) if entry.job.temper.may_complete() => killed += 1,
            _ => {}
        }
    }
    let kills = stage.ledger.counts("kill: ");
    let count = |kind: &str| kills.get(kind).copied().unwrap_or(0);
    let (runners, agents) = (count("runner"), count("agent") + count("namespace init"));
    if lost > runners {
        let what = format!("{lost} jobs lost their runner, and {runners} runners were killed");
        stage.ledger.fail_at_large(what);
    }
    if killed > agents {
        let what = format!("{killed} agents failed that do not, and {agents} were killed");
        stage.ledger.fail_at_large(what);
    }
    jobs.len()
}

fn outcome(stage: &Stage, entry: &Entry, job: &Value) -> Result<(), String> {
    let temper = entry.job.temper;
    let code = job["code"].as_str().unwrap_or_default();
    let leftovers = job["leftovers"].as_array().map_or(0, Vec::len);
    if leftovers > 0 {
        let left = &job["leftovers"];
        return Err(format!("processes of it could not be ended: {left}"));
    }
    let id = job["jobId"].as_str().unwrap_or_default();
    let fits = match job["state"].as_str() {
        Some("completed") => temper.may_complete(),
        Some("cancelled") => stage.ledger.was_cancelled(id),
        Some("failed") => match code {
            LOST | AGENT_FAILED => true,
            "needs_failed" => entry.job.needs > 0,
            "stalled" => temper.falls_silent(),
            _ => false,
        },
        // That it is not over is told elsewhere.
        _ => true,
    };
    match fits {
        true => Ok(()),
        false => Err(format!(
            "it is {} {code}, which nothing explains: {}",
            job["state"], job["message"]
        )),
    }
}
