//! What the tools mean, to any MCP client, against a real daemon. The agent is
//! the scripted one under the name of `codex`: prompts are its scripts.

use convoke_test_support::{environment::TestEnvironment, mcp_client::McpClient};
use serde_json::{Value, json};

use crate::world::{scripted_agent, world};

/// A world whose `codex` plays the script in the first line of its prompt.
fn scripted_world() -> TestEnvironment {
    let mut world = world();
    let folder = world.root().join("bin");
    let program = folder.join("codex");
    let text = format!(
        "#!/bin/sh\n\
         case \" $* \" in\n\
         *' --version '*) echo codex-cli 0.169.0 ;;\n\
         *' mcp list '*) echo '[]' ;;\n\
         *) exec {} --stdin ;;\n\
         esac\n",
        scripted_agent().display()
    );
    fs_err::create_dir(&folder).expect("made");
    fs_err::write(&program, text).expect("written");
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    world.add_to_path(&folder);
    world
}

fn client(world: &TestEnvironment) -> McpClient {
    McpClient::start(world, &[], "test")
}

/// A prompt for a job that says something and completes.
fn says(message: &str) -> String {
    json!([{"do": "codex", "message": message}]).to_string()
}

/// A prompt for a job that completes when the gate is open.
fn gated(world: &TestEnvironment) -> String {
    let gate = world.root().join("gate");
    json!([{"do": "wait_file", "path": gate}, {"do": "codex", "message": "through"}]).to_string()
}

fn open_gate(world: &TestEnvironment) {
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
}

fn spawn(client: &mut McpClient, prompt: &str) -> String {
    let facts = client.call_ok("codex_spawn", json!({"prompt": prompt}));
    facts["jobId"].as_str().expect("an id").to_owned()
}

fn wait(client: &mut McpClient, jobs: &[&str], timeout_ms: u64) -> Value {
    let arguments = json!({"jobIds": jobs, "timeoutMs": timeout_ms});
    client.call_ok("codex_wait_any", arguments)
}

fn text(answer: &Value) -> &str {
    answer["content"][0]["text"].as_str().expect("a text")
}

/// Calls a tool that refuses; the error.
fn refused(client: &mut McpClient, tool: &str, arguments: Value) -> Value {
    let answer = client.call(tool, arguments.clone());
    assert_eq!(answer["isError"], true, "{tool} {arguments}: {answer:#}");
    let facts = answer["structuredContent"].clone();
    let message = facts["message"].as_str().expect("a message");
    assert!(
        text(&answer).contains(message),
        "both say the same: {answer:#}"
    );
    facts
}

#[test]
fn a_wait_without_patience_has_both_keys() {
    let world = scripted_world();
    let mut client = client(&world);
    let job = spawn(&mut client, &gated(&world));
    let answer = wait(&mut client, &[&job], 0);
    assert_eq!(answer, json!({"completedJobId": null, "timedOut": true}));
    let missing = wait(&mut client, &["jnobody", &job], 0);
    assert_eq!(
        missing,
        json!({"completedJobId": null, "timedOut": true, "missingJobIds": ["jnobody"]})
    );
    let none = wait(&mut client, &["jnobody", "jnothing"], 20_000);
    assert_eq!(
        none,
        json!({"completedJobId": null, "timedOut": false, "missingJobIds": ["jnobody", "jnothing"]})
    );
    open_gate(&world);
    let ended = wait(&mut client, &["jnobody", &job], 20_000);
    assert_eq!(
        (&ended["completedJobId"], &ended["timedOut"]),
        (&json!(job), &json!(false))
    );
    // However often it is asked, the answer is the same.
    assert_eq!(
        wait(&mut client, &[&job], 0)["completedJobId"],
        job.as_str()
    );
}

