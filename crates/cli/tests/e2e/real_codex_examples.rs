//! The examples of `docs/orchestration.md`, given to a real Codex that plays what
//! they ask for.

use std::path::Path;

use convoke_scripted_model::{Script, Step};
use convoke_test_support::codex::real_codex;
use serde_json::json;

use crate::codex_world::{CodexWorld, shell_until, spawn_with, tool, wait_any};

/// The example below the words that introduce it.
fn example(introduction: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/orchestration.md");
    let text = fs_err::read_to_string(path).expect("the page");
    let (_, after) = text.split_once(introduction).expect("the introduction");
    let block = after.split("```text\n").nth(1).expect("an example");
    block.split("\n```").next().expect("its end").to_owned()
}

fn reader(name: &str, steps: &[Step]) -> Step {
    spawn_with(name, steps, json!({"sandbox": "read-only"}))
}

#[test]
fn parallel_exploration() {
    let Some(codex) = real_codex() else { return };
    let text = example("Parallel exploration, with a synthesis:");
    assert!(text.contains("three read-only sub-agents"), "{text}");
    let world = CodexWorld::with_script(&codex, Script::default());
    let found = |what: &str| [Step::say(format!("found {what}\n\nmodifiedFiles:\n(none)"))];
    let steps = [
        reader("parsing", &found("the parser")),
        reader("storage", &found("the store")),
        reader("errors", &found("the errors")),
        tool(
            "codex_wait_any",
            json!({"jobIds": ["parsing"], "timeoutMs": 20_000}),
        ),
        tool(
            "codex_wait_any",
            json!({"jobIds": ["storage"], "timeoutMs": 20_000}),
        ),
        tool(
            "codex_wait_any",
            json!({"jobIds": ["errors"], "timeoutMs": 20_000}),
        ),
        tool("codex_result", json!({"jobId": "parsing"})),
        tool("codex_result", json!({"jobId": "storage"})),
        tool("codex_result", json!({"jobId": "errors"})),
        Step::say("one page"),
    ];
    let done = world.coordinate_told("read-only", &text, &steps).well();
    let results = done.calls_of("codex_result");
    for (result, what) in results.iter().zip(["parser", "store", "errors"]) {
        assert_eq!(result.facts["status"], "done");
        assert!(
            result.text.contains(&format!("found the {what}")),
            "{result:#?}"
        );
    }
    assert_eq!(results.len(), 3);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

#[test]
fn reactive() {
    let Some(codex) = real_codex() else { return };
    let text = example("Reactive, with three spawns:");
    assert!(text.contains("cancel the others"), "{text}");
    let world = CodexWorld::with_script(&codex, Script::default());
    let never = [shell_until("test -e never"), Step::say("never said")];
    let steps = [
        reader("code", &never),
        reader("test", &[Step::say("the cause is here")]),
        reader("commits", &never),
        wait_any(
            "first",
            &["${code.jobId}", "${test.jobId}", "${commits.jobId}"],
        ),
        tool("codex_result", json!({"jobId": "${first.completedJobId}"})),
        tool("codex_cancel", json!({"jobId": "code", "force": true})),
        tool("codex_cancel", json!({"jobId": "commits", "force": true})),
        Step::say("the cause is here"),
    ];
    let done = world.coordinate_told("read-only", &text, &steps).well();
    assert!(done.ok("codex_result").text.contains("the cause is here"));
    for cancelled in done.calls_of("codex_cancel") {
        assert_eq!(cancelled.facts["success"], true, "{cancelled:#?}");
    }
    for job in ["code", "commits"] {
        assert_eq!(world.wait_end(job), "cancelled");
    }
    assert_eq!(world.state("test"), "completed");
    world.wait_no_process("codex");
}

#[test]
fn phased_with_one_writer() {
    let Some(codex) = real_codex() else { return };
    let text = example("Phased, with a single writer:");
    assert!(text.contains("one sub-agent that may write"), "{text}");
    let world = CodexWorld::with_script(&codex, Script::default());
    let writer = [
        Step::add_file("change.txt", "the change"),
        Step::say("changed\n\nmodifiedFiles:\n- change.txt"),
    ];
    let steps = [
        reader("one", &[Step::say("change the first thing")]),
        reader("two", &[Step::say("change the second thing")]),
        spawn_with("writer", &writer, json!({"needs": ["one", "two"]})),
        tool(
            "codex_wait_any",
            json!({"jobIds": ["writer"], "timeoutMs": 30_000}),
        ),
        tool("codex_changes", json!({"jobId": "writer"})),
        tool("codex_conflicts", json!({})),
        Step::say("it changed change.txt and nothing else"),
    ];
    let done = world
        .coordinate_told("workspace-write", &text, &steps)
        .well();
    let changes = done.answer("codex_changes");
    assert_eq!(changes["changes"][0]["path"], "change.txt", "{changes:#}");
    assert_eq!(changes["changes"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&changes["unreported"], &changes["notSeen"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(done.answer("codex_conflicts")["conflicts"], json!([]));
    // What the readers found was handed down.
    let told = world.requests_of("Worker writer.");
    let told = told[0].messages("user").join("\n");
    assert!(told.contains("change the first thing") && told.contains("change the second thing"));
}
