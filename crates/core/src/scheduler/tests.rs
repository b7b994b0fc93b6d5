//! Directed tests of the scheduler.

use std::path::PathBuf;

use super::*;
use crate::{
    coordination::{Clash, Coordination},
    dispatcher::{Decision, Dispatcher, Input, Verdict},
    failure::{Failure, FailureCode},
    lifecycle::{JobEnd, LifecycleEvent, Outcome},
    limits::Limits,
    owner::Owner,
    retry::RetryPolicy,
    sandbox::{Access, Sandbox},
    scope::Scope,
    spec::{JobSpec, SPEC_VERSION, Work, Workspace},
};

const T0: UnixMillis = UnixMillis(1_700_000_000_000);

fn id(n: u64) -> JobId {
    JobId::from_random(n)
}

/// Job number `n`, in line in that order, of owner 0 without a cap.
fn job(n: u64, tree: &str, access: Access) -> Job {
    let spec = JobSpec {
        version: SPEC_VERSION,
        work: Work::Command { argv: Vec::new() },
        label: None,
        working_directory: PathBuf::from(tree),
        tree: PathBuf::from(tree),
        sandbox: Sandbox::WorkspaceWrite,
        access,
        workspace: Workspace::Shared,
        coordination: Coordination::Dirty,
        scope: None,
        limits: Limits::default(),
        retry: RetryPolicy::default(),
        needs: Vec::new(),
        after: Vec::new(),
        priority: 0,
        owner_cap: None,
        parent: None,
        run: None,
    };
    Job::accepted(id(n), n, T0, spec, Owner::User { uid: 0 })
}

fn owned(mut job: Job, uid: u32, cap: Option<u32>) -> Job {
    job.owner = Owner::User { uid };
    job.spec.owner_cap = cap;
    job
}

fn caps(total: u32, readers: u32, writers: u32) -> Caps {
    Caps {
        total,
        readers,
        writers,
    }
}

fn line(scheduler: &mut Scheduler, jobs: impl IntoIterator<Item = Job>) {
    for job in jobs {
        scheduler.enqueue(&job, Vec::new());
    }
}

#[test]
fn a_blocked_job_holds_up_nobody_else() {
    let mut scheduler = Scheduler::new(caps(8, 8, 1));
    let writers = (1..=3).map(|n| job(n, "a", Access::Write));
    line(&mut scheduler, writers);
    line(
        &mut scheduler,
        [job(4, "b", Access::Write), job(5, "a", Access::Read)],
    );
    assert_eq!(scheduler.pick(T0), [id(1), id(4), id(5)]);
    let writers = |position| Some((Blocked::Writers { cap: 1 }, position));
    assert_eq!(scheduler.why(&id(2), T0), writers(1));
    assert_eq!(scheduler.why(&id(3), T0), writers(2));
    assert_eq!(scheduler.why(&id(4), T0), None);
}

#[test]
fn many_impatient_jobs_of_one_tree_leave_the_slots_to_the_others() {
    let mut scheduler = Scheduler::new(caps(4, 8, 1));
    line(&mut scheduler, (1..=6).map(|n| job(n, "a", Access::Write)));
    line(&mut scheduler, [job(7, "b", Access::Write)]);
    assert_eq!(scheduler.pick(T0), [id(1), id(7)]);
    let later = T0.plus(10 * PATIENCE_MS);
    line(
        &mut scheduler,
        [job(8, "b", Access::Read), job(9, "c", Access::Write)],
    );
    assert_eq!(scheduler.pick(later), [id(8), id(9)]);
}

/// Job 2 needs a writer's slot of `a` and a slot of owner 1, which never come
/// free together.
fn two_scarce_things() -> Scheduler {
    let mut scheduler = Scheduler::new(caps(8, 8, 1));
    let elsewhere = owned(job(1, "b", Access::Write), 1, Some(1));
    let both = owned(job(2, "a", Access::Write), 1, Some(1));
    line(
        &mut scheduler,
        [elsewhere, both, job(3, "a", Access::Write)],
    );
    assert_eq!(scheduler.pick(T0), [id(1), id(3)]);
    scheduler.release(&id(3));
    scheduler
}