#[test]
fn a_cancelled_wait_ends_and_the_job_goes_on() {
    let world = scripted_world();
    let mut client = client(&world);
    let job = spawn(&mut client, &gated(&world));
    let arguments = json!({"jobIds": [job], "timeoutMs": 300_000});
    let waiting = client.send_request(
        "tools/call",
        json!({"name": "codex_wait_any", "arguments": arguments}),
    );
    client.notify(
        "notifications/cancelled",
        json!({"requestId": waiting, "reason": "enough"}),
    );
    // The server answers others meanwhile and after.
    let status = client.call_ok("codex_status", json!({"jobId": job}));
    assert_eq!(status["status"], "running");
    open_gate(&world);
    assert_eq!(wait(&mut client, &[&job], 20_000)["status"], "done");
}

#[test]
fn a_wait_is_cut_before_the_client_gives_up() {
    let world = scripted_world();
    let mut client = McpClient::start(&world, &["--max-wait", "200ms"], "test");
    let job = spawn(&mut client, &gated(&world));
    let answer = wait(&mut client, &[&job], 300_000);
    assert_eq!(
        (&answer["timedOut"], &answer["waitedMs"]),
        (&json!(true), &json!(200))
    );
    assert!(
        answer["note"]
            .as_str()
            .is_some_and(|note| note.contains("again")),
        "{answer:#}"
    );
    // The same holds for the tools that wait by nature; the work goes on.
    let slow = client.call_ok(
        "codex",
        json!({"prompt": gated(&world), "sessionId": "talk"}),
    );
    assert_eq!(slow["status"], "running");
    let slow_job = slow["jobId"].as_str().expect("an id").to_owned();
    assert!(
        slow["note"]
            .as_str()
            .is_some_and(|note| note.contains(&slow_job)),
        "{slow:#}"
    );
    open_gate(&world);
    assert_eq!(world.wait_end(&slow_job), "completed");
    assert_eq!(world.wait_end(&job), "completed");
}

#[test]
fn the_first_page_is_never_empty() {
    let world = scripted_world();
    let mut client = client(&world);
    let job = spawn(&mut client, &gated(&world));
    let first = client.call_ok("codex_events", json!({"jobId": job}));
    assert_eq!(first["done"], false);
    assert_eq!(first["events"][0]["type"], "progress");
    assert_eq!(first["events"][0]["content"]["kind"], "queued");
    open_gate(&world);
    wait(&mut client, &[&job], 20_000);
    let rest = client.call_ok(
        "codex_events",
        json!({"jobId": job, "cursor": first["nextCursor"], "maxEvents": 2000}),
    );
    assert_eq!(rest["done"], true);
    let count = |page: &Value| page["events"].as_array().map_or(0, Vec::len);
    assert_eq!(count(&first) + count(&rest), world.events(&job).len());
    // Beyond the end there is nothing, and that is said.
    let beyond = client.call_ok(
        "codex_events",
        json!({"jobId": job, "cursor": rest["nextCursor"]}),
    );
    assert_eq!((count(&beyond), &beyond["done"]), (0, &json!(true)));
}

#[test]
fn texts_are_for_people_and_facts_for_programs() {
    let world = scripted_world();
    let mut client = client(&world);
    let good = spawn(
        &mut client,
        &says("A sentence.\n\n## modifiedFiles\n- `a.txt`\n"),
    );
    let bad = spawn(
        &mut client,
        &json!([{"do": "codex", "message": "half", "fail": "it broke"}, {"do": "exit", "code": 1}])
            .to_string(),
    );
    let mute = spawn(
        &mut client,
        &json!([{"do": "codex", "message": ""}]).to_string(),
    );
    for job in [&good, &bad, &mute] {
        wait(&mut client, &[job], 20_000);
    }
    let answer = client.call("codex_result", json!({"jobId": good}));
    assert_eq!(
        text(&answer),
        "A sentence.\n\n## modifiedFiles\n- `a.txt`\n"
    );
    assert_eq!(
        answer["structuredContent"]["modifiedFiles"]["claimed"],
        json!(["a.txt"])
    );
    let full = client.call("codex_result", json!({"jobId": good, "view": "full"}));
    let facts: Value = serde_json::from_str(text(&full)).expect("JSON");
    assert_eq!(facts, full["structuredContent"]);
    assert!(facts["stdoutTail"].is_string() && facts["stderrTail"].is_string());
    let answer = client.call("codex_result", json!({"jobId": bad}));
    assert!(
        text(&answer).starts_with(&format!("[failed] job {bad}")),
        "{}",
        text(&answer)
    );
    assert!(
        text(&answer).contains("it broke") && text(&answer).contains("half"),
        "{}",
        text(&answer)
    );
    assert_eq!(answer["structuredContent"]["code"], "agent_failed");
    assert_eq!(answer["structuredContent"]["exitCode"], 1);
    let answer = client.call("codex_result", json!({"jobId": mute}));
    assert!(
        text(&answer).contains("modifiedFiles:\n(none)"),
        "{}",
        text(&answer)
    );
    assert_eq!(answer["structuredContent"]["finalMessage"], Value::Null);
    let failed = client.call(
        "codex",
        json!({"prompt": json!([{"do": "exit", "code": 3}]).to_string()}),
    );
    assert_eq!(failed["isError"], true);
    assert_eq!(failed["structuredContent"]["exitCode"], 3);
}

