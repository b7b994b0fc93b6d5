//! SIGKILL of the agent, at every step of an attempt: the job ends with the true
//! reason, keeps what was printed, and nothing of the agent goes on.

use convoke_test_support::{
    environment::TestEnvironment,
    wait::{wait_for, wait_for_file},
};
use serde_json::{Value, json};

use crate::{
    checks::{lines, messages, only_the_daemon_runs, whole_events},
    world::{forbid_namespaces, spawn_scripted, world},
};

/// An agent that is killed after `steps`: its job says so, keeps what it
/// printed, and nothing of it goes on.
fn agent_is_killed(steps: &Value, printed: &[&str]) {
    let world = world();
    let mut script = steps.as_array().expect("steps").clone();
    script.push(json!({"do": "kill_self", "signal": "KILL"}));
    let job = spawn_scripted(&world, &[], &script.into());
    assert_eq!(world.wait_end(&job), "failed");
    let status = world.json(&["status", &job]);
    let told = (&status["code"], &status["exitSignal"], &status["attempts"]);
    assert_eq!(
        told,
        (&json!("agent_failed"), &json!(9), &json!(1)),
        "{status:#}"
    );
    assert_eq!(messages(&whole_events(&world, &job)), printed);
    only_the_daemon_runs(&world);
}

#[test]
fn before_its_first_word() {
    agent_is_killed(&json!([]), &[]);
}

#[test]
fn between_two_lines() {
    agent_is_killed(&json!([{"do": "out", "text": "one"}]), &["one"]);
}

#[test]
fn in_a_line() {
    let steps = json!([
        {"do": "out", "text": "one"},
        {"do": "out", "text": "half a li", "newline": false},
    ]);
    agent_is_killed(&steps, &["one", "half a li"]);
}

#[test]
fn with_children() {
    let child = json!([{"do": "ignore", "signals": ["TERM", "INT", "HUP"]}, {"do": "stall"}]);
    let steps = json!([
        {"do": "fork", "mode": "double_fork", "steps": child, "hold_stdout": true},
        {"do": "fork", "steps": child, "clear_env": true},
        {"do": "out", "text": "one"},
    ]);
    agent_is_killed(&steps, &["one"]);
}

/// A job whose agent the runner kills at a point, with a child of its own that
/// ignores signals once it runs.
fn dies_at(world: &TestEnvironment, point: &str, options: &[&str]) -> String {
    let started = world.run_with(
        &[("CONVOKE_TEST_AGENT_DIES_AT", point)],
        &["daemon", "start"],
    );
    assert!(started.success(), "{started}");
    let deaf = json!([{"do": "ignore", "signals": ["TERM", "INT", "HUP"]}, {"do": "stall"}]);
    let script = json!([
        {"do": "write", "path": world.root().join("started"), "text": "started\n", "append": true},
        {"do": "fork", "mode": "setsid", "steps": deaf},
        {"do": "out", "text": "first"},
        {"do": "stall"},
    ]);
    spawn_scripted(world, options, &script)
}

/// The job ended as the death of its agent says, once.
fn ended_by_its_death(world: &TestEnvironment, job: &str, most_starts: usize) {
    assert_eq!(world.wait_end(job), "failed");
    let status = world.json(&["status", job]);
    let told = (&status["code"], &status["exitSignal"], &status["attempts"]);
    assert_eq!(
        told,
        (&json!("agent_failed"), &json!(9), &json!(1)),
        "{status:#}"
    );
    whole_events(world, job);
    assert!(lines(&world.root().join("started")) <= most_starts);
    only_the_daemon_runs(world);
}

macro_rules! agent_dies {
    ($($name:ident: $point:literal, starts $starts:literal;)*) => { $(
        mod $name {
            #[test]
            fn in_a_namespace() {
                let world = crate::world::world();
                let job = super::dies_at(&world, $point, &[]);
                super::ended_by_its_death(&world, &job, $starts);
            }

            #[test]
            fn without_namespaces() {
                let mut world = crate::world::world();
                world.set("CONVOKE_TEST_AGENT_DIES_AT", $point);
                if super::forbid_namespaces(&mut world) {
                    let job = super::dies_at(&world, $point, &[]);
                    super::ended_by_its_death(&world, &job, $starts);
                }
            }
        }
    )* };
}

agent_dies! {
    before_it_is_let_go: "agent_held", starts 0;
    when_it_is_let_go: "agent_started", starts 1;
    with_its_first_word: "first_output", starts 1;
}

#[test]
fn over_a_stop() {
    let world = world();
    let job = dies_at(&world, "stop_begun", &[]);
    wait_for_file(&world.root().join("started"));
    world.wait_state(&job, &["running"]);
    world.ok(&["cancel", &job]);
    assert_eq!(world.wait_end(&job), "cancelled");
    whole_events(&world, &job);
    only_the_daemon_runs(&world);
}

#[test]
fn over_the_stop_by_a_limit() {
    let world = world();
    let job = dies_at(&world, "stop_begun", &["--timeout", "500ms"]);
    assert_eq!(world.wait_end(&job), "failed");
    let status = world.json(&["status", &job]);
    assert_eq!(status["code"], "timed_out", "{status:#}");
    whole_events(&world, &job);
    only_the_daemon_runs(&world);
}

#[test]
fn after_its_output_ended() {
    let world = world();
    let started = world.run_with(
        &[("CONVOKE_TEST_AGENT_DIES_AT", "output_ended")],
        &["daemon", "start"],
    );
    assert!(started.success(), "{started}");
    let script = "echo last; exec >&- 2>&-; while :; do sleep 0.05; done";
    let job = world.spawn_command(&[], &["sh", "-c", script]);
    assert_eq!(world.wait_end(&job), "failed");
    assert_eq!(messages(&whole_events(&world, &job)), ["last"]);
    only_the_daemon_runs(&world);
}

#[test]
fn while_no_daemon_runs() {
    let world = world();
    let gate = world.root().join("gate");
    let script = json!([
        {"do": "out", "text": "one"},
        {"do": "wait_file", "path": gate},
        {"do": "out", "text": "two"},
        {"do": "kill_self", "signal": "KILL"},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    world.wait_state(&job, &["running"]);
    world.kill_daemon();
    fs_err::write(&gate, "").expect("the gate opens");
    let record = world
        .state_home()
        .join(format!("runners/{job}.1/exit.json"));
    wait_for("the runner's record", || {
        let text = fs_err::read_to_string(&record).map_err(|error| error.to_string())?;
        serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())
    });
    assert_eq!(world.wait_end(&job), "failed");
    let status = world.json(&["status", &job]);
    assert_eq!(
        (&status["code"], &status["exitSignal"]),
        (&json!("agent_failed"), &json!(9))
    );
    assert_eq!(messages(&whole_events(&world, &job)), ["one", "two"]);
    only_the_daemon_runs(&world);
}