#[test]
fn before_its_patience_ends_a_job_lets_others_pass() {
    let mut scheduler = two_scarce_things();
    line(&mut scheduler, [job(4, "a", Access::Write)]);
    assert_eq!(scheduler.pick(T0.plus(PATIENCE_MS - 1)), [id(4)]);
}

#[test]
fn after_its_patience_ends_a_job_keeps_what_it_can_get() {
    let mut scheduler = two_scarce_things();
    line(
        &mut scheduler,
        [job(4, "a", Access::Write), job(5, "c", Access::Write)],
    );
    let later = T0.plus(PATIENCE_MS);
    assert_eq!(scheduler.pick(later), [id(5)]);
    assert_eq!(
        scheduler.why(&id(2), later),
        Some((Blocked::Owner { cap: 1 }, 1))
    );
    assert_eq!(
        scheduler.why(&id(4), later),
        Some((Blocked::Writers { cap: 1 }, 2))
    );
    scheduler.release(&id(1));
    assert_eq!(scheduler.pick(later), [id(2)]);
    scheduler.release(&id(2));
    assert_eq!(scheduler.pick(later), [id(4)]);
}

#[test]
fn jobs_with_a_wider_owner_cap_do_not_keep_out_one_with_a_narrower() {
    let mut scheduler = Scheduler::new(caps(8, 8, 8));
    line(&mut scheduler, [owned(job(1, "a", Access::Write), 1, None)]);
    line(
        &mut scheduler,
        [owned(job(2, "a", Access::Write), 1, Some(1))],
    );
    line(&mut scheduler, [owned(job(3, "a", Access::Write), 1, None)]);
    assert_eq!(scheduler.pick(T0), [id(1), id(3)]);
    let later = T0.plus(PATIENCE_MS);
    scheduler.release(&id(1));
    line(&mut scheduler, [owned(job(4, "a", Access::Write), 1, None)]);
    assert_eq!(scheduler.pick(later), []);
    scheduler.release(&id(3));
    assert_eq!(scheduler.pick(later), [id(2), id(4)]);
}

#[test]
fn a_clock_set_back_does_not_prolong_a_wait() {
    let mut scheduler = two_scarce_things();
    let day = 24 * 60 * 60 * 1000;
    let back = UnixMillis(T0.0 - day);
    assert_eq!(scheduler.pick(back), []);
    let mut paused = job(4, "c", Access::Write);
    paused.state = JobState::Queued {
        since: back,
        not_before: Some(back.plus(1_000)),
        returned: true,
        cause: None,
    };
    line(&mut scheduler, [paused]);
    let further = UnixMillis(back.0 - day);
    assert_eq!(scheduler.pick(further), []);
    assert_eq!(scheduler.next_deadline(further), Some(further.plus(1_000)));
    line(&mut scheduler, [job(5, "a", Access::Write)]);
    assert_eq!(scheduler.pick(further.plus(PATIENCE_MS)), [id(4)]);
}

#[test]
fn one_that_ran_before_goes_first_and_a_higher_priority_before_it() {
    let mut scheduler = Scheduler::new(caps(1, 8, 8));
    let mut urgent = job(3, "a", Access::Write);
    urgent.spec.priority = 1;
    let mut returned = job(2, "a", Access::Write);
    returned.state = JobState::Queued {
        since: T0,
        not_before: None,
        returned: true,
        cause: None,
    };
    line(
        &mut scheduler,
        [job(1, "a", Access::Write), returned, urgent],
    );
    for expected in [3, 2, 1] {
        assert_eq!(scheduler.pick(T0), [id(expected)]);
        scheduler.release(&id(expected));
    }
}