#[test]
fn unknown_jobs_are_named_with_the_home_searched() {
    let world = scripted_world();
    let mut client = client(&world);
    spawn(&mut client, &says("so that there is a daemon"));
    for tool in [
        "codex_status",
        "codex_result",
        "codex_events",
        "codex_cancel",
    ] {
        let error = refused(&mut client, tool, json!({"jobId": "jnobody"}));
        assert_eq!(error["code"], "unknown_job");
        assert_eq!(error["message"], "Unknown jobId: jnobody");
        let hint = error["hint"].as_str().expect("a hint");
        assert!(hint.contains("codex_jobs"), "{hint}");
        assert!(
            hint.contains(&world.state_home().display().to_string()),
            "{hint}"
        );
    }
    let error = refused(
        &mut client,
        "codex_interrupt",
        json!({"jobId": "jnobody", "newPrompt": "x"}),
    );
    assert_eq!(error["code"], "unknown_job");
}

#[test]
fn a_cap_queues_and_says_so() {
    let mut world = scripted_world();
    world.set("CODEX_MCP_MAX_JOBS", "1");
    let mut client = client(&world);
    let first = spawn(&mut client, &gated(&world));
    let second = client.call_ok("codex_spawn", json!({"prompt": says("second")}));
    assert_eq!(second["status"], "running");
    assert_eq!(
        (&second["state"], &second["queue"]["reason"]),
        (&json!("queued"), &json!("cap"))
    );
    let message = second["queue"]["message"].as_str().expect("a message");
    assert!(message.contains("CODEX_MCP_MAX_JOBS"), "{message}");
    let second = second["jobId"].as_str().expect("an id").to_owned();
    assert_eq!(wait(&mut client, &[&second], 0)["timedOut"], true);
    open_gate(&world);
    for job in [&first, &second] {
        assert_eq!(wait(&mut client, &[job], 20_000)["status"], "done");
    }
}

#[test]
fn wrong_variables_fail_every_spawn() {
    let mut world = scripted_world();
    world.set("CODEX_MCP_DEFAULT_SANDBOX", "everything");
    let mut client = client(&world);
    let calls = [
        ("codex_spawn", json!({"prompt": "x"})),
        (
            "codex_spawn",
            json!({"prompt": "x", "sandbox": "read-only"}),
        ),
        ("codex_spawn_group", json!({"jobs": [{"prompt": "x"}]})),
        ("codex", json!({"prompt": "x"})),
        ("review", json!({})),
    ];
    for (tool, arguments) in calls {
        let error = refused(&mut client, tool, arguments);
        assert_eq!(error["code"], "config_invalid", "{tool}");
        let message = error["message"].as_str().expect("a message");
        for word in [
            "CODEX_MCP_DEFAULT_SANDBOX",
            "everything",
            "read-only",
            "workspace-write",
            "danger-full-access",
        ] {
            assert!(message.contains(word), "{tool}: {message}");
        }
    }
    assert_eq!(client.call_ok("ping", json!({}))["message"], "pong");
    drop(client);
    world.unset("CODEX_MCP_DEFAULT_SANDBOX");
    world.set("CODEX_MCP_MAX_JOBS", "many");
    let mut client = self::client(&world);
    let error = refused(&mut client, "codex_spawn", json!({"prompt": "x"}));
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("CODEX_MCP_MAX_JOBS"))
    );
}

