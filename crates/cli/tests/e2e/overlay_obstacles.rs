//! What keeps a job from working in a layer, and what it gets instead.

use convoke_test_support::environment::TestEnvironment;

use crate::{
    changes::read,
    overlays::{commit, completed},
    users::{NOBODY, ordinary_world},
    world::{forbid_namespaces, world},
};

/// Starts a job that asks for an overlay and gets a working tree, and answers why.
fn instead(world: &TestEnvironment, options: &[&str]) -> String {
    let words = [
        &["spawn", "--workspace", "overlay"],
        options,
        &["--", "true"],
    ]
    .concat();
    let spawned = world.run(&words);
    assert!(spawned.success(), "{spawned}");
    let job = spawned.stdout.trim();
    assert_eq!(world.wait_end(job), "completed");
    assert_eq!(world.json(&["status", job])["workspace"], "worktree");
    assert!(
        spawned.stderr.contains("gets a working tree of its own"),
        "{spawned}"
    );
    spawned.stderr
}

/// The same where nothing may take its place.
fn refused(world: &TestEnvironment) -> String {
    world.write_config("[workspace]\nfallback = \"fail\"\n");
    let refused = world.run(&["spawn", "--workspace", "overlay", "--", "true"]);
    assert_eq!(refused.code, Some(5), "{refused}");
    refused.stderr
}

#[test]
fn files_of_others_are_an_obstacle() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let world = ordinary_world();
    commit(&world, &[("f", "1\n"), ("deep/g", "1\n")]);
    std::os::unix::fs::chown(world.work().join("deep/g"), None, Some(12)).expect("given away");
    assert!(instead(&world, &[]).contains("deep/g belongs to another user or group"));
    assert!(refused(&world).contains("deep/g"));
    std::os::unix::fs::chown(world.work().join("deep/g"), None, Some(NOBODY)).expect("given back");
    completed(&world, "j", "echo 2 > deep/g");
}

#[test]
fn a_tree_around_the_state_home_is_an_obstacle() {
    let world = ordinary_world();
    let root = world.root().display().to_string();
    assert!(instead(&world, &["--cd", &root]).contains("lies in it"));
}

#[test]
fn without_namespaces_nothing_runs_in_the_tree_itself() {
    let mut world = ordinary_world();
    commit(&world, &[("f", "1\n")]);
    if !forbid_namespaces(&mut world) {
        return;
    }
    assert!(instead(&world, &[]).contains("no namespaces can be made"));
    assert!(refused(&world).contains("no namespaces can be made"));
}

#[test]
fn a_file_system_within_the_tree_is_an_obstacle() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can mount");
        return;
    }
    let mut world = world();
    commit(&world, &[("f", "1\n")]);
    fs_err::create_dir(world.work().join("sub")).expect("created");
    let script = format!(
        "mount -t tmpfs none {}/sub && exec \"$@\"",
        world.work().display()
    );
    world.start_through(&["unshare", "--mount", "sh", "-c", &script, "sh"]);
    world.ok(&["daemon", "start"]);
    world.start_through(&[]);
    let why = instead(&world, &[]);
    assert!(why.contains("sub is a file system of its own"), "{why}");
}

#[test]
fn a_layer_that_cannot_be_laid_any_more_is_not_left_out() {
    let mut world = world();
    commit(&world, &[("f", "1\n")]);
    let gate = world.root().join("gate");
    let until = format!("until test -e {}; do sleep 0.02; done", gate.display());
    let first = world.spawn_command(&[], &["sh", "-c", &until]);
    world.wait_state(&first, &["running"]);
    let options = ["--workspace", "overlay", "--needs", &first];
    let job = world.spawn_command(&options, &["sh", "-c", "echo 2 > f"]);
    assert_eq!(world.json(&["status", &job])["workspace"], "overlay");
    world.kill_daemon();
    if !forbid_namespaces(&mut world) {
        return;
    }
    fs_err::write(gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "failed");
    let status = world.json(&["status", &job]);
    assert_eq!(status["code"], "workspace", "{status:#}");
    let message = status["message"].as_str().expect("a message");
    assert!(message.contains("no overlay can be laid over"), "{message}");
    assert_eq!(read(&world, "f"), "1\n");
}
