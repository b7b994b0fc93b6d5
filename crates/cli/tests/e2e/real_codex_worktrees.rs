//! Real Codex workers in working trees of their own, by tools of a coordinator.

use convoke_scripted_model::Step;
use convoke_test_support::codex::real_codex;
use serde_json::json;

use crate::codex_world::{CodexWorld, spawn_with, tool, wait_any};

/// Two workers change the same file at once, each in its own tree: one is applied
/// and merged with what the user wrote meanwhile, the other one is discarded.
#[test]
fn a_coordinator_applies_one_and_discards_the_other() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    fs_err::write(world.work().join("f"), "1\n2\n3\n4\n5\n").expect("written");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "one"]);
    fs_err::write(world.work().join("mine"), "not committed\n").expect("written");
    let head = world.git(&["rev-parse", "HEAD"]);
    let worker = |from: &str, to: &str| {
        vec![
            // Git can be used there, and the history is not to be written.
            Step::shell(
                "cat mine > seen; git status --porcelain >> seen; git commit -am no; git stash",
            ),
            Step::patch(format!(
                "*** Begin Patch\n*** Update File: f\n@@\n-{from}\n+{to}\n*** End Patch"
            )),
            Step::say("done\n\nmodifiedFiles:\n- f\n- seen"),
        ]
    };
    let own = json!({"workspace": "worktree", "sandbox": "workspace-write"});
    let steps = [
        spawn_with("one", &worker("1", "one"), own.clone()),
        spawn_with("two", &worker("1", "eins"), own),
        wait_any("first", &["${one.jobId}"]),
        wait_any("second", &["${two.jobId}"]),
        Step::shell("sed -i s/5/five/ f"),
        tool("codex_changes", json!({"jobId": "one"})),
        tool("codex_conflicts", json!({})),
        tool("codex_apply", json!({"jobId": "one", "dryRun": true})),
        tool("codex_apply", json!({"jobId": "one"})),
        tool("codex_apply", json!({"jobId": "two"})),
        tool("codex_discard", json!({"jobId": "two"})),
        Step::say("brought in"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    let changes = done.answer("codex_changes");
    assert_eq!(changes["workspace"], "worktree", "{changes:#}");
    assert_eq!(changes["changes"][0]["evidence"], json!(["reported"]));
    assert_eq!(changes["changes"][1]["path"], "seen", "{changes:#}");
    let coming = &done.answer("codex_conflicts")["conflicts"];
    assert_eq!(coming.as_array().map(Vec::len), Some(1), "{coming:#}");
    assert_eq!(
        (&coming[0]["kind"], &coming[0]["path"]),
        (&json!("forecast"), &json!("f"))
    );
    let applied = done.calls_of("codex_apply");
    assert_eq!(applied[0].facts["dryRun"], true, "{applied:#?}");
    assert_eq!(applied[1].facts["applied"], json!(["f", "seen"]));
    let conflicts = &applied[2].facts["conflicts"];
    assert_eq!(conflicts[0]["path"], "f", "{applied:#?}");
    assert_eq!(done.answer("codex_discard")["success"], true);
    let text = fs_err::read_to_string(world.work().join("f")).expect("read");
    assert_eq!(text, "one\n2\n3\n4\nfive\n");
    let seen = fs_err::read_to_string(world.work().join("seen")).expect("read");
    assert!(seen.starts_with("not committed\n?? mine\n"), "{seen}");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(world.git(&["stash", "list"]), "");
    assert_eq!(world.git(&["worktree", "list"]).lines().count(), 1);
}

/// A reading coordinator may look, and nothing else.
#[test]
fn who_only_reads_neither_applies_nor_discards() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let options = [
        "-s",
        "workspace-write",
        "--workspace",
        "worktree",
        "-l",
        "one",
    ];
    let job = world.spawn_worker(&options, &[Step::shell("echo 1 > f"), Step::say("done")]);
    world.completed(&job);
    let steps = [
        tool("codex_apply", json!({"jobId": "one", "dryRun": true})),
        tool("codex_apply", json!({"jobId": "one"})),
        tool("codex_discard", json!({"jobId": "one"})),
        Step::say("done"),
    ];
    let done = world.coordinate("read-only", &steps).well();
    let applied = done.calls_of("codex_apply");
    assert_eq!(applied[0].facts["applied"], json!(["f"]), "{applied:#?}");
    for call in [applied[1], done.call("codex_discard")] {
        assert_eq!(call.facts["code"], "power_exceeded", "{call:#?}");
    }
    assert!(!world.work().join("f").exists());
    assert!(world.ok(&["apply", &job]).contains("applied f"));
}
