//! What runs for an ordinary user: the tests may run as root, users do not.

use convoke_test_support::{
    census,
    environment::TestEnvironment,
    wait::{wait_for, wait_for_file},
};
use serde_json::json;

use crate::{
    checks::{messages, only_the_daemon_runs, runner_pid, secrets_are_gone, whole_events},
    world::{spawn_scripted, world},
};

/// A user of no importance.
pub const NOBODY: u32 = 65_534;

/// A world of an ordinary user.
pub fn ordinary_world() -> TestEnvironment {
    let mut world = world();
    if rustix::process::getuid().is_root() {
        world.become_user(NOBODY);
    }
    world
}

/// A job whose agent runs until the gate opens, with a child in a session of
/// its own.
fn start(world: &TestEnvironment) -> String {
    let (there, gate) = (world.root().join("there"), world.root().join("gate"));
    let child = json!([
        {"do": "write", "path": there},
        {"do": "stall"},
    ]);
    let script = json!([
        {"do": "print_ids"},
        {"do": "fork", "mode": "double_fork", "steps": child},
        {"do": "wait_file", "path": gate},
        {"do": "out", "text": "last"},
    ]);
    let job = spawn_scripted(world, &[], &script);
    wait_for_file(&there);
    world.wait_state(&job, &["running"]);
    assert_eq!(
        world.json(&["status", &job])["process"]["containment"],
        "pid_namespace"
    );
    job
}

#[test]
fn a_job_runs_to_its_end() {
    let world = ordinary_world();
    let job = start(&world);
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    let events = whole_events(&world, &job);
    let said = messages(&events);
    assert_eq!(said.len(), 2, "{said:?}");
    if rustix::process::getuid().is_root() {
        assert!(said[0].contains(&format!("uid {NOBODY} ")), "{said:?}");
    }
    assert!(said[0].ends_with("caps 0000000000000000"), "{said:?}");
    only_the_daemon_runs(&world);
    secrets_are_gone(&world, &job);
}

#[test]
fn a_job_is_cancelled() {
    let world = ordinary_world();
    for force in [false, true] {
        let _ = fs_err::remove_file(world.root().join("there"));
        let job = start(&world);
        let mut words = vec!["cancel", "--wait", "30s", &job];
        if force {
            words.push("--force");
        }
        world.ok(&words);
        assert_eq!(world.state(&job), "cancelled");
        only_the_daemon_runs(&world);
        whole_events(&world, &job);
        let ran = world.run(&["--format", "json", "result", &job]);
        assert!(ran.stdout.contains("headBefore"), "{ran}");
    }
}

#[test]
fn a_job_outlives_the_daemon() {
    let world = ordinary_world();
    let job = start(&world);
    world.kill_daemon();
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(messages(&whole_events(&world, &job)).last(), Some(&"last"));
    only_the_daemon_runs(&world);
}

#[test]
fn a_job_ends_with_its_runner() {
    let world = ordinary_world();
    let job = start(&world);
    census::kill(runner_pid(&world, &job));
    assert_eq!(world.wait_end(&job), "failed");
    assert_eq!(world.json(&["status", &job])["code"], "lost");
    whole_events(&world, &job);
    only_the_daemon_runs(&world);
}

#[test]
fn the_daemon_dies_at_the_start_of_a_job() {
    for point in ["committed:attempt.starting", "runner_spawned"] {
        let world = ordinary_world();
        let started = world.run_with(
            &[("CONVOKE_TEST_DAEMON_DIES_AT", point)],
            &["daemon", "start"],
        );
        assert!(started.success(), "{started}");
        let daemon = world.daemon_pid().expect("a daemon serves");
        let spawn = [
            "spawn",
            "--idempotency-key",
            "one",
            "--",
            "sh",
            "-c",
            "echo x >> ran",
        ];
        let _ = world.run(&spawn);
        wait_for("the daemon to die", || census::gone(daemon));
        let job = world.ok(&spawn);
        assert_eq!(world.wait_end(&job), "completed");
        assert_eq!(crate::checks::lines(&world.work().join("ran")), 1);
        whole_events(&world, &job);
    }
}