#[test]
fn the_default_sandbox_comes_from_the_variable() {
    let mut world = scripted_world();
    world.set("CODEX_MCP_DEFAULT_SANDBOX", "read-only");
    let mut client = client(&world);
    let spawned = client.call_ok("codex_spawn", json!({"prompt": says("x")}));
    assert_eq!(spawned["sandbox"], "read-only");
    let asked = client.call_ok(
        "codex_spawn",
        json!({"prompt": says("x"), "sandbox": "workspace-write"}),
    );
    assert_eq!(asked["sandbox"], "workspace-write");
    let auto = client.call_ok(
        "codex_spawn",
        json!({"prompt": says("x"), "fullAuto": true}),
    );
    assert_eq!(auto["sandbox"], "workspace-write");
}

#[test]
fn a_repeated_call_starts_nothing() {
    let world = scripted_world();
    let mut client = client(&world);
    let arguments = json!({"prompt": says("once"), "idempotencyKey": "key"});
    let first = client.call_ok("codex_spawn", arguments.clone());
    let again = client.call_ok("codex_spawn", arguments);
    assert_eq!(again["jobId"], first["jobId"]);
    assert_eq!(
        (first.get("existed"), &again["existed"]),
        (None, &json!(true))
    );
    let other = json!({"prompt": says("twice"), "idempotencyKey": "key"});
    let error = refused(&mut client, "codex_spawn", other);
    assert_eq!(error["code"], "idempotency_conflict");
    let group =
        json!({"jobs": [{"prompt": says("a")}, {"prompt": says("b")}], "idempotencyKey": "group"});
    let first = client.call_ok("codex_spawn_group", group.clone());
    let again = client.call_ok("codex_spawn_group", group);
    for index in 0..2 {
        assert_eq!(
            first["results"][index]["jobId"],
            again["results"][index]["jobId"]
        );
    }
    let jobs = client.call_ok("codex_jobs", json!({}));
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(3));
}

#[test]
fn wrong_arguments_are_named() {
    let world = scripted_world();
    let mut client = client(&world);
    let job = spawn(&mut client, &says("x"));
    let cases = [
        ("codex_spawn", json!({}), "prompt"),
        ("codex_spawn", json!({"prompt": 7}), "prompt"),
        ("codex_spawn", json!({"prompt": "  "}), "prompt"),
        (
            "codex_spawn",
            json!({"prompt": "x", "sandbox": "lots"}),
            "sandbox",
        ),
        (
            "codex_spawn",
            json!({"prompt": "x", "reasoningEffort": "max"}),
            "reasoningEffort",
        ),
        (
            "codex_spawn",
            json!({"prompt": "x", "workingDirectory": "/no/such/folder"}),
            "workingDirectory",
        ),
        (
            "codex_spawn",
            json!({"prompt": "x", "needs": ["jnobody"]}),
            "jnobody",
        ),
        (
            "codex_spawn",
            json!({"prompt": "x", "outputSchema": {"type": 7}}),
            "outputSchema",
        ),
        ("codex_spawn_group", json!({"jobs": []}), "jobs"),
        (
            "codex_spawn_group",
            json!({"jobs": [{"label": "a"}]}),
            "prompt",
        ),
        ("codex_wait_any", json!({"jobIds": job}), "jobIds"),
        (
            "codex_wait_any",
            json!({"jobIds": [job], "timeoutMs": 300_001}),
            "timeoutMs",
        ),
        (
            "codex_wait_any",
            json!({"jobIds": [job], "timeoutMs": -1}),
            "timeoutMs",
        ),
        (
            "codex_events",
            json!({"jobId": job, "cursor": "yesterday"}),
            "ursor",
        ),
        (
            "codex_events",
            json!({"jobId": job, "maxEvents": 0}),
            "maxEvents",
        ),
        (
            "codex_events",
            json!({"jobId": job, "maxEvents": 2001}),
            "maxEvents",
        ),
        (
            "codex_events",
            json!({"jobId": job, "maxEvents": "many"}),
            "maxEvents",
        ),
        (
            "codex_result",
            json!({"jobId": job, "view": "half"}),
            "view",
        ),
        (
            "codex_cancel",
            json!({"jobId": job, "force": "yes"}),
            "force",
        ),
        ("codex_status", json!({}), "jobId"),
        ("codex_jobs", json!({"state": "sleeping"}), "state"),
        (
            "codex",
            json!({"prompt": "x", "resetSession": true}),
            "sessionId",
        ),
        ("review", json!({"base": "main", "commit": "abc"}), "commit"),
    ];
    for (tool, arguments, names) in cases {
        let error = refused(&mut client, tool, arguments.clone());
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(names), "{tool} {arguments}: {message}");
        let code = error["code"].as_str().expect("a code");
        assert!(
            ["invalid_argument", "bad_cursor", "unknown_job"].contains(&code),
            "{tool} {arguments}: {code}"
        );
    }
    let jobs = client.call_ok("codex_jobs", json!({}));
    assert_eq!(
        jobs["jobs"].as_array().map(Vec::len),
        Some(1),
        "nothing was started"
    );
    // What is not known is tolerated, and whole numbers may look otherwise.
    let odd = json!({"jobId": job, "maxEvents": 5.0, "somethingNew": {"a": 1}, "cursor": null});
    client.call_ok("codex_events", odd);
}

