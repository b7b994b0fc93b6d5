//! A worker that uses the command line: it may read its own job and nothing
//! else, starts no workers and no daemon.

use convoke_test_support::environment::TestEnvironment;
use serde_json::{Value, json};

use crate::{
    checks::{all_jobs, only_the_daemon_runs},
    world::{forbid_namespaces, world},
};

/// Runs a shell script as a job in which `$convoke` is the program with the
/// state home of the test, and answers what it printed. `try` prints at once, so
/// that it is one block of output: the last one is the result.
fn inside(world: &TestEnvironment, script: &str) -> (String, String) {
    let home = world.state_home();
    let prefix = format!(
        "convoke='{} --format json --home {}'; try() {{ all=$(\"$@\" 2>&1; echo \"code $?\"); echo \"$all\"; }};",
        env!("CARGO_BIN_EXE_convoke"),
        home.display()
    );
    let job = world.spawn_command(&[], &["sh", "-c", &format!("{prefix} {script}")]);
    assert_eq!(world.wait_end(&job), "completed");
    let printed = world.ok(&["result", &job]);
    (job, printed)
}

/// The error a refused command printed, and its exit code.
fn error_of(printed: &str) -> (Value, String) {
    let (json, code) = printed.rsplit_once("code ").expect("an exit code");
    let error = serde_json::from_str(json).unwrap_or_else(|_| panic!("no JSON: {printed}"));
    (error, code.trim().to_owned())
}

fn assert_refused(printed: &str) {
    let (error, code) = error_of(printed);
    assert_eq!(error["code"], "inside_job", "{printed}");
    assert_eq!(code, "5", "{printed}");
    assert!(error["hint"].is_string(), "{printed}");
}

#[test]
fn it_sees_its_own_job() {
    let world = world();
    let (job, printed) = inside(&world, "$convoke status \"$CONVOKE_JOB_ID\"");
    let status: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(status["jobId"], job.as_str());
    let (_, printed) = inside(&world, "try $convoke events \"$CONVOKE_JOB_ID\"");
    assert!(
        printed.contains("queued") && printed.ends_with("code 0"),
        "{printed}"
    );
}

#[test]
fn it_sees_no_other_job() {
    let world = world();
    let other = world.spawn_command(&["--label", "other"], &["true"]);
    assert_eq!(world.wait_end(&other), "completed");
    for command in [
        "ps".to_owned(),
        format!("status {other}"),
        "status other".to_owned(),
        format!("events {other}"),
        format!("result {other}"),
        format!("wait {other}"),
        "config show".to_owned(),
    ] {
        let (_, printed) = inside(&world, &format!("try $convoke {command}"));
        assert_refused(&printed);
    }
}

#[test]
fn it_changes_nothing() {
    let world = world();
    let other = world.spawn_command(&[], &["sleep", "1000"]);
    world.wait_state(&other, &["running"]);
    for command in [
        "spawn -- true".to_owned(),
        "run -- true".to_owned(),
        format!("cancel --force {other}"),
        "cancel --wait 0s \"$CONVOKE_JOB_ID\"".to_owned(),
        "daemon stop --jobs".to_owned(),
    ] {
        let (_, printed) = inside(&world, &format!("try $convoke {command}"));
        assert_refused(&printed);
    }
    assert_eq!(world.state(&other), "running");
    assert_eq!(all_jobs(&world).len(), 6, "no job came of it");
    world.ok(&["cancel", "--force", &other]);
}

/// Ways to look as if one were not inside a job.
const DISGUISES: [&str; 3] = [
    "env -i HOME=\"$HOME\" PATH=\"$PATH\"",
    "env -i HOME=\"$HOME\" PATH=\"$PATH\" setsid -w",
    "env -u CONVOKE_JOB_ID -u CONVOKE_RUNNER_ID nohup",
];

fn disguises_do_not_help(world: &TestEnvironment) {
    for disguise in DISGUISES {
        let (_, printed) = inside(
            world,
            &format!("try {disguise} $convoke spawn -- true < /dev/null"),
        );
        assert_refused(&printed);
    }
    // Its parents gone, it still descends from the runner.
    let script = "(env -i HOME=\"$HOME\" PATH=\"$PATH\" setsid sh -c \
        \"$convoke spawn -- true > out 2>&1; echo code \\$? >> out; mv out answer\" &) ; \
        while ! test -e answer; do sleep 0.01; done; cat answer; rm answer";
    let (_, printed) = inside(world, script);
    assert_refused(&printed);
    assert_eq!(all_jobs(world).len(), DISGUISES.len() + 1);
}

#[test]
fn its_ancestors_tell_what_it_is() {
    disguises_do_not_help(&world());
}

#[test]
fn its_ancestors_tell_what_it_is_without_namespaces() {
    let mut world = world();
    if forbid_namespaces(&mut world) {
        disguises_do_not_help(&world);
    }
}

#[test]
fn it_starts_no_daemon_of_its_own() {
    let world = world();
    let other = world.root().join("other");
    let program = env!("CARGO_BIN_EXE_convoke");
    for disguise in ["env", DISGUISES[0], DISGUISES[1]] {
        for command in ["ps", "spawn -- true", "daemon start", "daemon run"] {
            let script = format!(
                "try {disguise} {program} --format json --home {} {command}",
                other.display()
            );
            let (_, printed) = inside(&world, &script);
            let (error, code) = error_of(&printed);
            let known = error["code"] == "daemon_unavailable" || error["code"] == "inside_job";
            assert!(known, "{command}: {printed}");
            assert!(["5", "6"].contains(&code.as_str()), "{printed}");
            let message = error["message"].as_str().expect("words");
            assert!(message.contains("inside a job"), "{printed}");
        }
    }
    assert!(!other.exists(), "no state home was made");
    only_the_daemon_runs(&world);
}

#[test]
fn an_mcp_server_inside_a_job_serves_no_workers() {
    let world = world();
    let request = |id: u32, method: &str, params: Value| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    };
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "w", "version": "1"}});
    let lines = [
        request(1, "initialize", hello),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string(),
        request(
            2,
            "tools/call",
            json!({"name": "codex_jobs", "arguments": {}}),
        ),
    ];
    let input = world.root().join("input");
    fs_err::write(&input, lines.join("\n") + "\n").expect("the file is written");
    // The input stays open until the answer is there.
    let script = format!(
        "mkfifo pipe; $convoke mcp < pipe > answers & exec 3> pipe; cat {} >&3; \
         while ! grep -q '\"id\":2' answers; do sleep 0.01; done; exec 3>&-; wait; cat answers; rm pipe answers",
        input.display()
    );
    let (_, printed) = inside(&world, &script);
    let answer: Value = printed
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["id"] == 2)
        .expect("an answer");
    assert_eq!(answer["result"]["isError"], true, "{answer:#}");
    assert!(answer.to_string().contains("inside_job"), "{answer:#}");
}
