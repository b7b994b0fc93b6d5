//! Two strict real Codex workers that change the same file.

use std::path::Path;

use convoke_scripted_model::{Script, Step};
use convoke_test_support::{
    codex::real_codex,
    wait::{wait_for, wait_for_file},
};
use serde_json::json;

use crate::codex_world::{CodexWorld, prompt, shell_until};

/// When a worker does its line of `tasks`: before it waits for its gate, or after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Works {
    Before,
    After,
}

/// A worker that does its line of `tasks` with a patch, and adds a line to a file of its
/// own by its shell.
fn worker(world: &CodexWorld, name: &str, works: Works) -> String {
    let (there, gate) = (
        world.root().join(format!("{name}-there")),
        world.root().join(name),
    );
    let patch = format!(
        "*** Begin Patch\n*** Update File: tasks\n@@\n-{name}: open\n+{name}: done\n*** End Patch"
    );
    let look = Step::shell(format!("cat tasks > {name}-saw"));
    let own = Step::shell(format!("echo {name} >> {name}-own"));
    let touch = Step::shell(format!("touch {}", there.display()));
    let wait = shell_until(&format!("test -e {}", gate.display()));
    let mut steps = match works {
        Works::Before => vec![look, own, Step::patch(patch), touch, wait],
        Works::After => vec![touch, wait, look, own, Step::patch(patch)],
    };
    steps.push(Step::say(format!("{name} is done")));
    let options = [
        "-s",
        "workspace-write",
        "--coordination",
        "strict",
        "--label",
        name,
    ];
    let job = world.spawn_prompt(&options, &prompt(&format!("Work as {name}."), &steps));
    wait_for_file(&there);
    job
}

/// A world with two tasks in a committed file.
fn world_of_tasks(codex: &Path) -> CodexWorld {
    let world = CodexWorld::unregistered(codex, Script::default());
    write(&world, "tasks", "one: open\n\n\n\n\ntwo: open\n");
    write(&world, "mine", "mine\n");
    write(&world, ".gitignore", "*-saw\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "more"]);
    world
}

fn write(world: &CodexWorld, name: &str, text: &str) {
    fs_err::write(world.work().join(name), text).expect("written");
}

fn read(world: &CodexWorld, name: &str) -> String {
    fs_err::read_to_string(world.work().join(name)).expect("read")
}

fn open(world: &CodexWorld, gate: &str) {
    fs_err::write(world.root().join(gate), "").expect("the gate opens");
}

#[test]
fn workers_in_one_file_are_taken_back_and_run_one_after_the_other() {
    let Some(codex) = real_codex() else { return };
    let world = world_of_tasks(&codex);
    let one = worker(&world, "one", Works::Before);
    let two = worker(&world, "two", Works::Before);
    write(&world, "mine", "edited meanwhile\n");
    write(&world, "fresh", "new meanwhile\n");
    open(&world, "one");
    let status = wait_for("the first one to wait", || {
        let status = world.json(&["status", &one]);
        let waits = status["queue"]["reason"] == "conflict";
        waits.then_some(status.clone()).ok_or(status.to_string())
    });
    assert_eq!(status["conflicts"][0]["path"], "tasks", "{status:#}");
    open(&world, "two");
    for (job, name) in [(&one, "one"), (&two, "two")] {
        let result = world.completed(job);
        assert_eq!(result["finalMessage"], format!("{name} is done"));
        let status = world.json(&["status", job]);
        let own = format!("{name}-own");
        let mut paths = [own.as_str(), "tasks"];
        paths.sort_unstable();
        assert_eq!(status["reruns"][0]["restored"], json!(paths), "{status:#}");
        // Else what it did would be there twice.
        assert_eq!(read(&world, &own), format!("{name}\n"));
        let changed = world.json(&["changes", job])["changes"].clone();
        for (change, path) in changed.as_array().expect("changes").iter().zip(paths) {
            assert_eq!(change["path"], path, "{changed:#}");
            assert_eq!(change["attribution"], "job", "{changed:#}");
        }
        // It was told why, in a conversation that knows nothing of the first run.
        let requests = world.requests_of(&format!("Work as {name}."));
        let again = requests.iter().find(|request| {
            let users = request.messages("user").join("\n");
            users.contains("An earlier run of this task was undone")
        });
        assert!(again.is_some(), "it was not told why it runs again");
    }
    assert_eq!(read(&world, "tasks"), "one: done\n\n\n\n\ntwo: done\n");
    // The second one saw what the first one did in its second run, and only that.
    assert_eq!(read(&world, "one-saw"), "one: open\n\n\n\n\ntwo: open\n");
    assert_eq!(read(&world, "two-saw"), "one: done\n\n\n\n\ntwo: open\n");
    assert_eq!(read(&world, "mine"), "edited meanwhile\n");
    assert_eq!(read(&world, "fresh"), "new meanwhile\n");
}

#[test]
fn a_worker_that_comes_after_another_one_runs_again_on_what_that_did() {
    let Some(codex) = real_codex() else { return };
    let world = world_of_tasks(&codex);
    let two = worker(&world, "two", Works::After);
    let one = worker(&world, "one", Works::Before);
    open(&world, "one");
    world.completed(&one);
    open(&world, "two");
    world.completed(&two);
    let status = world.json(&["status", &two]);
    assert_eq!(
        status["reruns"][0]["restored"],
        json!(["tasks", "two-own"]),
        "{status:#}"
    );
    assert_eq!(world.json(&["status", &one])["reruns"], json!([]));
    assert_eq!(read(&world, "tasks"), "one: done\n\n\n\n\ntwo: done\n");
    assert_eq!(read(&world, "two-saw"), "one: done\n\n\n\n\ntwo: open\n");
}
