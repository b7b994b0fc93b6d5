//! Stopping jobs: the whole tree is gone, the last words are kept.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use convoke_test_support::{
    environment::{Ran, TestEnvironment},
    wait::wait_for,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    checks::{lines, messages, only_the_daemon_runs, secrets_are_gone, whole_events},
    world::{forbid_namespaces, scripted_agent, spawn_scripted, world},
};

/// A job that was cancelled, and everything that must hold of it then.
fn check_cancelled(world: &TestEnvironment, job: &str, last: &str) {
    let status = world.json(&["status", job]);
    assert_eq!(status["state"], "cancelled", "{status:#}");
    assert_eq!(status["code"], "cancelled");
    assert_eq!(status["leftovers"], json!([]));
    only_the_daemon_runs(world);
    let events = whole_events(world, job);
    assert!(messages(&events).contains(&last), "{events:#?}");
    assert_eq!(
        events.last().expect("events")["content"]["status"],
        "canceled"
    );
    secrets_are_gone(world, job);
    let ran = world.run(&["--format", "json", "result", job]);
    assert_eq!(ran.code, Some(3), "{ran}");
    let result: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let message = result["finalMessage"]
        .as_str()
        .expect("the last message is kept");
    assert!(message.contains(last), "{result:#}");
    let integrity = &result["integrity"];
    assert_eq!(
        integrity["headBefore"], integrity["headAfter"],
        "{result:#}"
    );
    assert!(integrity["headBefore"].is_string(), "{result:#}");
}

fn ready(world: &TestEnvironment, job: &str) {
    wait_for("the agent to be ready", || {
        let events = world.events(job);
        if messages(&events).contains(&"ready") {
            Ok(())
        } else {
            Err(format!("{events:#?}"))
        }
    });
}

fn start(world: &TestEnvironment, script: &Value) -> String {
    let job = spawn_scripted(world, &[], script);
    ready(world, &job);
    job
}

#[test]
fn a_co_operative_agent() {
    let world = world();
    let job = start(
        &world,
        &json!([{"do": "out", "text": "ready"}, {"do": "stall"}]),
    );
    let answer = world.json(&["cancel", &job]);
    assert_eq!(answer["results"][0]["success"], true);
    assert_eq!(answer["results"][0]["job"]["state"], "cancelled");
    check_cancelled(&world, &job, "ready");
}

#[test]
fn an_agent_that_ignores_signals() {
    let world = world();
    world.write_config("[runner]\ngrace = \"300ms\"\n");
    let script = json!([
        {"do": "ignore", "signals": ["INT", "TERM", "HUP", "QUIT"]},
        {"do": "out", "text": "ready"},
        {"do": "stall"},
    ]);
    let job = start(&world, &script);
    world.ok(&["cancel", "--wait", "30s", &job]);
    check_cancelled(&world, &job, "ready");
    assert_eq!(world.json(&["status", &job])["exitSignal"], 9);
}

/// A launcher with a native child, and below it a child in a session of its
/// own, one that lost its parents, and one that is stopped.
fn family(world: &TestEnvironment) -> Value {
    let there = |name: &str| json!({"do": "write", "path": world.root().join("there"), "text": format!("{name}\n"), "append": true});
    let deaf = json!({"do": "ignore", "signals": ["INT", "TERM", "HUP"]});
    let child = |name: &str| json!([deaf, there(name), {"do": "stall"}]);
    let stopped = json!([there("stopped"), {"do": "kill_self", "signal": "STOP"}, {"do": "stall"}]);
    json!([
        {"do": "fork", "mode": "group", "steps": [
            {"do": "fork", "mode": "setsid", "steps": child("setsid"), "clear_env": true},
            {"do": "fork", "mode": "double_fork", "steps": child("double")},
            {"do": "fork", "mode": "group", "steps": stopped},
            there("native"),
            {"do": "stall"},
        ]},
        there("launcher"),
        {"do": "out", "text": "ready"},
        {"do": "stall"},
    ])
}

fn a_family_is_stopped(world: &TestEnvironment, rung: &str, force: bool) {
    world.write_config("[runner]\ngrace = \"300ms\"\n");
    let job = start(world, &family(world));
    wait_for("the whole family to be there", || {
        match lines(&world.root().join("there")) {
            5 => Ok(()),
            n => Err(format!("{n} are")),
        }
    });
    assert_eq!(
        world.json(&["status", &job])["process"]["containment"],
        rung
    );
    let mut words = vec!["cancel", "--wait", "30s", &job];
    if force {
        words.push("--force");
    }
    world.ok(&words);
    check_cancelled(world, &job, "ready");
}

#[test]
fn a_family_gracefully() {
    a_family_is_stopped(&world(), "pid_namespace", false);
}

#[test]
fn a_family_by_force() {
    a_family_is_stopped(&world(), "pid_namespace", true);
}

#[test]
fn a_family_without_namespaces_gracefully() {
    let mut world = world();
    if forbid_namespaces(&mut world) {
        a_family_is_stopped(&world, "subreaper", false);
    }
}

#[test]
fn a_family_without_namespaces_by_force() {
    let mut world = world();
    if forbid_namespaces(&mut world) {
        a_family_is_stopped(&world, "subreaper", true);
    }
}