#[test]
fn command_jobs_are_listed_and_not_started_here() {
    let world = scripted_world();
    let command = world.spawn_command(&["--label", "by hand"], &["sh", "-c", "echo hello"]);
    world.wait_end(&command);
    let mut client = client(&world);
    let agent = spawn(&mut client, &says("x"));
    wait(&mut client, &[&agent], 20_000);
    let ids = |facts: &Value| -> Vec<String> {
        let jobs = facts["jobs"].as_array().expect("a list").iter();
        jobs.map(|job| job["jobId"].as_str().expect("an id").to_owned())
            .collect()
    };
    let all = client.call_ok("codex_jobs", json!({}));
    assert_eq!(ids(&all), [agent.clone(), command.clone()], "newest first");
    let mine = client.call_ok("codex_jobs", json!({"mine": true}));
    assert_eq!(ids(&mine), std::slice::from_ref(&agent));
    let named = client.call_ok(
        "codex_jobs",
        json!({"agent": "command", "state": "done", "label": "hand"}),
    );
    assert_eq!(ids(&named), std::slice::from_ref(&command));
    let first = client.call_ok("codex_jobs", json!({"limit": 1}));
    let second = client.call_ok(
        "codex_jobs",
        json!({"limit": 1, "cursor": first["nextCursor"]}),
    );
    assert_eq!(
        (ids(&first), ids(&second)),
        (vec![agent], vec![command.clone()])
    );
    let result = client.call("codex_result", json!({"jobId": command}));
    assert_eq!(text(&result), "hello");
    let refused = refused(
        &mut client,
        "codex_interrupt",
        json!({"jobId": command, "newPrompt": "x"}),
    );
    assert_eq!(refused["code"], "invalid_argument");
    let error = self::refused(&mut client, "codex_spawn", json!({"argv": ["true"]}));
    assert_eq!(error["code"], "invalid_argument");
}

#[test]
fn a_daemon_that_died_is_replaced() {
    let world = scripted_world();
    let mut client = client(&world);
    let job = spawn(&mut client, &gated(&world));
    // While the runner is being started, its process holds the daemon's sockets.
    world.wait_state(&job, &["running"]);
    world.kill_daemon();
    let next = spawn(&mut client, &says("after"));
    open_gate(&world);
    for job in [&job, &next] {
        assert_eq!(wait(&mut client, &[job], 20_000)["status"], "done");
    }
}
