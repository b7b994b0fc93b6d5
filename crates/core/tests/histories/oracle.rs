//! The rules, checked on the stream of decisions. Written from the design; it
//! shares no code with the dispatcher and the scheduler.

mod expected;

use std::{cmp::Reverse, collections::BTreeSet};

use convoke_core::{
    dispatcher::{Action, Decision, Input, Verdict},
    failure::{Failure, FailureCode},
    ids::JobId,
    lifecycle::{JobEnd, LifecycleEvent, LifecycleRecord, Outcome, StopReason},
    sandbox::Access,
    scheduler::Caps,
    time::UnixMillis,
};

use crate::{
    fairness::{Front, Released},
    world::Ids,
};

/// Number of trees and of owners in the world.
pub const TREES: usize = 3;
/// Their names.
pub const TREE_NAMES: [&str; TREES] = ["a", "b", "c"];
/// Number of owners in the world.
pub const OWNERS: usize = 3;
/// Folders of each tree; the second lies in the first.
pub const FOLDERS: [&str; 3] = ["x", "x/y", "z"];

/// Most times that a job runs again because it collided.
const MOST_RERUNS: u32 = 3;

/// Failures after which the same work may succeed.
const PASSING: [FailureCode; 4] = [
    FailureCode::Network,
    FailureCode::RateLimited,
    FailureCode::Overloaded,
    FailureCode::Lost,
];

/// What is fixed about a job.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Place in the order of acceptance.
    pub seq: u64,
    /// Greater starts earlier.
    pub priority: i32,
    /// Which tree.
    pub tree: usize,
    /// Reader or writer.
    pub access: Access,
    /// Whether it expects a clean tree, and runs again where it collides.
    pub strict: bool,
    /// Folders of the tree that it alone writes: none, or some of [`FOLDERS`].
    pub scope: Vec<usize>,
    /// Which owner.
    pub owner: usize,
    /// The owner's cap, as this job states it.
    pub owner_cap: Option<u32>,
    /// Jobs that must complete first.
    pub needs: Vec<usize>,
    /// Jobs that must end first.
    pub after: Vec<usize>,
    /// Attempts it may make.
    pub attempts: u32,
}

impl Facts {
    /// Which of the rooms (readers or writers of a tree) it takes a slot of. A
    /// writer with a scope takes none.
    pub fn room(&self) -> Option<usize> {
        let room = self.tree * 2 + usize::from(self.access == Access::Write);
        self.scope.is_empty().then_some(room)
    }

    /// Whether it may not write while another one does, by their scopes.
    pub fn clashes(&self, other: &Self) -> bool {
        let nested = |a: usize, b: usize| a == b || a + b == 1;
        let mut own = self.scope.iter();
        self.tree == other.tree && own.any(|a| other.scope.iter().any(|b| nested(*a, *b)))
    }

    /// The cap of that room.
    pub fn room_cap(&self, caps: &Caps) -> u32 {
        match self.access {
            Access::Read => caps.readers,
            Access::Write => caps.writers,
        }
    }

    fn same_demand(&self, other: &Self) -> bool {
        self.tree == other.tree
            && self.access == other.access
            && self.scope == other.scope
            && self.owner == other.owner
            && self.owner_cap == other.owner_cap
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// In line.
    Queued,
    /// With a live attempt.
    Live(u32),
    /// Over.
    Ended {
        /// Whether completed.
        completed: bool,
    },
}

/// What the decisions so far say of a job.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether the dispatcher has heard of it.
    pub submitted: bool,
    /// Where it stands.
    pub phase: Phase,
    /// Whether it was live before.
    pub returned: bool,
    /// End of its pause.
    pub not_before: Option<u64>,
    /// Since when later jobs have passed it although it could start.
    pub passed_since: Option<u64>,
    /// Attempts that count, the live one included.
    counted: u32,
    /// The stop in progress, and whether forced.
    stop: Option<(StopReason, bool)>,
    false_starts: u32,
    /// How often it collided and goes back in line.
    clashes: u32,
    /// What was seen of it, as text.
    found: BTreeSet<String>,
}

