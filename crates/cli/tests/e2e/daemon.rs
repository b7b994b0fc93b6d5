//! The commands that look after the daemon.

use convoke_test_support::{environment::TestEnvironment, mcp_client::McpClient};
use serde_json::{Value, json};

use crate::{
    checks::{messages, whole_events},
    world::{scripted_agent, spawn_scripted, world},
};

#[test]
fn a_daemon_starts_and_stops() {
    let world = world();
    let missing = world.run(&["daemon", "status"]);
    assert_eq!(missing.code, Some(6), "{missing:#?}");
    let started = world.json(&["daemon", "start"]);
    let again = world.json(&["daemon", "start"]);
    assert_eq!(started["pid"], again["pid"], "one daemon per state home");
    assert_eq!(world.json(&["daemon", "status"])["pid"], started["pid"]);
    assert!(world.ok(&["daemon", "logs"]).contains("serves"));
    assert_eq!(world.json(&["daemon", "stop"])["stopped"], true);
    assert_eq!(world.json(&["daemon", "stop"])["stopped"], false);
    assert_eq!(world.run(&["daemon", "status"]).code, Some(6));
}

#[test]
fn inside_a_job_no_daemon_is_started() {
    let world = world();
    let mut command = world.convoke(&["ps"]);
    let output = command
        .env("CONVOKE_JOB_ID", "j1")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(!world.state_home().join("daemon.json").exists());
}

/// Makes the daemon look as if it were of another version; its process id.
fn pretend_version(world: &TestEnvironment, version: &str) -> Value {
    let path = world.state_home().join("daemon.json");
    let text = fs_err::read_to_string(&path).expect("its address");
    let mut file: Value = serde_json::from_str(&text).expect("JSON");
    file["programVersion"] = version.into();
    fs_err::write(&path, file.to_string()).expect("written");
    file["pid"].clone()
}

#[test]
fn an_older_daemon_hands_over_and_its_jobs_go_on() {
    let world = world();
    let gate = world.root().join("gate");
    let script = json!([
        {"do": "out", "text": "first"},
        {"do": "wait_file", "path": gate},
        {"do": "out", "text": "last"},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    world.wait_state(&job, &["running"]);
    let old = pretend_version(&world, "0.0.9");
    // What starts no daemon replaces none.
    assert_eq!(world.json(&["daemon", "status"])["pid"], old);
    let worker = world.run_with(&[("CONVOKE_JOB_ID", "j1")], &["ps"]);
    assert!(worker.success(), "{worker}");
    assert_eq!(world.json(&["daemon", "status"])["pid"], old);
    world.ok(&["ps"]);
    let new = world.json(&["daemon", "status"])["pid"].clone();
    assert_ne!(new, old);
    fs_err::write(gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(messages(&whole_events(&world, &job)), ["first", "last"]);
    assert_eq!(world.json(&["status", &job])["attempts"], 1);
}

#[test]
fn an_old_mcp_server_goes_on_with_a_newer_daemon() {
    let mut world = world();
    world.add_scripted_codex(&scripted_agent());
    let mut old = McpClient::start(&world, &[], "old");
    let says = |text: &str| json!([{"do": "codex", "message": text}]).to_string();
    let first = old.call_ok("codex_spawn", json!({"prompt": says("one")}));
    world.wait_end(first["jobId"].as_str().expect("an id"));
    // The program is replaced and its daemon restarted.
    world.ok(&["daemon", "stop"]);
    world.ok(&["daemon", "start"]);
    let newer = pretend_version(&world, "99.0.0");
    for (job, text) in [(first, "one"), (Value::Null, "two")] {
        let job = match job {
            Value::Null => old.call_ok("codex_spawn", json!({"prompt": says(text)})),
            job => job,
        };
        let wait = json!({"jobIds": [job["jobId"]], "timeoutMs": 30_000});
        assert_eq!(
            old.call_ok("codex_wait_any", wait)["completedJobId"],
            job["jobId"]
        );
        let result = old.call_ok("codex_result", json!({"jobId": job["jobId"]}));
        assert_eq!(result["finalMessage"], text);
    }
    assert_eq!(world.json(&["daemon", "status"])["pid"], newer);
}

#[test]
fn a_newer_daemon_is_used_as_it_is() {
    let world = world();
    world.ok(&["daemon", "start"]);
    let newer = pretend_version(&world, "99.0.0");
    let job = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(world.json(&["daemon", "status"])["pid"], newer);
}
