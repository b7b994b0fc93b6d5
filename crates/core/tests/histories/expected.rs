//! What each input must lead to.

use convoke_core::{
    dispatcher::{Decision, Input},
    lifecycle::LifecycleEvent,
};

use super::{Oracle, Phase, rule};
use crate::world::Ids;

/// What an input must lead to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    Nothing,
    /// The job ends or goes back in line.
    Over(usize),
    /// The job ends.
    End(usize),
    /// The job is being stopped.
    Stopping(usize),
    /// No record of the job but a start, and a note of it if it was evidence.
    Ignored {
        job: usize,
        late: bool,
    },
}

impl Oracle {
    pub(super) fn expected(&mut self, input: &Input, ids: &Ids) -> Expected {
        let live = |job: usize, attempt: u32| self.status[job].phase == Phase::Live(attempt);
        match input {
            Input::Tick | Input::WriterEnded { .. } => Expected::Nothing,
            Input::Found { job, .. } => {
                let job = ids.index(job);
                match self.status[job].phase {
                    Phase::Queued | Phase::Live(_) if self.status[job].submitted => {
                        Expected::Nothing
                    }
                    _ => Expected::Ignored { job, late: true },
                }
            }
            Input::LeftoversGone { job } => {
                let job = ids.index(job);
                if self.left.contains(&job) {
                    Expected::Nothing
                } else {
                    Expected::Ignored { job, late: false }
                }
            }
            Input::Accepted { job, .. } => {
                let job = ids.index(&job.id);
                if self.status[job].submitted {
                    return Expected::Ignored { job, late: true };
                }
                self.status[job].submitted = true;
                self.failed_need(job)
                    .map_or(Expected::Nothing, |_| Expected::End(job))
            }
            Input::AttemptRunning { job, attempt, .. }
            | Input::ThreadKnown { job, attempt, .. }
            | Input::LastWord { job, attempt } => {
                let job = ids.index(job);
                if live(job, *attempt) {
                    Expected::Nothing
                } else {
                    Expected::Ignored { job, late: true }
                }
            }
            Input::AttemptOver { job, attempt, .. } => {
                let job = ids.index(job);
                if live(job, *attempt) {
                    Expected::Over(job)
                } else {
                    Expected::Ignored { job, late: true }
                }
            }
            Input::StopRequested { job, force, .. } => {
                let job = ids.index(job);
                match (self.status[job].phase, self.status[job].stop) {
                    _ if !self.status[job].submitted => Expected::Ignored { job, late: false },
                    (Phase::Queued, _) => Expected::End(job),
                    (Phase::Live(_), None) => Expected::Stopping(job),
                    (Phase::Live(_), Some((_, false))) if *force => Expected::Stopping(job),
                    _ => Expected::Ignored { job, late: false },
                }
            }
        }
    }

    pub(super) fn was_expected(
        &self,
        expected: Expected,
        decision: &Decision,
        ids: &Ids,
    ) -> Result<(), String> {
        let has = |job: usize, names: &[&str]| {
            decision
                .records
                .iter()
                .any(|(id, event)| ids.index(id) == job && names.contains(&event.name()))
        };
        let holds = match expected {
            Expected::Nothing => true,
            Expected::Over(job) => has(job, &["job.ended", "job.requeued"]),
            Expected::End(job) => has(job, &["job.ended"]),
            Expected::Stopping(job) => has(job, &["job.stopping"]),
            Expected::Ignored { job, late } => {
                let only_starts = decision.records.iter().all(|(id, event)| {
                    ids.index(id) != job || matches!(event, LifecycleEvent::AttemptStarting { .. })
                });
                only_starts && decision.late.is_some() == late
            }
        };
        rule!(holds, "expected {expected:?}, decided {decision:?}");
        Ok(())
    }
}
