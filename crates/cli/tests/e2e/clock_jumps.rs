//! A clock that somebody sets, forth and back, and a machine that is suspended:
//! to a program on Linux the latter is a jump forward of the wall clock, while
//! the clock that limits are measured by stands still.

use std::path::PathBuf;

use convoke_test_support::{environment::TestEnvironment, wait::wait_for};
use serde_json::json;

use crate::{
    checks::{messages, only_the_daemon_runs, whole_events},
    world::{scripted_agent, spawn_scripted, world},
};

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// A world whose daemon and runners read a clock that tests can set.
struct Clock {
    world: TestEnvironment,
    file: PathBuf,
}

impl Clock {
    fn new(config: &str) -> Self {
        let mut world = world();
        let file = world.root().join("clock");
        world.set("CONVOKE_TEST_CLOCK", file.to_str().expect("UTF-8"));
        world.write_config(config);
        world.add_scripted_codex(&scripted_agent());
        let clock = Self { world, file };
        clock.set(0);
        clock
    }

    /// Sets the clock to so many milliseconds after the true time.
    fn set(&self, by_ms: i64) {
        let next = self.file.with_extension("next");
        fs_err::write(&next, by_ms.to_string()).expect("written");
        fs_err::rename(&next, &self.file).expect("set");
    }
}

fn gated_job(world: &TestEnvironment, options: &[&str]) -> (String, PathBuf) {
    let gate = world.root().join("gate");
    let script = json!([
        {"do": "out", "text": "before"},
        {"do": "wait_file", "path": gate},
        {"do": "out", "text": "after"},
    ]);
    (spawn_scripted(world, options, &script), gate)
}

/// The clock jumps while a job with narrow limits runs: it ends as if nothing
/// had happened, also over a restart of the daemon.
fn jump_under_a_job(by_ms: i64, restart: bool) {
    let clock = Clock::new("");
    let world = &clock.world;
    let limits = ["--timeout", "10m", "--idle-timeout", "10m"];
    let (job, gate) = gated_job(world, &limits);
    world.wait_state(&job, &["running"]);
    clock.set(by_ms);
    if restart {
        world.kill_daemon();
    }
    // Another job's whole life, and several looks around, lie in the new time.
    let next = world.spawn_command(&[], &["echo", "fine"]);
    assert_eq!(world.wait_end(&next), "completed");
    let status = world.json(&["status", &job]);
    assert_eq!(status["state"], "running", "{status:#}");
    assert_ne!(status["liveness"]["verdict"], "stalled", "{status:#}");
    fs_err::write(gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(messages(&whole_events(world, &job)), ["before", "after"]);
    whole_events(world, &next);
    only_the_daemon_runs(world);
}

#[test]
fn a_suspended_machine_costs_a_job_nothing() {
    jump_under_a_job(60 * HOUR_MS, false);
}

#[test]
fn a_suspended_machine_costs_a_job_nothing_over_a_restart() {
    jump_under_a_job(60 * HOUR_MS, true);
}

#[test]
fn a_clock_that_is_set_back_costs_a_job_nothing() {
    jump_under_a_job(-60 * HOUR_MS, false);
}

#[test]
fn a_clock_that_is_set_back_costs_a_job_nothing_over_a_restart() {
    jump_under_a_job(-60 * HOUR_MS, true);
}

/// Limits go on to be measured after a jump.
fn limit_after_a_jump(by_ms: i64) {
    let clock = Clock::new("");
    let (job, _gate) = gated_job(&clock.world, &["--timeout", "2s"]);
    clock.world.wait_state(&job, &["running"]);
    clock.set(by_ms);
    assert_eq!(clock.world.wait_end(&job), "failed");
    let status = clock.world.json(&["status", &job]);
    assert_eq!(status["code"], "timed_out", "{status:#}");
    whole_events(&clock.world, &job);
}

#[test]
fn a_limit_holds_after_a_jump_forth() {
    limit_after_a_jump(60 * HOUR_MS);
}

#[test]
fn a_limit_holds_after_a_jump_back() {
    limit_after_a_jump(-60 * HOUR_MS);
}

/// A prompt for a job that fails for a reason that passes until the gate is
/// open.
fn failing(world: &TestEnvironment) -> String {
    let fail = "stream disconnected before completion: error sending request";
    json!([{"do": "write", "path": world.root().join("tried"), "text": "tried\n", "append": true},
        {"do": "codex", "fail": fail}])
    .to_string()
}

fn back_off(world: &TestEnvironment) -> String {
    let job = world.ok(&["spawn", &failing(world)]);
    wait_for("the job to wait out a pause", || {
        let status = world.json(&["status", &job]);
        (status["queue"]["reason"] == "backOff")
            .then_some(())
            .ok_or_else(|| format!("{status:#}"))
    });
    job
}

fn tried_again(world: &TestEnvironment, job: &str) {
    wait_for("the next attempt", || {
        let status = world.json(&["status", job]);
        (status["attempts"].as_u64() >= Some(2))
            .then_some(())
            .ok_or_else(|| format!("{status:#}"))
    });
}

#[test]
fn a_pause_that_passed_while_the_machine_was_suspended_is_over() {
    let clock = Clock::new("[retry]\npause = \"5m\"\n");
    let job = back_off(&clock.world);
    clock.set(HOUR_MS);
    tried_again(&clock.world, &job);
    clock.world.ok(&["cancel", "--force", &job]);
    whole_events(&clock.world, &job);
}

#[test]
fn a_pause_does_not_grow_when_the_clock_is_set_back() {
    let clock = Clock::new("[retry]\npause = \"3s\"\n");
    let job = back_off(&clock.world);
    clock.set(-60 * HOUR_MS);
    tried_again(&clock.world, &job);
    clock.world.ok(&["cancel", "--force", &job]);
    whole_events(&clock.world, &job);
}

#[test]
fn a_pause_does_not_grow_when_the_clock_is_set_back_over_a_restart() {
    let clock = Clock::new("[retry]\npause = \"3s\"\n");
    let job = back_off(&clock.world);
    clock.world.kill_daemon();
    clock.set(-60 * HOUR_MS);
    tried_again(&clock.world, &job);
    clock.world.ok(&["cancel", "--force", &job]);
    whole_events(&clock.world, &job);
}