/// Slots in use.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// In the daemon.
    pub total: u32,
    /// Readers and writers of each tree.
    pub rooms: [u32; TREES * 2],
    /// Of each owner.
    pub owners: [u32; OWNERS],
    /// Jobs that hold their scope.
    pub leases: BTreeSet<usize>,
    /// Strict writers that are live.
    pub strict: BTreeSet<usize>,
}

impl Used {
    /// Whether there are slots for a job.
    pub fn fits(&self, job: &Facts, caps: &Caps) -> bool {
        self.total < caps.total
            && job
                .room()
                .is_none_or(|room| self.rooms[room] < job.room_cap(caps))
            && job.owner_cap.is_none_or(|cap| self.owners[job.owner] < cap)
    }

    /// Takes a job's slots.
    pub fn take(&mut self, job: &Facts) {
        self.total += 1;
        if let Some(room) = job.room() {
            self.rooms[room] += 1;
        }
        self.owners[job.owner] += 1;
    }

    /// Gives a job's slots back.
    pub fn give(&mut self, job: &Facts) {
        self.give_but_room(job);
        if let Some(room) = job.room() {
            self.rooms[room] -= 1;
        }
    }

    /// Gives back all but the place in the tree.
    fn give_but_room(&mut self, job: &Facts) {
        self.total -= 1;
        self.owners[job.owner] -= 1;
    }
}

/// What is known of the world.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// Jobs, in the order of acceptance.
    pub facts: Vec<Facts>,
    /// And where they stand.
    pub status: Vec<Status>,
    /// Slots in use.
    pub used: Used,
    /// The first in line that ran out of patience.
    pub front: Option<Front>,
    /// Ended jobs that hold their place in the tree.
    pub left: BTreeSet<usize>,
    /// Trees in which writers collided: how many may be there, and how many ended
    /// without a collision since that number was set.
    lowered: [Option<(u32, u32)>; TREES],
    last_seen: u64,
}

macro_rules! rule {
    ($holds:expr, $($message:tt)+) => {
        if !$holds { return Err(format!($($message)+)); }
    };
}
pub(crate) use rule;

impl Oracle {
    /// A job was accepted, with so many attempts behind it.
    pub fn accepted(&mut self, facts: Facts, attempts: u32) {
        self.facts.push(facts);
        self.status.push(Status {
            submitted: false,
            phase: Phase::Queued,
            returned: attempts > 0,
            not_before: None,
            passed_since: None,
            counted: attempts,
            stop: None,
            false_starts: 0,
            clashes: 0,
            found: BTreeSet::new(),
        });
    }

    /// What is left after a crash: what the committed records say.
    pub fn after_crash(&self, log: &[LifecycleRecord], ids: &Ids) -> Result<Self, String> {
        let mut next = Self::default();
        for facts in &self.facts {
            next.accepted(facts.clone(), 0);
        }
        for record in log {
            next.record(ids.index(&record.job), &record.event, record.at)?;
        }
        for status in &mut next.status {
            status.submitted = true;
            status.false_starts = 0;
        }
        Ok(next)
    }

    /// Whether a job ended, and if so, whether completed.
    pub fn ended(&self, job: usize) -> Option<bool> {
        match self.status[job].phase {
            Phase::Ended { completed } => Some(completed),
            _ => None,
        }
    }

    /// A need that ended without completing.
    pub fn failed_need(&self, job: usize) -> Option<usize> {
        self.facts[job]
            .needs
            .iter()
            .copied()
            .find(|need| self.ended(*need) == Some(false))
    }

    /// Whether all that a job in line lacks is slots.
    pub fn ready(&self, job: usize, now: UnixMillis) -> bool {
        let status = &self.status[job];
        status.submitted
            && status.phase == Phase::Queued
            && status.not_before.is_none_or(|at| at <= now.0)
            && self.facts[job]
                .needs
                .iter()
                .all(|need| self.ended(*need) == Some(true))
            && self.facts[job]
                .after
                .iter()
                .all(|other| self.ended(*other).is_some())
    }

