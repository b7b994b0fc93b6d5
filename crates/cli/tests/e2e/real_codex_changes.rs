//! What real Codex workers changed: by their patches, and by their shells.

use convoke_scripted_model::{Script, Step};
use convoke_test_support::{codex::real_codex, wait::wait_for};
use serde_json::{Value, json};

use crate::codex_world::{CodexWorld, shell_until};

fn change<'a>(found: &'a Value, path: &str) -> &'a Value {
    let all = found["changes"].as_array().expect("changes");
    let change = all.iter().find(|change| change["path"] == path);
    change.unwrap_or_else(|| panic!("{path} is missing: {found:#}"))
}

#[test]
fn patches_are_reported_and_shell_commands_are_seen() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    fs_err::write(world.work().join("old.txt"), "one\ntwo\n").expect("written");
    let patch = "*** Begin Patch\n*** Update File: old.txt\n@@\n-one\n+1\n*** Add File: new.txt\n+new\n*** End Patch";
    let steps = [
        Step::patch(patch),
        Step::shell("echo shell > shell.txt"),
        Step::say("done\n\nmodifiedFiles:\n- old.txt\n- new.txt\n"),
    ];
    let job = world.spawn_worker(&["-s", "workspace-write"], &steps);
    world.completed(&job);
    let found = world.json(&["changes", &job]);
    assert_eq!(change(&found, "old.txt")["evidence"], json!(["reported"]));
    assert_eq!(change(&found, "new.txt")["evidence"], json!(["reported"]));
    assert_eq!(
        change(&found, "shell.txt")["evidence"],
        json!(["only_writer"])
    );
    assert_eq!(found["unreported"], json!(["shell.txt"]), "{found:#}");
    assert_eq!(found["notSeen"], json!([]));
    assert_eq!(found["complete"], true);
    world.ok(&["rollback", &job]);
    let text = fs_err::read_to_string(world.work().join("old.txt")).expect("read");
    assert_eq!(text, "one\ntwo\n");
    assert_eq!(world.git(&["status", "--porcelain"]), "?? old.txt\n");
}

/// Two workers at once, on different files: nothing of one is counted as the
/// other's, and the repository is as it was.
#[test]
fn workers_on_different_files_are_told_apart() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    let head = world.git(&["rev-parse", "--verify", "--quiet", "HEAD"]);
    let gate = world.root().join("gate");
    let worker = |name: &str| {
        let there = world.root().join(format!("there-{name}"));
        world.spawn_worker(
            &["-s", "workspace-write", "--label", name],
            &[
                Step::shell(format!("touch {}", there.display())),
                shell_until(&format!("test -e {}", gate.display())),
                Step::add_file(&format!("{name}.txt"), name),
                Step::say(format!("done\n\nmodifiedFiles:\n- {name}.txt\n")),
            ],
        )
    };
    let jobs = [worker("one"), worker("two")];
    for job in &jobs {
        wait_for("both to run", || {
            let state = world.state(job);
            (state == "running").then_some(()).ok_or(state)
        });
    }
    fs_err::write(gate, "").expect("the gate opens");
    for (job, name) in jobs.iter().zip(["one", "two"]) {
        let result = world.completed(job);
        let found = world.json(&["changes", job]);
        let path = format!("{name}.txt");
        let is_there = world.work().join(&path).exists();
        assert!(is_there, "{}", world.ok(&["events", job]));
        assert_eq!(change(&found, &path)["attribution"], "job", "{found:#}");
        assert_eq!(
            found["changes"].as_array().map(Vec::len),
            Some(1),
            "{found:#}"
        );
        assert_eq!(result["integrity"]["refsChanged"], json!([]));
    }
    assert_eq!(
        world.git(&["rev-parse", "--verify", "--quiet", "HEAD"]),
        head
    );
}

/// Two workers at once that change the same file by their shells, of which neither
/// tells: what was seen tells them apart.
#[test]
fn a_file_that_two_workers_changed_and_told_nothing_of_is_a_conflict() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    fs_err::write(world.work().join("f"), "1\n2\n3\n4\n5\n6\n7\n").expect("written");
    let edits = |line: u32| Step::shell(format!("sed -i '{line}s/.*/changed/' f"));
    let start = |name: &str, steps: &[Step]| {
        world.spawn_worker(&["-s", "workspace-write", "--label", name], steps)
    };
    // Neither runs a command while the other one does.
    let one = [edits(1), Step::DelayMs(3_000), Step::say("done")];
    let two = [Step::DelayMs(1_200), edits(7), Step::say("done")];
    let jobs = [start("one", &one), start("two", &two)];
    for job in &jobs {
        world.completed(job);
        assert_eq!(world.json(&["changes", job])["unreported"], json!(["f"]));
    }
    let found = world.json(&["conflicts"])["conflicts"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found:#}");
    let conflict = &found[0];
    assert_eq!(
        (&conflict["path"], &conflict["kind"]),
        (&json!("f"), &json!("overlap"))
    );
    assert_eq!(conflict["jobIds"], json!(jobs));
    let hunks = json!([
        {"jobId": jobs[0], "start": 1, "lines": 1},
        {"jobId": jobs[1], "start": 7, "lines": 1},
    ]);
    assert_eq!(conflict["hunks"], hunks, "{conflict:#}");
    // It is on the record of the one that ended last.
    let told = jobs.iter().any(|job| {
        let status = world.json(&["status", job]);
        status["conflicts"][0]["path"] == "f"
    });
    assert!(told, "{found:#}");
}
