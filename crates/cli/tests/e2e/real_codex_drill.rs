//! The drill, as a user runs it.

use convoke_scripted_model::Script;
use convoke_test_support::codex::real_codex;
use serde_json::Value;

use crate::{codex_world::CodexWorld, world::world};

/// Folders of drills in a temp folder, where agents may leave theirs.
fn left(folder: &std::path::Path) -> usize {
    let entries = fs_err::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("convoke-drill-"))
        .count()
}

#[test]
fn it_checks_everything_and_leaves_nothing() {
    let Some(codex) = real_codex() else { return };
    let mut world = CodexWorld::unregistered(&codex, Script::default());
    let temp = world.root().join("temp");
    fs_err::create_dir(&temp).expect("created");
    world
        .environment()
        .set("TMPDIR", temp.display().to_string());
    let shown = world.ok(&["drill"]);
    assert!(!shown.contains('✗'), "{shown}");
    assert_eq!(shown.matches('✓').count(), 8, "{shown}");
    assert!(shown.contains("☐ the tone"), "{shown}");
    assert_eq!(left(&temp), 0);
    // Its jobs are not among the user's.
    assert!(!world.ok(&["ps", "--all"]).contains("count"));
    let told = world.json(&["drill", "--keep"]);
    let messages = told["messages"].as_array().expect("messages");
    let labels: Vec<&str> = messages
        .iter()
        .filter_map(|m| m["label"].as_str())
        .collect();
    assert_eq!(labels, ["a", "b", "first", "second", "third", "count"]);
    let passed = |check: &Value| check["passed"] == true;
    let checks = told["checks"].as_array().expect("checks");
    assert!(checks.iter().all(passed), "{told:#}");
    assert_eq!(left(&temp), 1);
}

#[test]
fn without_codex_it_says_what_is_missing() {
    let world = world();
    let refused = world.run(&["drill"]);
    assert_eq!(refused.code, Some(5), "{refused}");
    assert!(refused.stderr.contains("no program `codex`"), "{refused}");
    // Nothing ran: nothing is left to look at.
    assert!(!refused.stderr.contains("scratch folder is"), "{refused}");
}
