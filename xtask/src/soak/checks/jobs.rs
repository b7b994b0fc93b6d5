//! Keys, jobs and starts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::soak::{ledger::Entry, settle::is_over, stage::Stage};

/// Each answered key has one job, which is listed and over. Keys without an
/// answer have at most one.
pub fn keys(stage: &Stage, jobs: &[Value]) -> usize {
    let entries = stage.ledger.entries();
    let mut listed: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for job in jobs {
        let label = job["label"].as_str().unwrap_or_default();
        listed.entry(label).or_default().push(job);
    }
    for entry in &entries {
        let of_key = listed.remove(entry.job.key.as_str()).unwrap_or_default();
        key(stage, entry, &of_key);
    }
    for label in listed.keys() {
        stage
            .ledger
            .fail_at_large(format!("there is a job `{label}` that nobody asked for"));
    }
    entries.len()
}

fn key(stage: &Stage, entry: &Entry, jobs: &[&Value]) {
    let fail = |what: String| {
        stage
            .ledger
            .fail(&entry.job, entry.ids.first().map(String::as_str), what);
    };
    if entry.ids.len() > 1 {
        fail(format!(
            "its key was answered with several jobs: {:?}",
            entry.ids
        ));
    }
    if jobs.len() > 1 {
        let ids: Vec<&Value> = jobs.iter().map(|job| &job["jobId"]).collect();
        fail(format!("its key has several jobs: {ids:?}"));
    }
    for job in jobs.iter().filter(|job| !is_over(job)) {
        fail(format!("it is {} still", job["state"]));
    }
    for id in &entry.ids {
        if !jobs.iter().any(|job| job["jobId"] == id.as_str()) {
            fail("it was accepted and is not listed".to_owned());
        }
    }
}

/// Each agent notes its start, so that two agents for one attempt are seen.
pub fn starts(stage: &Stage, jobs: &[Value]) -> usize {
    let mut looked_at = 0;
    let by_id: BTreeMap<&str, &Value> = jobs
        .iter()
        .filter_map(|job| Some((job["jobId"].as_str()?, job)))
        .collect();
    for entry in stage.ledger.entries() {
        let Some(job) = entry.ids.first().and_then(|id| by_id.get(id.as_str())) else {
            continue;
        };
        if entry.job.path.is_some() {
            // The real Codex notes nothing.
            continue;
        }
        looked_at += 1;
        let file = stage.world.started.join(&entry.job.key);
        let starts = fs_err::read_to_string(file).map_or(0, |text| text.lines().count());
        let attempts = job["attempts"].as_u64().unwrap_or(0);
        let fail = |what: String| stage.ledger.fail(&entry.job, job["jobId"].as_str(), what);
        if starts as u64 > attempts {
            fail(format!(
                "its agent started {starts} times in {attempts} attempts"
            ));
        }
        if starts == 0 && job["state"] == "completed" {
            fail("it completed, and its agent never started".to_owned());
        }
    }
    looked_at
}
