//! Jobs that run a program: the whole way through daemon and runner.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::world::world;

#[test]
fn a_job_is_started_watched_and_read() {
    let world = world();
    let id = world.ok(&["spawn", "--label", "hello", "--", "echo", "hi"]);
    assert!(world.ok(&["wait", "hello"]).contains(&id));
    assert_eq!(world.ok(&["result", &id]), "hi");
    assert!(
        world
            .ok(&["events", "hello"])
            .lines()
            .any(|line| line == "hi")
    );
    let jobs = world.json(&["ps"]);
    assert_eq!(jobs["jobs"][0]["jobId"], id.as_str());
    assert_eq!(jobs["jobs"][0]["state"], "completed");
    assert_eq!(
        world.json(&["status", &id[..id.len() - 1]])["jobId"],
        id.as_str()
    );
}

#[test]
fn exit_codes_follow_the_job() {
    let world = world();
    let good = world.run(&["run", "--", "echo", "out"]);
    assert_eq!(
        (good.code, good.stdout.as_str()),
        (Some(0), "out\n"),
        "{good:#?}"
    );
    let bad = world.run(&["run", "--label", "bad", "--", "false"]);
    assert_eq!(bad.code, Some(1), "{bad:#?}");
    assert!(bad.stderr.contains("agent_failed"), "{}", bad.stderr);
    assert_eq!(world.run(&["wait", "bad"]).code, Some(1));
    assert_eq!(world.run(&["status", "nobody"]).code, Some(4));
}

#[test]
fn jobs_are_cancelled() {
    let world = world();
    world.ok(&["spawn", "--label", "long", "--", "sleep", "600"]);
    assert_eq!(
        world.run(&["wait", "--timeout", "10ms", "long"]).code,
        Some(124)
    );
    assert!(
        world
            .ok(&["cancel", "--force", "long"])
            .contains("cancelled")
    );
    assert_eq!(world.run(&["wait", "long"]).code, Some(3));
    // A second time is no error.
    world.ok(&["cancel", "long"]);
}

#[test]
fn ctrl_c_cancels_what_run_started() {
    let world = world();
    let mut command = world.convoke(&["run", "--", "sh", "-c", "echo ready; sleep 600"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let ended = child.wait_with_output().expect("its end");
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    let jobs = world.json(&["ps"]);
    assert_eq!(jobs["jobs"][0]["state"], "cancelled");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let world = world();
    let mut command = world.convoke(&["run", "--", "sh", "-c", "yes | head -20000"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("its end");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(
        !String::from_utf8_lossy(&ended.stderr).contains("error"),
        "{ended:?}"
    );
}
