//! Jobs that say which folders they are about.

use convoke_test_support::{environment::TestEnvironment, mcp_client::McpClient};
use serde_json::{Value, json};

use crate::{
    changes::{commit, world_of_two},
    world::{add_codex_stand_in, spawn_scripted, world},
};

/// A program that waits for its gate, then writes a file.
fn writer(world: &TestEnvironment, name: &str, scope: &str, path: &str) -> String {
    let script = json!([
        {"do": "wait_file", "path": world.root().join(format!("gate-{name}"))},
        {"do": "write", "path": path, "text": name},
    ]);
    spawn_scripted(world, &["--label", name, "--scope", scope], &script)
}

fn open(world: &TestEnvironment, name: &str) {
    fs_err::write(world.root().join(format!("gate-{name}")), "").expect("the gate opens");
}

fn queue(world: &TestEnvironment, job: &str) -> Value {
    world.json(&["status", job])["queue"].clone()
}

#[test]
fn writers_of_one_folder_follow_each_other_and_others_do_not_wait() {
    let world = world();
    // Folders apart do not count against the writers of the tree.
    world.write_config("[limits]\nwriters = 1\n");
    commit(&world, &[("a/f", "0"), ("b/f", "0")]);
    let first = writer(&world, "first", "a", "a/first");
    let apart = writer(&world, "apart", "b", "b/apart");
    let inside = writer(&world, "inside", "a/deep", "a/deep/f");
    for job in [&first, &apart] {
        world.wait_state(job, &["running"]);
    }
    let why = queue(&world, &inside);
    assert_eq!(why["reason"], "scope", "{why:#}");
    let message = why["message"].as_str().unwrap_or_default();
    assert!(message.contains(&first), "{message}");
    // The lease outlives the daemon.
    world.ok(&["daemon", "stop"]);
    world.ok(&["daemon", "start"]);
    assert_eq!(queue(&world, &inside)["reason"], "scope");
    open(&world, "first");
    assert_eq!(world.wait_end(&first), "completed");
    world.wait_state(&inside, &["running"]);
    for (name, job) in [("inside", &inside), ("apart", &apart)] {
        open(&world, name);
        assert_eq!(world.wait_end(job), "completed");
        let status = world.json(&["status", job]);
        assert_eq!(status["violations"], json!([]), "{status:#}");
    }
    let shown = world.ok(&["status", &inside]);
    let folder = world.work().join("a/deep");
    assert!(shown.contains(&folder.display().to_string()), "{shown}");
}

#[test]
fn what_is_written_outside_of_a_scope_is_a_violation() {
    let world = world();
    commit(&world, &[("a/f", "0"), ("b/f", "0")]);
    open(&world, "stray");
    let job = writer(&world, "stray", "a/new", "b/f");
    assert_eq!(world.wait_end(&job), "completed");
    let status = world.json(&["status", &job]);
    let violation = &status["violations"][0];
    assert_eq!(violation["rule"], "scope", "{status:#}");
    assert_eq!(violation["items"], json!(["b/f"]));
    // What was made for it and not used is gone.
    world.ok(&["result", &job]);
    assert!(!world.work().join("a/new").exists());

    world.write_config("[workspace]\nviolations = \"fail\"\n");
    open(&world, "again");
    let job = writer(&world, "again", "a", "b/f");
    assert_eq!(world.wait_end(&job), "failed");
    assert_eq!(world.json(&["status", &job])["code"], "policy");
}

#[test]
fn who_goes_on_in_a_conversation_has_its_scope() {
    let world = world_of_two();
    commit(&world, &[("a/f", "0")]);
    let script = json!([{"do": "wait_file", "path": world.root().join("never")}]).to_string();
    let job = world.ok(&["spawn", "-s", "workspace-write", "--scope", "a", &script]);
    let job = job.trim();
    world.wait_state(job, &["running"]);
    let answer = world.json(&["interrupt", job, "go on"]);
    let next = answer["newJob"]["jobId"].as_str().expect("a job");
    let folder = world.work().join("a").display().to_string();
    let status = world.json(&["status", next]);
    assert_eq!(status["scope"]["write"], json!([folder]), "{status:#}");
    world.wait_end(next);
}

#[test]
fn scopes_that_cannot_be_are_refused() {
    let mut world = world();
    add_codex_stand_in(&mut world);
    commit(&world, &[("a/f", "0")]);
    for (options, words) in [
        (&["--scope", "a/f"][..], "no folder"),
        (&["--scope", "../elsewhere"], "`..`"),
        (&["--scope", "/"], "does not lie in the working folder"),
        (&["--scope", "a", "-s", "read-only"], "only reads"),
        (&["--scope", "a", "--add-dir", "/var"], "cannot be combined"),
    ] {
        let mut arguments = vec!["spawn"];
        arguments.extend(options);
        arguments.push("work");
        let refused = world.run(&arguments);
        assert_eq!(refused.code, Some(2), "{options:?}: {refused}");
        assert!(refused.stderr.contains(words), "{options:?}: {refused}");
    }
    let mut client = McpClient::start(&world, &[], "test");
    let arguments = json!({"prompt": "x", "scope": {"write": ["a/f"]}});
    let refused = client.call("codex_spawn", arguments);
    assert_eq!(refused["isError"], true, "{refused:#}");
}
