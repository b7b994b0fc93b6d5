//! The commands that look after the daemon.

use crate::world::world;

#[test]
fn a_daemon_starts_and_stops() {
    let world = world();
    let missing = world.run(&["daemon", "status"]);
    assert_eq!(missing.code, Some(6), "{missing:#?}");
    let started = world.json(&["daemon", "start"]);
    let again = world.json(&["daemon", "start"]);
    assert_eq!(started["pid"], again["pid"], "one daemon per state home");
    assert_eq!(world.json(&["daemon", "status"])["pid"], started["pid"]);
    assert!(world.ok(&["daemon", "logs"]).contains("serves"));
    assert_eq!(world.json(&["daemon", "stop"])["stopped"], true);
    assert_eq!(world.json(&["daemon", "stop"])["stopped"], false);
    assert_eq!(world.run(&["daemon", "status"]).code, Some(6));
}

#[test]
fn inside_a_job_no_daemon_is_started() {
    let world = world();
    let mut command = world.convoke(&["ps"]);
    let output = command
        .env("CONVOKE_JOB_ID", "j1")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(!world.state_home().join("daemon.json").exists());
}
