//! One job from start to end over the command line.

use serde_json::json;

use crate::world::{spawn_scripted, world};

#[test]
fn a_command_runs_and_its_result_is_kept() {
    let world = world();
    let job = world.spawn_command(&[], &["sh", "-c", "echo first; echo second"]);
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(world.ok(&["result", &job]), "first\nsecond");
    let events = world.events(&job);
    let mut kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    // Lines printed at once come as one event.
    kinds.dedup();
    assert_eq!(kinds, ["queued", "spawned", "message", "final"]);
}

#[test]
fn a_failing_command_says_so() {
    let world = world();
    let job = spawn_scripted(
        &world,
        &[],
        &json!([{"do": "err", "text": "no such thing"}, {"do": "exit", "code": 7}]),
    );
    assert_eq!(world.wait_end(&job), "failed");
    let status = world.json(&["status", &job]);
    assert_eq!(status["code"], "agent_failed");
    assert_eq!(status["exitCode"], 7);
}

#[test]
fn jobs_outlive_the_daemon() {
    let world = world();
    let gate = world.root().join("gate");
    let gate_path = gate.to_str().expect("UTF-8");
    let script = json!([
        {"do": "out", "text": "before"},
        {"do": "wait_file", "path": gate_path},
        {"do": "out", "text": "after"},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    world.wait_state(&job, &["running"]);
    world.kill_daemon();
    fs_err::write(&gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(world.ok(&["result", &job]), "before\nafter");
    let seqs: Vec<u64> = world
        .events(&job)
        .iter()
        .map(|event| event["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}
