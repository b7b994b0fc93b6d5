//! What must hold of every job, whatever happened to it.

use std::{collections::BTreeSet, path::Path};

use convoke_test_support::{census::Process, environment::TestEnvironment, wait::wait_for};
use serde_json::Value;

/// The events of a job that is over, as they stand in its file: none lost,
/// none twice, the first says it was queued, the last and only the last how it
/// ended.
pub fn whole_events(world: &TestEnvironment, job: &str) -> Vec<Value> {
    let path = world
        .state_home()
        .join("jobs")
        .join(job)
        .join("events.jsonl");
    let events = wait_for("the last event to be written", || {
        let text = fs_err::read_to_string(&path).map_err(|error| error.to_string())?;
        let events: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("whole lines"))
            .collect();
        match events.last() {
            Some(last) if last["type"] == "final" => Ok(events),
            last => Err(format!("the last event is {last:?}")),
        }
    });
    let seqs: Vec<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let sources: BTreeSet<String> = events
        .iter()
        .map(|event| event["src"].to_string())
        .collect();
    assert_eq!(
        sources.len(),
        events.len(),
        "an event came twice: {events:#?}"
    );
    assert_eq!(events[0]["type"], "queued");
    let finals = events.iter().filter(|event| event["type"] == "final");
    assert_eq!(finals.count(), 1);
    events
}

/// The lines a job printed, by its events; lines that came together are one
/// event.
pub fn messages(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter(|event| event["type"] == "message")
        .filter_map(|event| event["content"]["text"].as_str())
        .flat_map(|text| text.split('\n'))
        .collect()
}

/// Number of lines of a file; none if there is no file.
pub fn lines(path: &Path) -> usize {
    fs_err::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// Waits until the secrets of a job are gone from the state home.
pub fn secrets_are_gone(world: &TestEnvironment, job: &str) {
    let path = world.state_home().join("jobs").join(job).join("env.json");
    wait_for("the environment of the job to be deleted", || {
        if path.exists() {
            Err("it is there".to_owned())
        } else {
            Ok(())
        }
    });
}

/// Waits until nothing of the world runs but its daemon.
pub fn only_the_daemon_runs(world: &TestEnvironment) {
    let daemon = world.daemon_pid();
    wait_for("nothing but the daemon to run", || {
        let others: Vec<Process> = world
            .processes()
            .into_iter()
            .filter(|process| Some(process.pid) != daemon)
            .collect();
        if others.is_empty() {
            Ok(())
        } else {
            Err(format!("there are {others:#?}"))
        }
    });
}

/// All jobs the daemon knows.
pub fn all_jobs(world: &TestEnvironment) -> Vec<Value> {
    world.json(&["ps", "--all"])["jobs"]
        .as_array()
        .expect("a list")
        .clone()
}

/// Process id of the runner of a job's first attempt.
pub fn runner_pid(world: &TestEnvironment, job: &str) -> i32 {
    let path = world
        .state_home()
        .join(format!("runners/{job}.1/runner.json"));
    let text = fs_err::read_to_string(path).expect("the runner has said who it is");
    let identity: Value = serde_json::from_str(&text).expect("JSON");
    i32::try_from(identity["pid"].as_i64().expect("a process id")).expect("it fits")
}
