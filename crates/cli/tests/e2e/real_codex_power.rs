//! A worker has no more power than was asked for, nor than its caller has.

use convoke_scripted_model::{Script, Step};
use convoke_test_support::codex::real_codex;
use serde_json::{Value, json};

use crate::codex_world::{
    CodexWorld, Coordinated, ToolCall, prompt, spawn, spawn_with, tool, wait_any,
};

/// Checks that a call was refused for asking too much, and says by which
/// argument.
fn check_refused(call: &ToolCall, names: &str) {
    assert_eq!(call.status, "failed", "{names}: {call:#?}");
    assert_eq!(call.facts["code"], "power_exceeded", "{names}: {call:#?}");
    assert!(call.text.contains(names), "{names}: {call:#?}");
    assert!(call.facts["hint"].is_string(), "{names}: {call:#?}");
}

/// A spawn with these arguments that is expected to be refused.
fn greedy(more: Value) -> Step {
    spawn_with("greedy", &[Step::say("never said")], more)
}

#[test]
fn a_reading_caller_gets_readers_only() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let worker = [
        // Codex's stream says nothing of a command that fails at once.
        Step::shell("echo written > forbidden.txt"),
        Step::say("I tried"),
    ];
    let steps = [
        greedy(json!({"sandbox": "workspace-write"})),
        greedy(json!({"fullAuto": true})),
        greedy(json!({"sandbox": "danger-full-access"})),
        tool(
            "codex",
            json!({"prompt": "x", "sandbox": "workspace-write"}),
        ),
        tool("codex_spawn", json!({"argv": ["touch", "forbidden.txt"]})),
        spawn("reader", &worker),
        wait_any("waited", &["${reader.jobId}"]),
        tool("codex_result", json!({"jobId": "${reader.jobId}"})),
        tool(
            "codex_interrupt",
            json!({"jobId": "${reader.jobId}", "newPrompt": "x", "overrides": {"sandbox": "workspace-write"}}),
        ),
        Step::say("done"),
    ];
    let done = world.coordinate("read-only", &steps).well();
    let spawns = done.calls_of("codex_spawn");
    for call in &spawns[..3] {
        check_refused(call, "`sandbox`");
    }
    check_refused(done.call("codex"), "`sandbox`");
    assert_eq!(
        spawns[3].facts["code"], "invalid_argument",
        "a prompt is missing"
    );
    let reader = &spawns[4].facts;
    assert_eq!(reader["sandbox"], "read-only");
    assert!(
        reader["notices"][0]
            .as_str()
            .is_some_and(|notice| notice.contains("narrowed"))
    );
    check_bounded(&world, &done);
    assert_eq!(
        world.json(&["ps", "--all"])["jobs"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

/// The worker was really held, and its result says so with the remedy.
fn check_bounded(world: &CodexWorld, done: &Coordinated) {
    assert!(!world.work().join("forbidden.txt").exists());
    let result = done.ok("codex_result");
    assert!(result.text.contains("I tried"), "{result:#?}");
    let denied = result.facts["sandboxDenied"].as_array();
    assert_eq!(denied.map(Vec::len), Some(1), "{result:#?}");
    let denied = result.facts["sandboxDenied"][0].as_str().expect("a text");
    assert!(denied.contains("Read-only file system"), "{denied}");
    assert!(denied.contains("workspace-write"), "{denied}");
}

#[test]
fn a_reading_caller_takes_nothing_back() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let worker = [Step::shell("echo written > a.txt"), Step::say("done")];
    let job = world.spawn_worker(&["-s", "workspace-write"], &worker);
    world.completed(&job);
    let steps = [
        tool("codex_changes", json!({"jobId": job})),
        tool("codex_rollback", json!({"jobId": job, "dryRun": true})),
        tool("codex_rollback", json!({"jobId": job})).named("refused"),
        Step::say("done"),
    ];
    let done = world.coordinate("read-only", &steps).well();
    assert_eq!(done.answer("codex_changes")["changes"][0]["path"], "a.txt");
    let calls = done.calls_of("codex_rollback");
    assert_eq!(calls[0].facts["restored"], json!(["a.txt"]));
    check_refused(calls[1], "the caller's own sandbox");
    assert!(world.work().join("a.txt").exists());
    let done = world.coordinate("workspace-write", &steps).well();
    assert_eq!(done.answer("codex_rollback")["restored"], json!(["a.txt"]));
    assert!(!world.work().join("a.txt").exists());
}

#[test]
fn a_writing_caller_gives_no_more_than_its_folder() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let other = world.root().join("other");
    fs_err::create_dir(&other).expect("made");
    let other = other.to_str().expect("UTF-8");
    let asked = [
        (json!({"sandbox": "danger-full-access"}), "`sandbox`"),
        (json!({"workingDirectory": other}), "`workingDirectory`"),
        (json!({"workingDirectory": ".."}), "`workingDirectory`"),
        (json!({"addDirs": [other]}), "`addDirs`"),
        (
            json!({"configOverrides": ["sandbox_mode=\"danger-full-access\""]}),
            "sandbox_mode",
        ),
        (
            json!({"configOverrides": ["sandbox_workspace_write.writable_roots=[\"/\"]"]}),
            "sandbox_workspace_write",
        ),
        (
            json!({"configOverrides": ["mcp_servers.x.command=\"sh\""]}),
            "mcp_servers.x.command",
        ),
        (json!({"configOverrides": ["notify=[\"sh\"]"]}), "notify"),
        (json!({"env": {"CODEX_HOME": other}}), "CODEX_HOME"),
        (json!({"env": {"PATH": other}}), "PATH"),
        (json!({"env": {"LD_PRELOAD": other}}), "LD_PRELOAD"),
    ];
    let mut steps: Vec<Step> = asked.iter().map(|(more, _)| greedy(more.clone())).collect();
    let elsewhere = json!({"sandbox": "read-only", "workingDirectory": other});
    let job = |more: Value| {
        let mut job = json!({"prompt": "x"});
        job.as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().expect("an object"));
        job
    };
    steps.extend([
        tool(
            "codex_spawn_group",
            json!({"jobs": [job(asked[0].0.clone()), job(asked[1].0.clone())]}),
        ),
        spawn_with(
            "reader",
            &[Step::shell("pwd"), Step::say("read elsewhere")],
            elsewhere,
        ),
        wait_any("waited", &["${reader.jobId}"]),
        tool("codex_result", json!({"jobId": "${reader.jobId}"})),
        Step::say("done"),
    ]);
    let done = world.coordinate("workspace-write", &steps).well();
    let spawns = done.calls_of("codex_spawn");
    for ((_, names), call) in asked.iter().zip(&spawns) {
        check_refused(call, names);
    }
    for result in done.answer("codex_spawn_group")["results"]
        .as_array()
        .expect("a list")
    {
        assert_eq!(result["code"], "power_exceeded", "{result:#}");
    }
    assert_eq!(done.ok("codex_result").text, "read elsewhere");
    assert_eq!(
        world.json(&["ps", "--all"])["jobs"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn full_access_needs_the_users_policy_too() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let steps = [
        greedy(json!({"sandbox": "danger-full-access"})),
        Step::say("done"),
    ];
    let done = world.coordinate("danger-full-access", &steps).well();
    check_refused(done.call("codex_spawn"), "policy.max_sandbox");
    world.write_config("[policy]\nmax_sandbox = \"danger-full-access\"\n");
    let outside = world.root().join("outside.txt");
    let worker = [
        Step::shell(format!("echo written > {}", outside.display())),
        Step::say("wrote it"),
    ];
    let steps = [
        spawn("by_default", &[Step::say("modest")]),
        spawn_with(
            "powerful",
            &worker,
            json!({"sandbox": "danger-full-access"}),
        ),
        wait_any("waited", &["${powerful.jobId}"]),
        Step::say("done"),
    ];
    let done = world.coordinate("danger-full-access", &steps).well();
    let spawns = done.calls_of("codex_spawn");
    assert_eq!(
        spawns[0].facts["sandbox"], "workspace-write",
        "full access is never a default"
    );
    assert_eq!(spawns[1].facts["sandbox"], "danger-full-access");
    assert!(outside.exists());
}

#[test]
fn a_writer_is_held_to_its_folder() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    let work = fs_err::canonicalize(world.work()).expect("there");
    // The sandbox lets `/tmp` and `TMPDIR` be written, wherever this checkout
    // is; `/var/tmp` is neither.
    let outside =
        std::path::PathBuf::from(format!("/var/tmp/convoke-outside-{}", std::process::id()));
    let command = format!(
        "echo in > inside.txt; echo out > {}; echo tried",
        outside.display()
    );
    let job = world.spawn_worker(&[], &[Step::shell(command), Step::say("tried both")]);
    let result = world.completed(&job);
    assert!(work.join("inside.txt").exists());
    assert!(!outside.exists());
    let denied = result["sandboxDenied"][0]
        .as_str()
        .unwrap_or_else(|| panic!("{result:#}"));
    assert!(denied.contains("addDirs"), "{denied}");
}