#[test]
fn a_job_says_which_needs_are_open() {
    let mut scheduler = Scheduler::new(Caps::default());
    let need = |n, must_complete| Need {
        job: id(n),
        must_complete,
    };
    let waiting = job(3, "a", Access::Write);
    scheduler.enqueue(&waiting, vec![need(1, true), need(2, false)]);
    let needs = |ns: &[u64]| Blocked::Needs {
        jobs: ns.iter().map(|n| id(*n)).collect(),
    };
    assert_eq!(scheduler.why(&id(3), T0), Some((needs(&[1, 2]), 1)));
    assert_eq!(scheduler.need_ended(&id(2), false), []);
    assert_eq!(scheduler.why(&id(3), T0), Some((needs(&[1]), 1)));
    assert_eq!(scheduler.need_ended(&id(1), false), [id(3)]);
}

/// A dispatcher with a chain in which every job needs the one before it.
fn chain(length: u64) -> Dispatcher {
    let mut dispatcher = Dispatcher::new(Caps::default());
    let first = dispatcher.decide(T0, accepted(job(0, "a", Access::Write), None));
    assert_eq!(first.actions.len(), 1);
    for n in 1..length {
        let need = Need {
            job: id(n - 1),
            must_complete: true,
        };
        dispatcher.restore(job(n, "a", Access::Write), vec![need]);
    }
    dispatcher
}

fn accepted(job: Job, need: Option<Need>) -> Input {
    Input::Accepted {
        job: Box::new(job),
        open_needs: need.into_iter().collect(),
        failed_need: None,
    }
}

fn over(n: u64, outcome: Outcome) -> Input {
    Input::AttemptOver {
        job: id(n),
        attempt: 1,
        verdict: Box::new(Verdict::Settled(JobEnd::without_process(outcome))),
    }
}

fn ends(decision: &Decision) -> usize {
    let ended = |event: &LifecycleEvent| matches!(event, LifecycleEvent::Ended { .. });
    decision
        .records
        .iter()
        .filter(|(_, event)| ended(event))
        .count()
}

#[test]
fn a_long_chain_of_needs_fails_as_a_whole() {
    let mut dispatcher = chain(5_000);
    let failed = Outcome::Failed(Failure::new(FailureCode::AgentFailed, "it failed"));
    let decision = dispatcher.decide(T0, over(0, failed));
    assert_eq!(ends(&decision), 5_000);
    assert!(decision.actions.is_empty());
    assert_eq!((dispatcher.queued(), dispatcher.running()), (0, 0));
}

#[test]
fn a_long_chain_of_needs_runs_link_by_link() {
    let length = 1_000;
    let mut dispatcher = chain(length);
    for n in 0..length {
        let decision = dispatcher.decide(T0, over(n, Outcome::Completed));
        let next = usize::from(n + 1 < length);
        assert_eq!((ends(&decision), decision.actions.len()), (1, next));
    }
    assert_eq!((dispatcher.queued(), dispatcher.running()), (0, 0));
}

#[test]
fn ten_thousand_jobs_wait_and_run_in_order() {
    let mut scheduler = Scheduler::new(caps(32, 8, 3));
    line(
        &mut scheduler,
        (0..10_000).map(|n| job(n, "a", Access::Write)),
    );
    line(&mut scheduler, [job(10_000, "b", Access::Read)]);
    let mut running = scheduler.pick(T0);
    assert_eq!(running, [id(0), id(1), id(2), id(10_000)]);
    let last = id(9_999);
    let why = scheduler.why(&last, T0);
    assert_eq!(why, Some((Blocked::Writers { cap: 3 }, 9_997)));
    for next in 3..200 {
        scheduler.release(&running.remove(0));
        let picked = scheduler.pick(T0);
        assert_eq!(picked, [id(next)]);
        running.insert(2, id(next));
    }
    assert_eq!((scheduler.queued(), scheduler.running()), (9_800, 4));
}

