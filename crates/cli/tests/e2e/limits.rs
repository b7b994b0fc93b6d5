//! Limits: each ends the job with a code of its own and says how to change it.

use convoke_test_support::{environment::TestEnvironment, wait::wait_for};
use serde_json::{Value, json};

use crate::{
    checks::{messages, only_the_daemon_runs, whole_events},
    world::{scripted_agent, spawn_scripted, world},
};

/// The job failed with a code, and its message and hint name the limit.
fn check_failed(world: &TestEnvironment, job: &str, code: &str, limit: &str) -> Value {
    assert_eq!(world.wait_end(job), "failed");
    let status = world.json(&["status", job]);
    assert_eq!(status["code"], code, "{status:#}");
    let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
    assert!(
        text("message").contains(&format!("`{limit}`")),
        "{status:#}"
    );
    assert!(
        text("hint").contains(&format!("limits.{limit}")),
        "{status:#}"
    );
    let shown = world.ok(&["status", job]);
    assert!(shown.contains(code) && shown.contains("limits."), "{shown}");
    whole_events(world, job);
    only_the_daemon_runs(world);
    status
}

/// Prints a line, then goes on for ever, deaf to requests to end.
fn endless() -> Value {
    json!([
        {"do": "ignore", "signals": ["INT", "TERM"]},
        {"do": "out", "text": "here"},
        {"do": "stall"},
    ])
}

#[test]
fn running_time() {
    let world = world();
    world.write_config("[runner]\ngrace = \"200ms\"\n");
    let job = spawn_scripted(&world, &["--timeout", "500ms"], &endless());
    check_failed(&world, &job, "timed_out", "wall");
    assert_eq!(messages(&whole_events(&world, &job)), ["here"]);
}

#[test]
fn silence() {
    let world = world();
    world.write_config("[runner]\ngrace = \"200ms\"\n");
    let job = spawn_scripted(&world, &["--idle-timeout", "500ms"], &endless());
    check_failed(&world, &job, "stalled", "idle");
}

#[test]
fn the_first_word() {
    let world = world();
    let job = spawn_scripted(
        &world,
        &["--first-event-timeout", "500ms"],
        &json!([{"do": "stall"}]),
    );
    check_failed(&world, &job, "no_first_event", "first_event");
}

#[test]
fn output() {
    let world = world();
    let script = json!([{"do": "flood", "bytes": 10_000_000}, {"do": "stall"}]);
    let job = spawn_scripted(&world, &["--output-limit", "1MiB"], &script);
    check_failed(&world, &job, "output_limit", "output");
}

#[test]
fn those_of_the_configuration_hold() {
    let world = world();
    world.write_config("[limits]\nwall = \"500ms\"\n[runner]\ngrace = \"200ms\"\n");
    let job = spawn_scripted(&world, &[], &endless());
    let status = check_failed(&world, &job, "timed_out", "wall");
    assert_eq!(status["limits"]["timeoutMs"], 500);
}

#[test]
fn running_time_ends_without_a_daemon() {
    let world = world();
    world.write_config("[runner]\ngrace = \"200ms\"\n");
    let job = spawn_scripted(&world, &["--timeout", "1500ms"], &endless());
    world.wait_state(&job, &["running"]);
    world.kill_daemon();
    let exit = world
        .state_home()
        .join(format!("runners/{job}.1/exit.json"));
    wait_for("the runner's record", || {
        exit.exists().then_some(()).ok_or_else(String::new)
    });
    wait_for("the job's processes to be gone", || {
        let left = world.processes();
        left.is_empty()
            .then_some(())
            .ok_or_else(|| format!("{left:#?}"))
    });
    check_failed(&world, &job, "timed_out", "wall");
}

#[test]
fn running_time_goes_on_over_restarts() {
    let world = world();
    world.write_config("[runner]\ngrace = \"200ms\"\n");
    let job = spawn_scripted(&world, &["--timeout", "2s"], &endless());
    for _ in 0..3 {
        world.wait_state(&job, &["running", "stopping", "failed"]);
        world.kill_daemon();
    }
    let status = check_failed(&world, &job, "timed_out", "wall");
    assert_eq!(status["attempts"], 1);
    let exit = world
        .state_home()
        .join(format!("runners/{job}.1/exit.json"));
    let exit: Value =
        serde_json::from_str(&fs_err::read_to_string(exit).expect("a record")).expect("JSON");
    let active = exit["active_ms"].as_u64().expect("a number");
    assert!(
        active >= 2_000,
        "the time was counted once, from the start: {exit:#}"
    );
}

#[test]
fn a_repository_narrows_them() {
    let world = world();
    fs_err::write(
        world.work().join(".convoke.toml"),
        "[limits]\nwall = \"500ms\"\noutput = \"2MiB\"\n",
    )
    .expect("the file is written");
    world.write_config("[runner]\ngrace = \"200ms\"\n");
    let job = spawn_scripted(
        &world,
        &["--timeout", "1h", "--output-limit", "1MiB"],
        &endless(),
    );
    let status = check_failed(&world, &job, "timed_out", "wall");
    assert_eq!(status["limits"]["timeoutMs"], 500);
    assert_eq!(
        status["limits"]["outputLimitBytes"],
        1024 * 1024,
        "a narrower one stays"
    );
}

#[test]
fn a_broken_repository_file_refuses_jobs() {
    let world = world();
    let path = world.work().join(".convoke.toml");
    for (text, named) in [
        ("[limits]\nwal = \"1m\"\n", "wal"),
        ("[limits]\nwall = \"soon\"\n", "limits.wall"),
        ("[limits\n", ".convoke.toml"),
    ] {
        fs_err::write(&path, text).expect("the file is written");
        let refused = world.run(&["--format", "json", "spawn", "--", "true"]);
        assert_eq!(refused.code, Some(5), "{refused}");
        let error: Value = serde_json::from_str(&refused.stderr).expect("JSON");
        assert_eq!(error["code"], "config_invalid");
        let message = error["message"].as_str().expect("words");
        assert!(message.contains(named), "{message}");
        assert!(message.contains(".convoke.toml"), "{message}");
    }
    fs_err::remove_file(&path).expect("the file is removed");
    let job = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&job), "completed");
}

/// An agent that has ended its turn and does not exit has done its work.
#[test]
fn a_limit_after_the_last_word_undoes_nothing() {
    let mut world = world();
    world.add_scripted_codex(&scripted_agent());
    world.write_config("[runner]\ngrace = \"200ms\"\n");
    let script = json!([
        {"do": "ignore", "signals": ["INT", "TERM"]},
        {"do": "codex", "message": "all done"},
        {"do": "stall"},
    ]);
    let script = script.to_string();
    let options = ["-s", "read-only", "--idle-timeout", "500ms"];
    let spawn: Vec<&str> = ["spawn"]
        .into_iter()
        .chain(options)
        .chain([&*script])
        .collect();
    let job = world.ok(&spawn);
    let job = job.trim();
    assert_eq!(world.wait_end(job), "completed");
    let record = world
        .state_home()
        .join(format!("runners/{job}.1/exit.json"));
    let record = fs_err::read_to_string(record).expect("its record");
    assert!(record.contains("\"idle\""), "{record}");
    assert_eq!(world.ok(&["result", job]), "all done");
}
