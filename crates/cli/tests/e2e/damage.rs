//! Damaged files: the rest works, the damage is told, and what can be rebuilt
//! is.

use std::path::Path;

use convoke_test_support::{environment::TestEnvironment, wait::wait_for_file};
use serde_json::json;

use crate::{
    checks::{messages, whole_events},
    world::{spawn_scripted, world},
};

/// Overwrites part of a file.
fn spoil(path: &Path, from: usize, len: usize) {
    let mut bytes = fs_err::read(path).expect("a file");
    let from = from.min(bytes.len());
    let to = from.saturating_add(len).min(bytes.len());
    bytes[from..to].fill(0xA5);
    fs_err::write(path, bytes).expect("written");
}

fn damage_told(world: &TestEnvironment, text: &str) {
    let ran = world.run(&["doctor"]);
    assert!(ran.stdout.contains(text), "{ran}");
}

/// A world with a completed, a failed and a running job, and its daemon gone.
struct Scene {
    world: TestEnvironment,
    completed: String,
    failed: String,
    running: String,
}

impl Scene {
    fn new() -> Self {
        let world = world();
        let completed = world.spawn_command(&["--label", "fine"], &["echo", "as told"]);
        let failed = world.spawn_command(&[], &["sh", "-c", "exit 3"]);
        for job in [&completed, &failed] {
            world.wait_end(job);
            world.ok(&["events", job]);
            let _ = world.run(&["result", job]);
        }
        let (started, gate) = (world.root().join("started"), world.root().join("gate"));
        let script = json!([
            {"do": "out", "text": "first"},
            {"do": "write", "path": started, "text": "x"},
            {"do": "wait_file", "path": gate},
            {"do": "out", "text": "last"},
        ]);
        let running = spawn_scripted(&world, &[], &script);
        wait_for_file(&started);
        Self {
            world,
            completed,
            failed,
            running,
        }
    }

    /// All that was known is known again.
    fn check(&self) {
        let world = &self.world;
        assert_eq!(world.state(&self.completed), "completed");
        assert!(world.ok(&["result", "fine"]).contains("as told"));
        whole_events(world, &self.completed);
        let failed = world.json(&["status", &self.failed]);
        assert_eq!(failed["state"], "failed", "{failed:#}");
        assert_eq!(failed["exitCode"], 3, "{failed:#}");
        fs_err::write(world.root().join("gate"), "").expect("the gate opens");
        assert_eq!(world.wait_end(&self.running), "completed");
        let events = whole_events(world, &self.running);
        assert_eq!(messages(&events), ["first", "last"]);
        // And it goes on.
        let job = world.spawn_command(&[], &["true"]);
        assert_eq!(world.wait_end(&job), "completed");
    }
}

#[test]
fn a_database_that_is_none_any_more_is_built_from_the_folders() {
    let scene = Scene::new();
    scene.world.kill_daemon();
    let home = scene.world.state_home();
    for part in ["convoke.db-wal", "convoke.db-shm"] {
        let _ = fs_err::remove_file(home.join(part));
    }
    spoil(&home.join("convoke.db"), 0, usize::MAX);
    scene.check();
    damage_told(
        &scene.world,
        "a new database was built from the folders of 3 jobs",
    );
    assert!(home.join("damaged").is_dir(), "the damaged one is kept");
}

#[test]
fn a_database_with_a_damaged_page_is_built_anew() {
    let scene = Scene::new();
    scene.world.ok(&["daemon", "stop"]);
    let path = scene.world.state_home().join("convoke.db");
    // Everything but the header and the schema.
    spoil(&path, 8_192, usize::MAX);
    scene.check();
    damage_told(&scene.world, "state.damage");
}

#[test]
fn damaged_and_truncated_events_are_written_anew() {
    let scene = Scene::new();
    let world = &scene.world;
    let events = |job: &str| {
        world
            .state_home()
            .join("jobs")
            .join(job)
            .join("events.jsonl")
    };
    let before = fs_err::read(events(&scene.completed)).expect("events");
    spoil(&events(&scene.completed), 200, 40);
    world.ok(&["events", &scene.completed]);
    whole_events(world, &scene.completed);
    assert_eq!(
        fs_err::read(events(&scene.completed)).expect("events"),
        before
    );
    let file = fs_err::OpenOptions::new()
        .write(true)
        .open(events(&scene.failed))
        .expect("opened");
    file.set_len(150).expect("cut");
    world.ok(&["events", &scene.failed]);
    whole_events(world, &scene.failed);
    damage_told(world, "cannot be read");
    damage_told(world, "lack the last one");
    scene.check();
}
