//! Real Codex workers in layers of their own over the live tree, by tools of a
//! coordinator.

use convoke_scripted_model::Step;
use convoke_test_support::codex::real_codex;
use serde_json::json;

use crate::codex_world::{CodexWorld, shell_until, spawn_with, tool, wait_any};

/// Two workers change the same file at once, each in its own layer, in Codex's own
/// sandbox; one of them waits for what the coordinator writes meanwhile. One is applied
/// and merged, the other one is discarded.
#[test]
fn a_coordinator_applies_one_and_discards_the_other() {
    let Some(codex) = real_codex() else { return };
    for as_user in [false, true] {
        let mut world = CodexWorld::new(&codex);
        if as_user && rustix::process::getuid().is_root() {
            world.environment().become_user(crate::users::NOBODY);
        }
        fs_err::write(world.work().join("f"), "1\n2\n3\n4\n5\n").expect("written");
        world.git(&["add", "-A"]);
        world.git(&["commit", "-q", "-m", "one"]);
        let head = world.git(&["rev-parse", "HEAD"]);
        let worker = |first: Step, from: &str, to: &str| {
            vec![
                first,
                Step::patch(format!(
                    "*** Begin Patch\n*** Update File: f\n@@\n-{from}\n+{to}\n*** End Patch"
                )),
                Step::say("done\n\nmodifiedFiles:\n- f\n- seen"),
            ]
        };
        let follows = shell_until("test -e mine");
        let sees =
            Step::shell("pwd > seen; git commit -am no; mkdir made; touch made/x; rm -r made");
        let own = json!({"workspace": "overlay", "sandbox": "workspace-write"});
        let steps = [
            spawn_with("one", &worker(sees, "1", "one"), own.clone()),
            spawn_with("two", &worker(follows, "1", "eins"), own),
            Step::shell("sed -i s/5/five/ f; echo late > mine"),
            wait_any("first", &["${one.jobId}"]),
            wait_any("second", &["${two.jobId}"]),
            tool("codex_changes", json!({"jobId": "one"})),
            tool("codex_apply", json!({"jobId": "one"})),
            tool("codex_apply", json!({"jobId": "two"})),
            tool("codex_discard", json!({"jobId": "two"})),
            Step::say("brought in"),
        ];
        let done = world.coordinate("workspace-write", &steps).well();
        let changes = done.answer("codex_changes");
        assert_eq!(changes["workspace"], "overlay", "{changes:#}");
        assert_eq!(changes["changes"][0]["evidence"], json!(["reported"]));
        assert_eq!(changes["changes"][1]["path"], "seen", "{changes:#}");
        assert_eq!(changes["changes"].as_array().map(Vec::len), Some(2));
        assert_eq!(changes["baseMoved"], json!(["f"]), "{changes:#}");
        let applied = done.calls_of("codex_apply");
        assert_eq!(
            applied[0].facts["applied"],
            json!(["f", "seen"]),
            "{applied:#?}"
        );
        let conflicts = &applied[1].facts["conflicts"];
        assert_eq!(conflicts[0]["path"], "f", "{applied:#?}");
        assert_eq!(done.answer("codex_discard")["success"], true);
        let text = fs_err::read_to_string(world.work().join("f")).expect("read");
        assert_eq!(text, "one\n2\n3\n4\nfive\n");
        let seen = fs_err::read_to_string(world.work().join("seen")).expect("read");
        assert_eq!(seen.trim(), world.work().display().to_string());
        assert_eq!(world.git(&["rev-parse", "HEAD"]), head);
    }
}