    /// Place in line; smaller starts earlier.
    pub fn place(&self, job: usize) -> (Reverse<i32>, bool, u64) {
        let facts = &self.facts[job];
        (
            Reverse(facts.priority),
            !self.status[job].returned,
            facts.seq,
        )
    }

    /// The caps as they are in a tree.
    pub fn caps_in(&self, tree: usize, caps: &Caps) -> Caps {
        let lowered = self.lowered[tree].map_or(u32::MAX, |(cap, _)| cap);
        Caps {
            writers: caps.writers.min(lowered),
            ..*caps
        }
    }

    /// A collision leaves room for one writer; three ends without one give room
    /// for one more.
    fn writer_ended(&mut self, tree: usize, overlapped: bool, caps: &Caps) {
        self.lowered[tree] = match (self.lowered[tree], overlapped) {
            (_, true) => Some((1, 0)),
            (None, false) => None,
            (Some((cap, 2)), false) => Some((cap + 1, 0)),
            (Some((cap, clean)), false) => Some((cap, clean + 1)),
        };
        if !overlapped {
            self.lowered[tree] = self.lowered[tree].filter(|(cap, _)| *cap < caps.writers);
        }
    }

    /// Whether a job has its scope, or nobody keeps it from it, and it is its turn.
    pub fn may_write(&self, used: &Used, job: usize) -> bool {
        let has_scope = used.leases.contains(&job)
            || !used
                .leases
                .iter()
                .any(|other| self.facts[*other].clashes(&self.facts[job]));
        has_scope && self.has_turn(used, job)
    }

    /// Whether a job is no strict one, or none of those is before it: the ones that
    /// run again come first, in the order of acceptance, and each of them alone.
    pub fn has_turn(&self, used: &Used, job: usize) -> bool {
        let facts = &self.facts[job];
        let beside = |other: &usize| *other != job && self.facts[*other].tree == facts.tree;
        let runs_again = |other: &usize| {
            let status = &self.status[*other];
            status.submitted && status.clashes > 0 && !matches!(status.phase, Phase::Ended { .. })
        };
        let mut again = (0..self.facts.len()).filter(|other| beside(other) && runs_again(other));
        if !facts.strict {
            return true;
        }
        if self.status[job].clashes == 0 {
            return again.next().is_none();
        }
        !again.any(|other| self.facts[other].seq < facts.seq) && !used.strict.iter().any(beside)
    }

    /// Judges a decision.
    pub fn judge(
        &mut self,
        now: UnixMillis,
        caps: &Caps,
        input: &Input,
        decision: &Decision,
        ids: &Ids,
    ) -> Result<(), String> {
        self.follow_clock(now);
        if let Input::WriterEnded { tree, overlapped } = input {
            let tree = TREE_NAMES.iter().position(|name| tree.as_os_str() == *name);
            self.writer_ended(tree.ok_or("an unknown tree")?, *overlapped, caps);
        }
        let expected = self.expected(input, ids);
        let left = self.let_go(input, ids);
        let mut started = Vec::new();
        let mut released = Vec::new();
        let mut actions = decision.actions.iter();
        for (id, event) in &decision.records {
            let job = ids.index(id);
            let phase = self.status[job].phase;
            match event {
                LifecycleEvent::AttemptStarting { attempt, .. } => {
                    self.may_start(now, caps, job)?;
                    started.push(job);
                    let start = Action::Start {
                        job: id.clone(),
                        attempt: *attempt,
                    };
                    rule!(
                        actions.next() == Some(&start),
                        "job {job} is starting without its action"
                    );
                }
                LifecycleEvent::Stopping { reason, force, .. } => {
                    let Phase::Live(attempt) = phase else {
                        return Err(format!("job {job} stops, but is {phase:?}"));
                    };
                    let stop = Action::Stop {
                        job: id.clone(),
                        attempt,
                        reason: *reason,
                        force: *force,
                    };
                    rule!(
                        actions.next() == Some(&stop),
                        "job {job} is stopping without its action"
                    );
                }
                LifecycleEvent::Ended { end } => self.may_end(job, end, input, ids)?,
                LifecycleEvent::Requeued { clash: Some(_), .. } => {
                    self.may_run_again(job, event, input, ids)?;
                }
                LifecycleEvent::Requeued {
                    counted: true,
                    cause,
                    not_before,
                    ..
                } => self.may_repeat(now, job, cause, *not_before, input)?,
                _ => {}
            }
            self.record(job, event, now)?;
            if let (Phase::Live(_), Phase::Queued | Phase::Ended { .. }) =
                (phase, self.status[job].phase)
            {
                released.push(Released {
                    job,
                    attempt: true,
                    room: !self.left.contains(&job),
                    lease: !self.used.leases.contains(&job),
                });
            }
        }
        released.extend(left);
        rule!(
            actions.next().is_none(),
            "an action without a record: {:?}",
            decision.actions
        );
        self.was_expected(expected, decision, ids)?;
        if let Some(job) = (0..self.facts.len()).find(|job| {
            self.status[*job].submitted
                && self.status[*job].phase == Phase::Queued
                && self.failed_need(*job).is_some()
        }) {
            return Err(format!(
                "job {job} is in line although a need did not complete"
            ));
        }
        self.judge_fairness(now, caps, &started, &released)
    }