#[test]
fn a_background_process_does_not_outlive_a_job() {
    let world = world();
    let script = json!([
        {"do": "fork", "mode": "double_fork", "steps": [{"do": "stall"}], "hold_stdout": true},
        {"do": "out", "text": "done"},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    assert_eq!(world.wait_end(&job), "completed");
    only_the_daemon_runs(&world);
}

#[test]
fn a_queued_job() {
    let world = world();
    world.write_config("[limits]\nwriters = 1\n");
    let first = start(
        &world,
        &json!([{"do": "out", "text": "ready"}, {"do": "stall"}]),
    );
    let second = world.spawn_command(&[], &["true"]);
    assert_eq!(world.state(&second), "queued");
    world.ok(&["cancel", &second]);
    assert_eq!(world.wait_end(&second), "cancelled");
    assert_eq!(world.json(&["status", &second])["attempts"], 0);
    whole_events(&world, &second);
    secrets_are_gone(&world, &second);
    assert_eq!(world.state(&first), "running");
}

#[test]
fn twice_and_after_the_end() {
    let world = world();
    let script = json!([
        {"do": "ignore", "signals": ["INT", "TERM"]},
        {"do": "out", "text": "ready"},
        {"do": "stall"},
    ]);
    let job = start(&world, &script);
    let first = world.json(&["cancel", "--wait", "0s", &job]);
    assert_eq!(first["results"][0]["success"], true);
    assert_eq!(first["results"][0]["job"]["state"], "stopping");
    // Force hurries the stop that was asked for before.
    let second = world.json(&["cancel", "--wait", "30s", "--force", &job]);
    assert_eq!(second["results"][0]["success"], true);
    check_cancelled(&world, &job, "ready");
    let third = world.json(&["cancel", &job]);
    assert_eq!(third["results"][0]["success"], false);
    let done = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&done), "completed");
    let late = world.json(&["cancel", &done]);
    assert_eq!(late["results"][0]["success"], false);
    assert_eq!(world.state(&done), "completed");
}

#[test]
fn at_the_very_start() {
    let world = world();
    for _ in 0..10 {
        let job = world.spawn_command(&[], &["sleep", "1000"]);
        world.ok(&["cancel", "--wait", "30s", &job]);
        assert_eq!(world.wait_end(&job), "cancelled");
        whole_events(&world, &job);
    }
    only_the_daemon_runs(&world);
}

/// `convoke run` with an agent that has said it is ready.
fn watched(world: &TestEnvironment, script: &Value) -> Child {
    let agent = scripted_agent();
    let agent = agent.to_str().expect("UTF-8");
    let script = script.to_string();
    let mut child = world
        .convoke(&[
            "run", "--label", "watched", "--", agent, "--inline", &script,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe"))
        .read_line(&mut line)
        .expect("a line");
    assert_eq!(line, "ready\n");
    child
}

fn id_of_watched(world: &TestEnvironment) -> String {
    let status = world.json(&["status", "watched"]);
    status["jobId"].as_str().expect("an id").to_owned()
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).expect("it runs");
}

#[test]
fn by_ctrl_c() {
    let world = world();
    let child = watched(
        &world,
        &json!([{"do": "out", "text": "ready"}, {"do": "stall"}]),
    );
    interrupt(&child);
    let ran = Ran::ended(child, "convoke run");
    assert_eq!(ran.code, Some(130), "{ran}");
    check_cancelled(&world, &id_of_watched(&world), "ready");
}

#[test]
fn by_ctrl_c_twice() {
    let world = world();
    // Only a kill ends it in time.
    world.write_config("[runner]\ngrace = \"10m\"\n");
    let script = json!([
        {"do": "ignore", "signals": ["INT", "TERM"]},
        {"do": "out", "text": "ready"},
        {"do": "stall"},
    ]);
    let child = watched(&world, &script);
    interrupt(&child);
    world.wait_state("watched", &["stopping"]);
    interrupt(&child);
    let ran = Ran::ended(child, "convoke run");
    assert_eq!(ran.code, Some(130), "{ran}");
    check_cancelled(&world, &id_of_watched(&world), "ready");
}

#[test]
fn ending_the_watcher_leaves_the_job() {
    let world = world();
    let script = json!([{"do": "out", "text": "ready"}, {"do": "wait_file", "path": world.root().join("gate")}]);
    let mut child = watched(&world, &script);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(world.state("watched"), "running");
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end("watched"), "completed");
}

#[test]
fn stopping_the_daemon_leaves_jobs() {
    let world = world();
    let gate = world.root().join("gate");
    let script = json!([{"do": "out", "text": "ready"}, {"do": "wait_file", "path": gate}, {"do": "out", "text": "more"}]);
    let job = start(&world, &script);
    assert_eq!(world.json(&["daemon", "stop"])["stopped"], true);
    assert_eq!(world.daemon_pid(), None);
    assert!(!world.processes().is_empty(), "the job goes on");
    fs_err::write(&gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(messages(&whole_events(&world, &job)), ["ready", "more"]);
}

#[test]
fn stopping_the_daemon_with_its_jobs() {
    let world = world();
    world.write_config("[limits]\nwriters = 1\n");
    let running = start(&world, &family(&world));
    let queued = world.spawn_command(&[], &["true"]);
    world.ok(&["daemon", "stop", "--jobs"]);
    wait_for("everything to be gone", || {
        let left = world.processes();
        left.is_empty()
            .then_some(())
            .ok_or_else(|| format!("{left:#?}"))
    });
    for job in [&running, &queued] {
        let status = world.json(&["status", job]);
        assert_eq!(status["state"], "cancelled", "{status:#}");
        whole_events(&world, job);
    }
}

#[test]
fn a_command_cannot_be_interrupted() {
    let world = world();
    let job = start(
        &world,
        &json!([{"do": "out", "text": "ready"}, {"do": "stall"}]),
    );
    let refused = world.run(&["--format", "json", "interrupt", &job, "do something else"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    let error: Value = serde_json::from_str(&refused.stderr).expect("JSON");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("no conversation")),
        "{error}"
    );
    assert_eq!(world.state(&job), "running");
}