#[test]
fn jobs_with_a_tree_of_their_own_count_in_the_daemon_only() {
    let mut scheduler = Scheduler::new(caps(4, 1, 1));
    let own = |n, access| {
        let mut job = scoped(n, &["/a/x"]);
        job.spec.access = access;
        job.spec.workspace = Workspace::Worktree { of: job.id.clone() };
        job
    };
    line(
        &mut scheduler,
        [
            job(1, "a", Access::Write),
            own(2, Access::Write),
            own(3, Access::Write),
            own(4, Access::Read),
            own(5, Access::Read),
        ],
    );
    assert_eq!(scheduler.pick(T0), [id(1), id(2), id(3), id(4)]);
    let total = Some((Blocked::Total { cap: 4 }, 1));
    assert_eq!(scheduler.why(&id(5), T0), total);
}

/// A writer of tree `a` that may write these folders of it.
fn scoped(n: u64, folders: &[&str]) -> Job {
    let mut job = job(n, "a", Access::Write);
    job.spec.scope = Some(Scope {
        write: folders.iter().map(PathBuf::from).collect(),
        read: Vec::new(),
    });
    job
}

fn for_scope(jobs: &[u64], position: usize) -> Option<(Blocked, usize)> {
    let mut jobs: Vec<JobId> = jobs.iter().map(|n| id(*n)).collect();
    jobs.sort();
    Some((Blocked::Scope { jobs }, position))
}

#[test]
fn writers_of_folders_apart_run_at_once_and_others_wait() {
    let mut scheduler = Scheduler::new(caps(8, 8, 1));
    line(
        &mut scheduler,
        [
            scoped(1, &["/a/x"]),
            scoped(2, &["/a/y", "/a/z"]),
            scoped(3, &["/a/x/deep"]),
            scoped(4, &["/a/z", "/a/x"]),
            job(5, "a", Access::Write),
        ],
    );
    // A writer without a scope takes the one writer's slot.
    assert_eq!(scheduler.pick(T0), [id(1), id(2), id(5)]);
    assert_eq!(scheduler.why(&id(3), T0), for_scope(&[1], 1));
    assert_eq!(scheduler.why(&id(4), T0), for_scope(&[1, 2], 2));
    scheduler.release_all(&id(1));
    assert_eq!(scheduler.pick(T0), [id(3)]);
    scheduler.release_all(&id(2));
    scheduler.release_all(&id(3));
    assert_eq!(scheduler.pick(T0), [id(4)]);
}

#[test]
fn a_scope_is_kept_between_attempts_and_by_what_is_left() {
    let mut scheduler = Scheduler::new(caps(8, 8, 1));
    line(&mut scheduler, [scoped(1, &["/a/x"]), scoped(2, &["/a/x"])]);
    assert_eq!(scheduler.pick(T0), [id(1)]);
    // It pauses before its next attempt.
    scheduler.release(&id(1));
    let mut paused = scoped(1, &["/a/x"]);
    paused.state = JobState::Queued {
        since: T0,
        not_before: Some(T0.plus(500)),
        returned: true,
        cause: None,
    };
    line(&mut scheduler, [paused]);
    assert_eq!(scheduler.pick(T0), []);
    assert_eq!(scheduler.why(&id(2), T0), for_scope(&[1], 1));
    assert_eq!(scheduler.pick(T0.plus(500)), [id(1)]);
    scheduler.release_but_tree(&id(1));
    assert_eq!(scheduler.pick(T0.plus(600)), []);
    assert_eq!(scheduler.left_in_tree_of(&id(2)), [id(1)]);
    assert!(scheduler.release_tree(&id(1)));
    assert_eq!(scheduler.pick(T0.plus(600)), [id(2)]);
    assert!(!scheduler.release_tree(&id(1)));
}

#[test]
fn a_job_that_waits_for_several_folders_is_not_passed_for_ever() {
    let mut scheduler = Scheduler::new(caps(8, 8, 1));
    line(
        &mut scheduler,
        [
            scoped(1, &["/a/x"]),
            scoped(2, &["/a/x", "/a/y"]),
            scoped(3, &["/a/y"]),
        ],
    );
    assert_eq!(scheduler.pick(T0), [id(1), id(3)]);
    scheduler.release_all(&id(3));
    let later = T0.plus(PATIENCE_MS);
    line(&mut scheduler, [scoped(4, &["/a/y"]), scoped(5, &["/a/z"])]);
    assert_eq!(scheduler.pick(later), [id(5)]);
    assert_eq!(scheduler.why(&id(4), later), for_scope(&[2], 2));
    scheduler.release_all(&id(1));
    assert_eq!(scheduler.pick(later), [id(2)]);
}

