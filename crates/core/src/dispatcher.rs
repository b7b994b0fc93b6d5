//! Decides what happens to every live job.
//!
//! [`Dispatcher::decide`] takes one input and answers with the lifecycle
//! events to commit and the actions to carry out **after** the commit. Its own
//! state moves by the same events, so folding the committed records gives the
//! same state again.

mod attempts;
mod clashes;
mod ends;

use std::{collections::BTreeMap, path::PathBuf};

use self::ends::Ends;
use crate::{
    coordination::Clash,
    failure::{Failure, FailureCode},
    finding::{Finding, MOST_FINDINGS},
    ids::{JobId, RunnerId},
    job::{Job, JobState},
    lifecycle::{JobEnd, JournalPoint, LifecycleEvent, Outcome, StopReason},
    scheduler::{Blocked, Caps, Need, Scheduler},
    time::UnixMillis,
};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A job was accepted and committed.
    Accepted {
        /// The job, queued.
        job: Box<Job>,
        /// Its needs that have not ended, as far as is committed.
        open_needs: Vec<Need>,
        /// The first of its needs that ended without completing, if one did.
        failed_need: Option<JobId>,
    },
    /// The runner reports the agent's process.
    AttemptRunning {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: u32,
        /// The agent's process id.
        pid: Option<u32>,
        /// How its tree is held.
        containment: String,
    },
    /// The agent named its conversation.
    ThreadKnown {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: u32,
        /// The name.
        thread: String,
    },
    /// The agent said its last word.
    LastWord {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: u32,
    },
    /// Someone wants the job stopped.
    StopRequested {
        /// The job.
        job: JobId,
        /// Why.
        reason: StopReason,
        /// Whether without a grace period.
        force: bool,
        /// How far its output had been read.
        after: Option<JournalPoint>,
    },
    /// The attempt's processes are proved gone and its output is read.
    AttemptOver {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: u32,
        /// What came of it.
        verdict: Box<Verdict>,
    },
    /// Things were seen of a job that somebody should know of.
    Found {
        /// The job.
        job: JobId,
        /// What; what is known already is left out.
        findings: Vec<Finding>,
        /// How far its output had been read.
        after: Option<JournalPoint>,
    },
    /// What an ended job left behind is gone, or a person let go of it.
    LeftoversGone {
        /// The job.
        job: JobId,
    },
    /// It was looked whether a writer that ended collided with another.
    WriterEnded {
        /// The tree.
        tree: PathBuf,
        /// Whether it did.
        overlapped: bool,
    },
    /// Time passed.
    Tick,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The job is over.
    Settled(JobEnd),
    /// It did its work, and other strict jobs changed the same files meanwhile: it
    /// is to run again.
    Clashed {
        /// How it would have ended.
        end: JobEnd,
        /// Who, and which files.
        clash: Box<Clash>,
    },
    /// The attempt never ran; it is started again and does not count.
    NeverStarted {
        /// Why it did not.
        cause: Failure,
    },
}

/// What to do once the records are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start an attempt.
    Start {
        /// The job.
        job: JobId,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// Stop the live attempt.
    Stop {
        /// The job.
        job: JobId,
        /// Its attempt.
        attempt: u32,
        /// Why.
        reason: StopReason,
        /// Whether without a grace period.
        force: bool,
    },
}

/// The answer to an input.
#[must_use = "records are to be committed and actions carried out"]
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// Events to commit, in this order, in one transaction.
    pub records: Vec<(JobId, LifecycleEvent)>,
    /// What to do after the commit, in this order.
    pub actions: Vec<Action>,
    /// Evidence that came too late to matter, for the audit table.
    pub late: Option<(JobId, String)>,
}

/// Every live job, and who may run.
#[derive(Debug)]
pub struct Dispatcher {
    jobs: BTreeMap<JobId, Job>,
    false_starts: BTreeMap<JobId, u32>,
    scheduler: Scheduler,
    ends: Ends,
}

