//! Workers that commit although they may not.

use convoke_scripted_model::{Script, Step};
use convoke_test_support::codex::real_codex;
use serde_json::{Value, json};

use crate::codex_world::CodexWorld;

const COMMIT: &str =
    "git add -A && git -c user.name=w -c user.email=w@example.invalid commit -q -m work";

/// The contents of a job's events of one kind, and the kind of its last event.
fn events_of(world: &CodexWorld, job: &str, kind: &str) -> (Vec<Value>, String) {
    let ran = world.ok(&["--format", "json", "events", job]);
    let all: Vec<Value> = ran
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event"))
        .collect();
    let last = all.last().map(|event| event["type"].to_string());
    let found = all.iter().filter(|event| event["type"] == kind);
    let contents = found.map(|event| event["content"].clone()).collect();
    (contents, last.unwrap_or_default())
}

fn world_with_a_commit(codex: &std::path::Path) -> CodexWorld {
    let world = CodexWorld::unregistered(codex, Script::default());
    fs_err::write(world.work().join("f"), "one\n").expect("written");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "one"]);
    world
}

#[test]
fn a_sandboxed_worker_cannot_commit_and_its_try_is_a_violation() {
    let Some(codex) = real_codex() else { return };
    let world = world_with_a_commit(&codex);
    let head = world.git(&["rev-parse", "HEAD"]);
    let steps = [
        Step::shell(format!("echo two >> f; {COMMIT}")),
        Step::say("done"),
    ];
    let job = world.spawn_worker(&["-s", "workspace-write"], &steps);
    let result = world.completed(&job);
    assert_eq!(world.git(&["rev-parse", "HEAD"]), head);
    let violations = &result["job"]["violations"];
    assert_eq!(violations[0]["rule"], "history", "{result:#}");
    let tried = violations[0]["items"][0].as_str().expect("a command");
    assert!(tried.contains("git add -A"), "{tried}");
    let (events, last) = events_of(&world, &job, "violation");
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(
        (&*last, &events[0]["rule"]),
        ("\"final\"", &json!("history"))
    );
}

#[test]
fn a_commit_of_a_worker_with_full_access_is_seen_and_taken_back() {
    let Some(codex) = real_codex() else { return };
    let world = world_with_a_commit(&codex);
    world.write_config("[policy]\nmax_sandbox = \"danger-full-access\"\n");
    let head = world.git(&["rev-parse", "HEAD"]);
    let steps = [
        Step::shell(format!("echo two >> f; {COMMIT}; git branch side")),
        Step::say("done"),
    ];
    let job = world.spawn_worker(&["-s", "danger-full-access"], &steps);
    let result = world.completed(&job);
    assert_ne!(world.git(&["rev-parse", "HEAD"]), head);
    let violation = &result["job"]["violations"][0];
    assert_eq!(violation["rule"], "history", "{result:#}");
    assert_eq!(violation["items"], result["integrity"]["refsChanged"]);
    assert_eq!(violation["items"].as_array().map(Vec::len), Some(2));
    let shown = world.ok(&["status", &job]);
    assert!(shown.contains("refs/heads/side (none) -> "), "{shown}");

    let planned = world.ok(&["rollback", &job, "--history", "--dry-run"]);
    assert!(
        planned.contains("would restore refs/heads/side"),
        "{planned}"
    );
    assert_ne!(world.git(&["rev-parse", "HEAD"]), head);
    world.ok(&["rollback", &job, "--history"]);
    assert_eq!(world.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(world.git(&["branch", "--list", "side"]), "");
    let again = world.ok(&["rollback", &job, "--history"]);
    assert_eq!(again, "", "nothing is left to take back");
    let text = fs_err::read_to_string(world.work().join("f")).expect("read");
    assert_eq!(text, "one\n");

    // By policy such a job fails.
    world.write_config(
        "[policy]\nmax_sandbox = \"danger-full-access\"\n[workspace]\nviolations = \"fail\"\n",
    );
    let steps = [Step::shell("git tag mine"), Step::say("done")];
    let job = world.spawn_worker(&["-s", "danger-full-access"], &steps);
    let status = world.failed(&job, "policy");
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains("refs/tags/mine"), "{message}");
}

#[test]
fn what_others_do_to_the_history_meanwhile_is_no_violation() {
    let Some(codex) = real_codex() else { return };
    let world = world_with_a_commit(&codex);
    let gate = world.root().join("gate");
    let until = format!("until test -e {}; do sleep 0.02; done", gate.display());
    let steps = [Step::shell(until), Step::say("done")];
    let job = world.spawn_worker(&["-s", "workspace-write"], &steps);
    world.wait_state(&job, &["running"]);
    world.git(&["tag", "mine"]);
    fs_err::write(gate, "").expect("the gate opens");
    let result = world.completed(&job);
    assert_eq!(result["job"]["violations"], json!([]), "{result:#}");
    let refused = world.run(&["rollback", &job, "--history"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(
        refused.stderr.contains("kept it from the history"),
        "{refused}"
    );
    assert_eq!(world.git(&["tag", "--list"]), "mine\n");
    let refs = &result["integrity"]["refsChanged"];
    assert_eq!(refs.as_array().map(Vec::len), Some(1), "{result:#}");
}