/// A strict writer, in line in the order of acceptance.
fn strict(n: u64) -> Job {
    let mut job = job(n, "a", Access::Write);
    job.spec.coordination = Coordination::Strict;
    job
}

fn collided(job: &JobId, attempt: u32, with: &JobId) -> Input {
    let clash = Clash {
        with: vec![with.clone()],
        paths: vec!["f".to_owned()],
    };
    let end = JobEnd::without_process(Outcome::Completed);
    Input::AttemptOver {
        job: job.clone(),
        attempt,
        verdict: Box::new(Verdict::Clashed {
            end,
            clash: Box::new(clash),
        }),
    }
}

fn done(job: &JobId, attempt: u32) -> Input {
    Input::AttemptOver {
        job: job.clone(),
        attempt,
        verdict: Box::new(Verdict::Settled(JobEnd::without_process(
            Outcome::Completed,
        ))),
    }
}

/// The attempts that a decision starts.
fn starts(decision: &Decision) -> Vec<(JobId, u32)> {
    let starting = decision
        .records
        .iter()
        .filter_map(|(job, event)| match event {
            LifecycleEvent::AttemptStarting { attempt, .. } => Some((job.clone(), *attempt)),
            _ => None,
        });
    starting.collect()
}

#[test]
fn strict_writers_that_collided_run_again_one_after_the_other() {
    let mut dispatcher = Dispatcher::new(caps(8, 8, 8));
    for n in 1..=3 {
        let begun = dispatcher.decide(T0, accepted(strict(n), None));
        assert_eq!(starts(&begun), [(id(n), 1)], "strict writers run at once");
    }
    // The second one collides with the first, which still runs: it waits.
    assert_eq!(
        starts(&dispatcher.decide(T0, collided(&id(2), 1, &id(1)))),
        []
    );
    let (why, _) = dispatcher.why_queued(&id(2), T0).expect("it waits");
    let jobs = vec![id(1), id(3)];
    assert_eq!(why, Blocked::Conflict { jobs });
    // New ones wait until that is over; tolerant ones do not.
    assert_eq!(
        starts(&dispatcher.decide(T0, accepted(strict(4), None))),
        []
    );
    let tolerant = dispatcher.decide(T0, accepted(job(5, "a", Access::Write), None));
    assert_eq!(starts(&tolerant), [(id(5), 1)]);
    assert_eq!(
        starts(&dispatcher.decide(T0, collided(&id(1), 1, &id(2)))),
        []
    );
    // The last one ends: the first in the order of acceptance runs again, alone.
    assert_eq!(
        starts(&dispatcher.decide(T0, done(&id(3), 1))),
        [(id(1), 2)]
    );
    assert_eq!(
        starts(&dispatcher.decide(T0, done(&id(1), 2))),
        [(id(2), 2)]
    );
    assert_eq!(
        starts(&dispatcher.decide(T0, done(&id(2), 2))),
        [(id(4), 1)]
    );
}

#[test]
fn a_job_does_not_run_again_for_ever() {
    let mut dispatcher = Dispatcher::new(caps(8, 8, 8));
    let mut begun = dispatcher.decide(T0, accepted(strict(1), None));
    for attempt in 1..=4 {
        assert_eq!(starts(&begun), [(id(1), attempt)]);
        begun = dispatcher.decide(T0, collided(&id(1), attempt, &id(2)));
    }
    let Some((_, LifecycleEvent::Ended { end })) = begun.records.first() else {
        panic!("it does not end: {begun:?}");
    };
    let Outcome::Failed(failure) = &end.outcome else {
        panic!("it does not fail: {end:?}");
    };
    assert_eq!(failure.code, FailureCode::Workspace);
    assert!(failure.message.contains("3 times"), "{}", failure.message);
}