impl Dispatcher {
    /// A dispatcher without jobs.
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        Self {
            jobs: BTreeMap::new(),
            false_starts: BTreeMap::new(),
            scheduler: Scheduler::new(caps),
            ends: Ends::default(),
        }
    }

    /// Takes over a job found at start: in line, or with a live attempt.
    ///
    /// A queued job of which a need ended without completing is told by
    /// [`Input::Accepted`] instead, which ends it.
    pub fn restore(&mut self, job: Job, open_needs: Vec<Need>) {
        if job.is_over() {
            return;
        }
        if job.state.attempt().is_some() {
            self.scheduler.adopt(&job);
        } else {
            self.scheduler.enqueue(&job, open_needs);
        }
        self.jobs.insert(job.id.clone(), job);
    }

    /// Takes over an ended job of which processes are left: it holds its place
    /// in its tree until [`Input::LeftoversGone`].
    pub fn restore_leftovers(&mut self, job: &Job) {
        self.scheduler.adopt_leftovers(job);
    }

    /// What the clock showed when the last thing known was noted: if it was set
    /// back since, nobody waits for the difference. To be told before anything
    /// else of a start.
    pub fn restore_clock(&mut self, last: UnixMillis) {
        self.scheduler.follow_clock(last);
    }

    /// Ended jobs that hold places in the tree of a job in line.
    #[must_use]
    pub fn left_in_tree_of(&self, id: &JobId) -> Vec<JobId> {
        self.scheduler.left_in_tree_of(id)
    }

    /// Changes the caps.
    pub fn set_caps(&mut self, caps: Caps) {
        self.scheduler.set_caps(caps);
    }

    /// A live job.
    #[must_use]
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// Every live job.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// Number of jobs in line.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.scheduler.queued()
    }

    /// Number of jobs that hold slots.
    #[must_use]
    pub fn running(&self) -> usize {
        self.scheduler.running()
    }

    /// Why a job in line does not start, and its position.
    #[must_use]
    pub fn why_queued(&self, id: &JobId, now: UnixMillis) -> Option<(Blocked, usize)> {
        self.scheduler.why(id, now)
    }

    /// When to send the next [`Input::Tick`], if time alone can change a thing.
    #[must_use]
    pub fn next_deadline(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.scheduler.next_deadline(now)
    }

    /// Decides what follows from `input`.
    pub fn decide(&mut self, now: UnixMillis, input: Input) -> Decision {
        let mut decision = Decision::default();
        self.scheduler.follow_clock(now);
        match input {
            Input::Accepted {
                job,
                open_needs,
                failed_need,
            } => {
                self.accept(now, *job, open_needs, failed_need, &mut decision);
            }
            Input::AttemptRunning {
                job,
                attempt,
                pid,
                containment,
            } => {
                let event = LifecycleEvent::AttemptRunning {
                    attempt,
                    pid,
                    containment,
                };
                self.record_for_attempt(now, &job, attempt, event, &mut decision);
            }
            Input::ThreadKnown {
                job,
                attempt,
                thread,
            } => {
                let known = self.jobs.get(&job).is_some_and(|j| {
                    j.state.attempt() == Some(attempt) && j.thread.as_deref() == Some(&*thread)
                });
                if !known {
                    let event = LifecycleEvent::ThreadKnown { attempt, thread };
                    self.record_for_attempt(now, &job, attempt, event, &mut decision);
                }
            }
            Input::LastWord { job, attempt } => {
                let event = LifecycleEvent::Finishing { attempt };
                self.record_for_attempt(now, &job, attempt, event, &mut decision);
            }
            Input::StopRequested {
                job,
                reason,
                force,
                after,
            } => {
                self.stop(now, &job, reason, force, after, &mut decision);
            }
            Input::AttemptOver {
                job,
                attempt,
                verdict,
            } => {
                self.attempt_over(now, &job, attempt, *verdict, &mut decision);
            }
            Input::Found {
                job,
                findings,
                after,
            } => {
                self.found(now, &job, findings, after, &mut decision);
            }
            Input::LeftoversGone { job } => {
                self.scheduler.release_tree(&job);
            }
            Input::WriterEnded { tree, overlapped } => {
                self.scheduler.writer_ended(&tree, overlapped);
            }
            Input::Tick => {}
        }
        self.start_what_can(now, &mut decision);
        decision
    }

    fn accept(
        &mut self,
        now: UnixMillis,
        job: Job,
        mut open_needs: Vec<Need>,
        failed_need: Option<JobId>,
        decision: &mut Decision,
    ) {
        let id = job.id.clone();
        if self.jobs.contains_key(&id) {
            // Taking it on again would forget its live attempt.
            decision.late = Some((id, "accepted again".to_owned()));
            return;
        }
        let failed_need = self.ends.settle(&mut open_needs).or(failed_need);
        self.restore(job, open_needs);
        if let Some(need) = failed_need {
            self.end(now, &id, end_for_need(&id, &need), decision);
        }
    }

    /// Applies and records an event of a live attempt; anything else is late.
    fn record_for_attempt(
        &mut self,
        now: UnixMillis,
        id: &JobId,
        attempt: u32,
        event: LifecycleEvent,
        decision: &mut Decision,
    ) {
        let live = self.jobs.get(id).and_then(|job| job.state.attempt()) == Some(attempt);
        if !live {
            decision.late = Some((id.clone(), format!("{} of attempt {attempt}", event.name())));
            return;
        }
        self.record(now, id, event, decision);
    }

    /// Applies an event and, if it applies, records it.
    fn record(
        &mut self,
        now: UnixMillis,
        id: &JobId,
        event: LifecycleEvent,
        decision: &mut Decision,
    ) -> bool {
        let Some(job) = self.jobs.get_mut(id) else {
            return false;
        };
        match job.apply(now, &event) {
            Ok(()) => {
                decision.records.push((id.clone(), event));
                true
            }
            Err(illegal) => {
                decision.late = Some((id.clone(), illegal.to_string()));
                false
            }
        }
    }

    fn stop(
        &mut self,
        now: UnixMillis,
        id: &JobId,
        reason: StopReason,
        force: bool,
        after: Option<JournalPoint>,
        decision: &mut Decision,
    ) {
        let Some(job) = self.jobs.get(id) else { return };
        let attempt = match &job.state {
            JobState::Ended { .. } => return,
            JobState::Queued { .. } => {
                let end = JobEnd::without_process(Outcome::Cancelled { reason });
                self.end(now, id, end, decision);
                return;
            }
            JobState::Stopping { force: already, .. } if *already || !force => return,
            JobState::Starting { attempt, .. }
            | JobState::Running { attempt, .. }
            | JobState::Finishing { attempt, .. }
            | JobState::Stopping { attempt, .. } => *attempt,
        };
        let reason = match &job.state {
            // Force only hurries a stop that was asked for before.
            JobState::Stopping { reason, .. } => *reason,
            _ => reason,
        };
        if self.record(
            now,
            id,
            LifecycleEvent::Stopping {
                reason,
                force,
                after,
            },
            decision,
        ) {
            decision.actions.push(Action::Stop {
                job: id.clone(),
                attempt,
                reason,
                force,
            });
        }
    }

    fn found(
        &mut self,
        now: UnixMillis,
        id: &JobId,
        findings: Vec<Finding>,
        after: Option<JournalPoint>,
        decision: &mut Decision,
    ) {
        for finding in findings {
            let Some(job) = self.jobs.get(id) else {
                decision.late = Some((id.clone(), format!("found: {finding:?}")));
                return;
            };
            // What follows depends on what was taken back.
            let decides = matches!(finding, Finding::TakenBack(_));
            let is_enough = job.findings.len() >= MOST_FINDINGS && !decides;
            if is_enough || job.findings.contains(&finding) {
                continue;
            }
            let finding = Box::new(finding);
            self.record(now, id, LifecycleEvent::Found { finding, after }, decision);
        }
    }

    /// Ends a job, gives back what it held and settles those that need it, and
    /// those that need them in turn.
    fn end(&mut self, now: UnixMillis, id: &JobId, end: JobEnd, decision: &mut Decision) {
        let mut ending = vec![(id.clone(), end)];
        while let Some((id, end)) = ending.pop() {
            let completed = end.outcome == Outcome::Completed;
            let leaves = !end.leftovers.is_empty();
            if !self.record(
                now,
                &id,
                LifecycleEvent::Ended { end: Box::new(end) },
                decision,
            ) {
                continue;
            }
            self.scheduler.remove(&id);
            if leaves {
                self.scheduler.release_but_tree(&id);
            } else {
                self.scheduler.release_all(&id);
            }
            self.jobs.remove(&id);
            self.false_starts.remove(&id);
            self.ends.remember(id.clone(), completed);
            let hopeless = self.scheduler.need_ended(&id, completed);
            ending.extend(
                hopeless
                    .into_iter()
                    .map(|other| (other.clone(), end_for_need(&other, &id))),
            );
        }
    }

    fn start_what_can(&mut self, now: UnixMillis, decision: &mut Decision) {
        for id in self.scheduler.pick(now) {
            let attempt = self.jobs.get(&id).map_or(0, |job| job.attempts) + 1;
            let event = LifecycleEvent::AttemptStarting {
                attempt,
                runner: RunnerId::of_attempt(&id, attempt),
            };
            if self.record(now, &id, event, decision) {
                decision.actions.push(Action::Start { job: id, attempt });
            } else {
                self.scheduler.release_all(&id);
            }
        }
    }
}

fn end_for_need(job: &JobId, need: &JobId) -> JobEnd {
    let message =
        format!("job {job} was not started: job {need}, which it needs, did not complete");
    JobEnd::without_process(Outcome::Failed(Failure::new(
        FailureCode::NeedsFailed,
        message,
    )))
}
