//! What follows the end of an attempt: the end of its job, or another attempt.

use super::{Decision, Dispatcher, Verdict};
use crate::{
    failure::Failure,
    ids::JobId,
    job::{Job, JobState},
    lifecycle::{JobEnd, LifecycleEvent, Outcome},
    run,
    time::UnixMillis,
};

/// How often an attempt that never started is started again before the job
/// fails.
const MAX_FALSE_STARTS: u32 = 5;

impl Dispatcher {
    pub(super) fn attempt_over(
        &mut self,
        now: UnixMillis,
        id: &JobId,
        attempt: u32,
        verdict: Verdict,
        decision: &mut Decision,
    ) {
        let live = self
            .jobs
            .get(id)
            .filter(|job| job.state.attempt() == Some(attempt));
        let Some(job) = live else {
            decision.late = Some((id.clone(), format!("end of attempt {attempt}: {verdict:?}")));
            return;
        };
        let stopping = match &job.state {
            JobState::Stopping { reason, .. } => Some(*reason),
            _ => None,
        };
        let next = match (&verdict, stopping) {
            (Verdict::Settled(end), None) => next_attempt(now, job, end),
            _ => None,
        };
        match (verdict, stopping) {
            (Verdict::Settled(end), None) => match (next, end.outcome) {
                (Some(not_before), Outcome::Failed(cause)) => {
                    self.repeat(now, id, attempt, cause, not_before, decision);
                }
                (_, outcome) => self.end(now, id, JobEnd { outcome, ..end }, decision),
            },
            (Verdict::Clashed { end, clash }, None) => {
                self.clashed(now, id, (attempt, clash), end, decision);
            }
            // Whatever the agent made of the stop, the job was stopped.
            (Verdict::Settled(end) | Verdict::Clashed { end, .. }, Some(reason)) => {
                let outcome = Outcome::Cancelled { reason };
                self.end(now, id, JobEnd { outcome, ..end }, decision);
            }
            (Verdict::NeverStarted { .. }, Some(reason)) => {
                self.end(
                    now,
                    id,
                    JobEnd::without_process(Outcome::Cancelled { reason }),
                    decision,
                );
            }
            (Verdict::NeverStarted { cause }, None) => {
                self.start_again(now, id, attempt, cause, decision);
            }
        }
    }

    /// Puts a job back in line whose attempt failed for a reason that passes.
    fn repeat(
        &mut self,
        now: UnixMillis,
        id: &JobId,
        attempt: u32,
        cause: Failure,
        not_before: UnixMillis,
        decision: &mut Decision,
    ) {
        let event = LifecycleEvent::Requeued {
            attempt,
            cause,
            counted: true,
            not_before: Some(not_before),
            clash: None,
        };
        self.requeue(now, id, event, decision);
    }

    pub(super) fn requeue(
        &mut self,
        now: UnixMillis,
        id: &JobId,
        event: LifecycleEvent,
        decision: &mut Decision,
    ) {
        if self.record(now, id, event, decision) {
            self.scheduler.release(id);
            if let Some(job) = self.jobs.get(id) {
                self.scheduler.enqueue(job, Vec::new());
            }
        }
    }

    fn start_again(
        &mut self,
        now: UnixMillis,
        id: &JobId,
        attempt: u32,
        cause: Failure,
        decision: &mut Decision,
    ) {
        let starts = self.false_starts.entry(id.clone()).or_insert(0);
        *starts += 1;
        if *starts > MAX_FALSE_STARTS {
            self.end(
                now,
                id,
                JobEnd::without_process(Outcome::Failed(cause)),
                decision,
            );
            return;
        }
        // The first repetition comes at once; later ones leave time for what
        // keeps the runner from starting to pass.
        let not_before = (*starts > 1).then(|| now.plus(250 << *starts));
        let event = LifecycleEvent::Requeued {
            attempt,
            cause,
            counted: false,
            not_before,
            clash: None,
        };
        self.requeue(now, id, event, decision);
    }
}

/// When the attempt after a failed one may start, if there is to be one. What
/// is left of the failed one could still be at work, so there is none then.
fn next_attempt(now: UnixMillis, job: &Job, end: &JobEnd) -> Option<UnixMillis> {
    match &end.outcome {
        Outcome::Failed(failure) if end.leftovers.is_empty() => {
            if run::is_repaired(job, failure) {
                return Some(now);
            }
            // Those that collided with other jobs failed by no fault of their own.
            let clashed = u32::try_from(job.reruns()).unwrap_or(u32::MAX);
            let made = job.attempts.saturating_sub(clashed);
            job.spec.retry.next(&job.id, failure, made, now)
        }
        _ => None,
    }
}