    /// What an ended job left behind is gone.
    fn let_go(&mut self, input: &Input, ids: &Ids) -> Option<Released> {
        let Input::LeftoversGone { job } = input else {
            return None;
        };
        let job = ids.index(job);
        self.give_room(job).then_some(Released {
            job,
            attempt: false,
            room: true,
            lease: true,
        })
    }

    /// Gives back the place in the tree of an ended job, if it holds one.
    pub fn give_room(&mut self, job: usize) -> bool {
        let held = self.left.remove(&job);
        if held {
            self.used.leases.remove(&job);
            if let Some(room) = self.facts[job].room() {
                self.used.rooms[room] -= 1;
            }
        }
        held
    }

    /// Instants noted before the clock was set back move with it.
    fn follow_clock(&mut self, now: UnixMillis) {
        let back = self.last_seen.saturating_sub(now.0);
        self.last_seen = now.0;
        if back == 0 {
            return;
        }
        for status in &mut self.status {
            status.not_before = status.not_before.map(|at| at.saturating_sub(back));
            status.passed_since = status.passed_since.map(|at| at.saturating_sub(back));
        }
    }

    /// What the log of one job allows to follow.
    fn record(&mut self, job: usize, event: &LifecycleEvent, at: UnixMillis) -> Result<(), String> {
        let facts = &self.facts[job];
        let status = &mut self.status[job];
        let phase = status.phase;
        let name = event.name();
        rule!(
            !matches!(phase, Phase::Ended { .. }),
            "job {job} is over, and then comes {name}"
        );
        match event {
            LifecycleEvent::Accepted { .. } => {}
            LifecycleEvent::Found { finding, .. } => {
                let found = format!("{finding:?}");
                rule!(status.found.insert(found), "job {job} is found out twice");
            }
            LifecycleEvent::AttemptStarting { attempt, .. } => {
                rule!(
                    phase == Phase::Queued,
                    "job {job} is {phase:?} and starts attempt {attempt}"
                );
                rule!(
                    *attempt == status.counted + 1,
                    "attempt {attempt} of job {job} is out of order"
                );
                status.counted = *attempt;
                status.phase = Phase::Live(*attempt);
                status.passed_since = None;
                self.used.take(facts);
                if !facts.scope.is_empty() {
                    self.used.leases.insert(job);
                }
                if facts.strict {
                    self.used.strict.insert(job);
                }
            }
            LifecycleEvent::AttemptRunning { attempt, .. }
            | LifecycleEvent::ThreadKnown { attempt, .. }
            | LifecycleEvent::Finishing { attempt } => {
                rule!(
                    phase == Phase::Live(*attempt),
                    "job {job} is {phase:?}: {name} of attempt {attempt}"
                );
                let finishing = matches!(event, LifecycleEvent::Finishing { .. });
                rule!(
                    !(finishing && status.stop.is_some()),
                    "job {job} is stopping, and then finishing"
                );
            }
            LifecycleEvent::Stopping { reason, force, .. } => {
                rule!(
                    matches!(phase, Phase::Live(_)),
                    "job {job} stops, but is {phase:?}"
                );
                if let Some((first, forced)) = status.stop {
                    rule!(
                        *force && !forced && first == *reason,
                        "job {job} is stopped over again"
                    );
                }
                status.stop = Some((*reason, *force));
            }
            LifecycleEvent::Requeued {
                attempt,
                counted,
                not_before,
                clash,
                ..
            } => {
                status.clashes += u32::from(clash.is_some());
                self.used.strict.remove(&job);
                rule!(
                    phase == Phase::Live(*attempt),
                    "job {job} is {phase:?}: {name} of attempt {attempt}"
                );
                rule!(
                    status.stop.is_none(),
                    "job {job} is stopping and goes back in line"
                );
                status.counted -= u32::from(!counted);
                status.false_starts += u32::from(!counted);
                status.returned = true;
                status.not_before = not_before.map(|at| at.0);
                status.phase = Phase::Queued;
                rule!(
                    not_before.is_none_or(|until| until > at),
                    "job {job} has no pause"
                );
                self.used.give(facts);
            }
            LifecycleEvent::Ended { end } => {
                status.phase = Phase::Ended {
                    completed: end.outcome == Outcome::Completed,
                };
                self.used.strict.remove(&job);
                if end.leftovers.is_empty() {
                    self.used.leases.remove(&job);
                }
                match phase {
                    Phase::Live(_) if end.leftovers.is_empty() => self.used.give(facts),
                    Phase::Live(_) => {
                        self.used.give_but_room(facts);
                        self.left.insert(job);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn may_start(&self, now: UnixMillis, caps: &Caps, job: usize) -> Result<(), String> {
        let facts = &self.facts[job];
        rule!(
            self.ready(job, now),
            "job {job} starts and is not ready: {:?}",
            self.status[job]
        );
        let caps = &self.caps_in(facts.tree, caps);
        rule!(
            self.may_write(&self.used, job),
            "job {job} starts and another one holds its scope: {:?}",
            self.used.leases
        );
        rule!(
            self.used.fits(facts, caps),
            "job {job} starts over a cap: {:?}, {caps:?}, {facts:?}",
            self.used
        );
        let place = self.place(job);
        let passed = (0..self.facts.len()).find(|other| {
            self.facts[*other].same_demand(facts)
                && self.place(*other) < place
                && self.ready(*other, now)
                && self.may_write(&self.used, *other)
        });
        rule!(
            passed.is_none(),
            "job {job} starts before job {passed:?}, which wants the same and was earlier"
        );
        Ok(())
    }

    /// Why a job may end, and how.
    fn may_end(&self, job: usize, end: &JobEnd, input: &Input, ids: &Ids) -> Result<(), String> {
        let status = &self.status[job];
        match (status.phase, input) {
            (
                Phase::Queued,
                Input::StopRequested {
                    job: id, reason, ..
                },
            ) if ids.index(id) == job => {
                rule!(
                    end.outcome == Outcome::Cancelled { reason: *reason },
                    "job {job} in line was stopped: {end:?}"
                );
            }
            (Phase::Queued, _) => {
                let needs_failed = matches!(&end.outcome, Outcome::Failed(f) if f.code == FailureCode::NeedsFailed);
                rule!(
                    needs_failed && self.failed_need(job).is_some(),
                    "job {job} in line ends: {end:?}"
                );
            }
            (
                Phase::Live(live),
                Input::AttemptOver {
                    job: id,
                    attempt,
                    verdict,
                },
            ) => {
                rule!(
                    ids.index(id) == job && live == *attempt,
                    "job {job} ends by a verdict on another"
                );
                self.may_end_by(job, end, verdict)?;
            }
            (phase, _) => return Err(format!("job {job} is {phase:?} and ends by {input:?}")),
        }
        Ok(())
    }

    /// Whether an end that nobody asked for is one to try again after.
    fn must_repeat(&self, job: usize, end: &JobEnd) -> bool {
        let Outcome::Failed(failure) = &end.outcome else {
            return false;
        };
        PASSING.contains(&failure.code)
            && end.leftovers.is_empty()
            && self.status[job].counted - self.status[job].clashes < self.facts[job].attempts
    }

    /// Whether a job may be tried again, and when.
    fn may_repeat(
        &self,
        now: UnixMillis,
        job: usize,
        cause: &Failure,
        not_before: Option<UnixMillis>,
        input: &Input,
    ) -> Result<(), String> {
        let Input::AttemptOver { verdict, .. } = input else {
            return Err(format!("job {job} is tried again by {input:?}"));
        };
        let Verdict::Settled(end) = verdict.as_ref() else {
            return Err(format!("a false start of job {job} counts"));
        };
        rule!(
            self.must_repeat(job, end) && end.outcome == Outcome::Failed(cause.clone()),
            "job {job} is tried again after {end:?}, {:?}",
            self.status[job]
        );
        let earliest = cause.until.map_or(now.plus(1), |until| until.max(now));
        rule!(
            not_before.is_some_and(|at| at >= earliest),
            "job {job} is tried again at {not_before:?}, before {earliest:?}"
        );
        Ok(())
    }

    /// Whether a job may run again because it collided.
    fn may_run_again(
        &self,
        job: usize,
        event: &LifecycleEvent,
        input: &Input,
        ids: &Ids,
    ) -> Result<(), String> {
        let is_of = |id: &JobId| ids.index(id) == job;
        let by_verdict = matches!(input, Input::AttemptOver { job: id, verdict, .. }
            if matches!(&**verdict, Verdict::Clashed { end, .. } if end.leftovers.is_empty())
                && is_of(id));
        rule!(
            by_verdict && self.facts[job].strict && self.status[job].clashes < MOST_RERUNS,
            "job {job} runs again by {input:?}: {event:?}, {:?}",
            self.status[job]
        );
        Ok(())
    }

    fn may_end_by(&self, job: usize, end: &JobEnd, verdict: &Verdict) -> Result<(), String> {
        let stop = self.status[job]
            .stop
            .map(|(reason, _)| Outcome::Cancelled { reason });
        let expected = match (verdict, stop) {
            (Verdict::Settled(settled), None) => {
                rule!(
                    !self.must_repeat(job, settled),
                    "job {job} ends although it has attempts left: {settled:?}"
                );
                settled.clone()
            }
            (Verdict::Settled(settled), Some(outcome))
            | (Verdict::Clashed { end: settled, .. }, Some(outcome)) => JobEnd {
                outcome,
                ..settled.clone()
            },
            (Verdict::Clashed { end: settled, .. }, None) => {
                let spent = self.status[job].clashes >= MOST_RERUNS;
                let failed = matches!(&end.outcome, Outcome::Failed(failure)
                    if failure.code == FailureCode::Workspace);
                rule!(
                    failed && (spent || !settled.leftovers.is_empty()),
                    "job {job} ends although it may run again: {end:?}"
                );
                JobEnd {
                    outcome: end.outcome.clone(),
                    ..settled.clone()
                }
            }
            (Verdict::NeverStarted { .. }, Some(outcome)) => JobEnd::without_process(outcome),
            (Verdict::NeverStarted { cause }, None) => {
                rule!(
                    self.status[job].false_starts >= 5,
                    "job {job} ends after too few false starts"
                );
                JobEnd::without_process(Outcome::Failed(cause.clone()))
            }
        };
        rule!(
            *end == expected,
            "job {job} ends as {end:?}, not as {expected:?}"
        );
        Ok(())
    }
}
