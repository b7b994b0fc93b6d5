//! Limits one by one, and whole lives of agents in which silence means
//! different things.

mod traces;

use super::*;

fn limits() -> Limits {
    Limits {
        wall_ms: Some(1_000),
        idle_ms: Some(300),
        first_event_ms: Some(200),
        output_bytes: Some(10),
        elapsed_ms: 100,
    }
}

fn check(used: &mut Accounting, now: u64) -> Option<Finding> {
    used.check(now, Usage::default)
}

fn quiet(silent_ms: u64) -> Option<Finding> {
    Some(Finding::Quiet {
        silent_ms,
        limit_ms: 300,
    })
}

fn limit(kind: LimitKind) -> Option<Finding> {
    Some(Finding::Limit(kind))
}

#[test]
fn each_limit_is_reached_at_its_time() {
    let mut used = Accounting::new(limits());
    assert_eq!(used.next_deadline(50), None);
    used.start(1_000);
    // Half of the limit of silence comes first, once.
    assert_eq!(used.next_deadline(1_000), Some(1_150));
    assert_eq!(check(&mut used, 1_149), None);
    assert_eq!(check(&mut used, 1_150), quiet(150));
    assert_eq!(check(&mut used, 1_151), None);
    assert_eq!(used.next_deadline(1_150), Some(1_200));
    assert_eq!(check(&mut used, 1_200), limit(LimitKind::FirstEvent));
    used.output(1_150, 4, true, true);
    assert_eq!(used.next_deadline(1_200), Some(1_300));
    assert_eq!(check(&mut used, 1_449), quiet(299));
    assert_eq!(check(&mut used, 1_449), None);
    assert_eq!(check(&mut used, 1_450), limit(LimitKind::Idle));
    used.output(1_800, 4, false, true);
    assert_eq!(check(&mut used, 1_900), limit(LimitKind::Wall));
    used.output(1_810, 3, false, true);
    assert_eq!(check(&mut used, 1_811), limit(LimitKind::Output));
}

#[test]
fn what_is_no_sign_of_life_ends_no_silence() {
    let mut used = Accounting::new(limits());
    used.start(0);
    used.output(100, 1, true, true);
    used.output(390, 1, true, false);
    assert_eq!(check(&mut used, 400), quiet(300));
    assert_eq!(check(&mut used, 400), limit(LimitKind::Idle));
    assert_eq!(used.output_bytes(), 2);
}

#[test]
fn a_pause_counts_for_nothing() {
    let mut used = Accounting::new(limits());
    used.start(0);
    used.output(100, 1, true, true);
    used.pause(150);
    used.pause(170);
    assert_eq!(used.next_deadline(9_000), None);
    assert_eq!(check(&mut used, 9_000), None);
    used.resume(10_000);
    assert_eq!(used.active(10_000), 150);
    assert_eq!(used.next_deadline(10_000), Some(10_100));
}