#[test]
fn in_the_sandbox_the_command_line_says_why_it_cannot() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    let program = env!("CARGO_BIN_EXE_convoke");
    let home = world.state_home();
    let in_home = format!("{program} --home {} --format json", home.display());
    let worker = [
        Step::shell(format!("{in_home} spawn 'more work'; echo code $?")),
        Step::shell(format!("{in_home} ps; echo code $?")),
        Step::shell(format!("{program} --format json ps; echo code $?")),
        Step::say("tried"),
    ];
    let job = world.spawn_prompt(&[], &prompt("Work.", &worker));
    world.completed(&job);
    let events = world.events(&job);
    let results: Vec<String> = events
        .iter()
        .filter(|event| event["type"] == "tool_result")
        .map(|event| event["content"].to_string())
        .collect();
    assert_eq!(results.len(), 3);
    for result in results {
        assert!(result.contains("daemon_unavailable"), "{result}");
        assert!(result.contains("hint"), "{result}");
        assert!(!result.contains("code 0"), "{result}");
    }
    assert_eq!(
        world.json(&["ps", "--all"])["jobs"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert!(
        !world.home().join(".local/state/convoke").exists(),
        "nothing was started"
    );
}

#[test]
fn with_full_access_too_a_worker_starts_no_workers() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    world.write_config("[policy]\nmax_sandbox = \"danger-full-access\"\n");
    // The marks are taken off: it is known by its ancestors.
    let in_home = format!(
        "env -u CONVOKE_JOB_ID -u CONVOKE_RUNNER_ID {} --home {} --format json",
        env!("CARGO_BIN_EXE_convoke"),
        world.state_home().display()
    );
    let worker = [
        Step::shell(format!("{in_home} spawn 'more work'; echo code $?")),
        Step::shell(format!("{in_home} spawn -- touch made.txt; echo code $?")),
        Step::shell(format!("{in_home} ps; echo code $?")),
        Step::say("tried"),
    ];
    let job = world.spawn_worker(&["-s", "danger-full-access"], &worker);
    world.completed(&job);
    let events = world.events(&job);
    let results = events.iter().filter(|event| event["type"] == "tool_result");
    let mut count = 0;
    for result in results {
        let text = result["content"].to_string();
        assert!(text.contains("inside_job"), "{text}");
        count += 1;
    }
    assert_eq!(count, 3, "{events:#?}");
    assert!(!world.work().join("made.txt").exists());
    let jobs = world.json(&["ps", "--all"]);
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1));
}
