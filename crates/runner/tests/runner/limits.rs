//! Limits the runner enforces by itself.

use convoke_core::runner_protocol::{ExitCause, LimitKind, Limits};
use serde_json::json;

use crate::kit::{Plan, Run, settings};

fn limited(script: serde_json::Value, limits: Limits) -> Run {
    Plan::new(script)
        .with(|spec| {
            spec.limits = limits;
            spec.grace_ms = 200;
        })
        .start()
}

fn assert_limit(run: &mut Run, limit: LimitKind) {
    assert_eq!(run.finish().cause, ExitCause::Limit { limit });
}

#[test]
fn wall() {
    let limits = Limits {
        wall_ms: Some(10_000),
        elapsed_ms: 9_900,
        ..Limits::default()
    };
    for setting in settings() {
        let mut run = Plan::new(json!([{"do":"stall"}]))
            .setting(setting)
            .with(|spec| spec.limits = limits)
            .start();
        assert_limit(&mut run, LimitKind::Wall);
        assert!(run.exit().unwrap().active_ms >= 100);
    }
}

#[test]
fn idle() {
    let limits = Limits {
        idle_ms: Some(150),
        ..Limits::default()
    };
    let mut run = limited(json!([{"do":"err","text":"x"}, {"do":"stall"}]), limits);
    assert_limit(&mut run, LimitKind::Idle);
}

#[test]
fn first_event_wants_stdout() {
    let limits = Limits {
        first_event_ms: Some(150),
        ..Limits::default()
    };
    let mut run = limited(json!([{"do":"err","text":"x"}, {"do":"stall"}]), limits);
    assert_limit(&mut run, LimitKind::FirstEvent);
}

#[test]
fn output_stops_a_flood_at_its_source() {
    let limits = Limits {
        output_bytes: Some(1_000_000),
        ..Limits::default()
    };
    let script =
        json!([{"do":"ignore","signals":["INT","TERM"]}, {"do":"flood","bytes":1_000_000_000}]);
    let mut run = limited(script, limits);
    assert_limit(&mut run, LimitKind::Output);
    let bytes = run.exit().unwrap().output_bytes;
    assert!((1_000_001..2_000_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_runner_without_a_daemon_ends_its_agent() {
    let mut run = Plan::new(json!([{"do":"stall"}]))
        .with(|spec| {
            spec.orphan_ttl_ms = Some(150);
            spec.grace_ms = 200;
        })
        .start();
    assert_eq!(run.finish().cause, ExitCause::Orphaned);
}

#[test]
fn a_connected_daemon_keeps_an_orphan_limit_away() {
    let mut run = Plan::new(json!([{"do":"wait_file","path":"gate"}]))
        .with(|spec| {
            spec.orphan_ttl_ms = Some(60_000);
            spec.limits.wall_ms = Some(600);
            spec.grace_ms = 100;
        })
        .start();
    let daemon = run.connect();
    assert_limit(&mut run, LimitKind::Wall);
    drop(daemon);
}

/// A runner that holds its agent without a namespace is above it, and looks at the
/// whole process table to tell whether somebody is at work below.
#[test]
fn to_look_around_is_no_work() {
    let own = i32::try_from(std::process::id()).expect("a process id fits");
    let used = || convoke_runner::sweep::usage_of_trees(&[own])[0];
    let before = used();
    for _ in 0..100 {
        used();
    }
    assert_eq!(used(), before);
}
