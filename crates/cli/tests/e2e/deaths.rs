//! SIGKILL from outside while jobs run: of clients, of the daemon, of both, of
//! the runner; and who is the one daemon.

use std::process::Stdio;

use convoke_test_support::{
    census,
    environment::{Ran, TestEnvironment},
    mcp_client::McpClient,
    wait::{wait_for, wait_for_file},
};
use serde_json::{Value, json};

use crate::{
    checks::{lines, messages, only_the_daemon_runs, runner_pid, whole_events},
    world::{spawn_scripted, world},
};

/// A job that runs until the file `gate` exists.
fn gated_job(world: &TestEnvironment) -> String {
    let script = json!([
        {"do": "out", "text": "before"},
        {"do": "wait_file", "path": world.root().join("gate")},
        {"do": "out", "text": "after"},
    ]);
    let job = spawn_scripted(world, &[], &script);
    world.wait_state(&job, &["running"]);
    job
}

fn open_gate(world: &TestEnvironment) {
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
}

/// Another client finds the job, waits for it and reads its result.
fn collect(world: &TestEnvironment, job: &str) {
    let mut client = McpClient::start(world, &[], "second");
    let listed = client.call_ok("codex_jobs", json!({}));
    let ids: Vec<&Value> = listed["jobs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|listed| &listed["jobId"])
        .collect();
    assert_eq!(ids, [job]);
    open_gate(world);
    let wait = json!({"jobIds": [job], "timeoutMs": 30_000});
    let waited = client.call_ok("codex_wait_any", wait);
    assert_eq!(waited["completedJobId"], job, "{waited}");
    let result = client.call_ok("codex_result", json!({"jobId": job}));
    assert_eq!(result["status"], "done");
    assert_eq!(result["finalMessage"], "before\nafter");
    assert_eq!(messages(&whole_events(world, job)), ["before", "after"]);
}

/// A client that waits for a job.
fn waiting_client(world: &TestEnvironment, job: &str) -> McpClient {
    let mut client = McpClient::start(world, &[], "first");
    // It has asked the daemon before it waits.
    client.call_ok("codex_status", json!({"jobId": job}));
    let wait =
        json!({"name": "codex_wait_any", "arguments": {"jobIds": [job], "timeoutMs": 60_000}});
    client.send_request("tools/call", wait);
    client
}

#[test]
fn of_the_mcp_server() {
    let world = world();
    let job = gated_job(&world);
    let client = waiting_client(&world, &job);
    census::kill(client.pid());
    drop(client);
    assert_eq!(world.state(&job), "running");
    collect(&world, &job);
}

#[test]
fn of_the_daemon() {
    let world = world();
    let job = gated_job(&world);
    let mut client = McpClient::start(&world, &[], "first");
    client.call_ok("codex_status", json!({"jobId": job}));
    world.kill_daemon();
    // The same server goes on with a new daemon.
    let status = client.call_ok("codex_status", json!({"jobId": job}));
    assert_eq!(status["status"], "running");
    collect(&world, &job);
}

#[test]
fn of_the_daemon_under_a_wait() {
    let world = world();
    let job = gated_job(&world);
    let mut client = waiting_client(&world, &job);
    world.kill_daemon();
    // The wait ends with the job or with an error that says what to do.
    open_gate(&world);
    let answer = client.answer(3);
    let ended = answer["structuredContent"]["completedJobId"] == job.as_str();
    assert!(ended || answer["isError"] == true, "{answer}");
    drop(client);
    collect(&world, &job);
}

#[test]
fn of_both() {
    let world = world();
    let job = gated_job(&world);
    let client = waiting_client(&world, &job);
    census::kill(client.pid());
    world.kill_daemon();
    drop(client);
    collect(&world, &job);
}

#[test]
fn of_the_daemon_many_times() {
    let world = world();
    let (gates, script): (Vec<_>, Vec<_>) = (0..5)
        .map(|i| {
            let gate = world.root().join(format!("gate{i}"));
            let steps = [
                json!({"do": "out", "text": format!("line {i}"), "repeat": 50}),
                json!({"do": "wait_file", "path": gate}),
            ];
            (gate, steps)
        })
        .unzip();
    let script: Vec<Value> = script.into_iter().flatten().collect();
    let job = spawn_scripted(&world, &[], &Value::from(script));
    for gate in gates {
        world.wait_state(&job, &["running"]);
        world.kill_daemon();
        fs_err::write(&gate, "").expect("the gate opens");
        world.json(&["status", &job]);
    }
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(messages(&whole_events(&world, &job)).len(), 250);
}

/// An agent with children of every kind; each says that it is there.
fn family(world: &TestEnvironment) -> Value {
    let there = |name: &str| json!({"do": "write", "path": world.root().join("there"), "text": format!("{name}\n"), "append": true});
    let deaf = json!({"do": "ignore", "signals": ["INT", "TERM", "HUP"]});
    let child = |name: &str| json!([deaf, there(name), {"do": "stall"}]);
    json!([
        {"do": "out", "text": "before"},
        {"do": "fork", "mode": "group", "steps": child("child")},
        {"do": "fork", "mode": "setsid", "steps": child("setsid")},
        {"do": "fork", "mode": "double_fork", "steps": child("double")},
        {"do": "fork", "mode": "group", "steps": [
            {"do": "fork", "mode": "double_fork", "steps": child("grandchild"), "hold_stdout": true},
            {"do": "stall"},
        ]},
        deaf,
        there("agent"),
        {"do": "stall"},
    ])
}

fn runner_is_killed(world: &TestEnvironment, rung: &str) {
    let job = spawn_scripted(world, &[], &family(world));
    wait_for("the whole family to be there", || {
        match lines(&world.root().join("there")) {
            5 => Ok(()),
            n => Err(format!("{n} are")),
        }
    });
    world.wait_state(&job, &["running"]);
    assert_eq!(
        world.json(&["status", &job])["process"]["containment"],
        rung
    );
    census::kill(runner_pid(world, &job));
    assert_eq!(world.wait_end(&job), "failed");
    let status = world.json(&["status", &job]);
    assert_eq!(status["code"], "lost", "{status:#}");
    assert!(status["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    assert_eq!(messages(&whole_events(world, &job)), ["before"]);
    only_the_daemon_runs(world);
}

#[test]
fn of_the_runner() {
    let world = world();
    runner_is_killed(&world, "pid_namespace");
}

#[test]
fn of_the_runner_without_namespaces() {
    let mut world = world();
    if crate::world::forbid_namespaces(&mut world) {
        runner_is_killed(&world, "subreaper");
    }
}

#[test]
fn of_the_runner_while_no_daemon_runs() {
    let world = world();
    let job = spawn_scripted(&world, &[], &family(&world));
    wait_for_file(&world.root().join("there"));
    world.wait_state(&job, &["running"]);
    world.kill_daemon();
    census::kill(runner_pid(&world, &job));
    assert_eq!(world.wait_end(&job), "failed");
    assert_eq!(world.json(&["status", &job])["code"], "lost");
    whole_events(&world, &job);
    only_the_daemon_runs(&world);
}

#[test]
fn a_second_daemon_refuses() {
    let world = world();
    world.ok(&["daemon", "start"]);
    let pid = world.daemon_pid();
    let second = world.run(&["daemon", "run"]);
    assert_eq!(second.code, Some(6), "{second}");
    assert!(second.stderr.contains("another daemon serves"), "{second}");
    assert_eq!(world.daemon_pid(), pid);
    assert_eq!(world.json(&["ps"])["jobs"], json!([]));
}

#[test]
fn clients_that_start_at_once_get_one_daemon() {
    let world = world();
    let clients: Vec<_> = (0..6)
        .map(|i| {
            let label = format!("job{i}");
            world
                .convoke(&["spawn", "--label", &label, "--", "true"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts")
        })
        .collect();
    let mut jobs: Vec<String> = Vec::new();
    for client in clients {
        let ran = Ran::ended(client, "convoke spawn");
        assert!(ran.success(), "{ran}");
        jobs.push(ran.stdout.trim().to_owned());
    }
    for job in &jobs {
        assert_eq!(world.wait_end(job), "completed");
    }
    let daemons: Vec<_> = world
        .processes()
        .into_iter()
        .filter(|process| process.command.contains("daemon run"))
        .map(|process| process.pid)
        .collect();
    assert_eq!(daemons, [world.daemon_pid().expect("a daemon serves")]);
}
