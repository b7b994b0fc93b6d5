//! Outcomes of jobs that ended lately.

use std::collections::{HashMap, VecDeque};

use crate::{ids::JobId, scheduler::Need};

/// How many ends are remembered: many times what can await its commit.
const REMEMBERED: usize = 4_096;

/// Outcomes of jobs that ended lately. Who looks a need up in the store does
/// not see an end that is decided and not yet committed.
#[derive(Debug, Default)]
pub(super) struct Ends {
    completed: HashMap<JobId, bool>,
    order: VecDeque<JobId>,
}

impl Ends {
    /// Remembers an end, and forgets the oldest if there are too many.
    pub(super) fn remember(&mut self, job: JobId, completed: bool) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.completed.remove(&oldest);
        }
        self.order.push_back(job.clone());
        self.completed.insert(job, completed);
    }

    /// Drops the needs that have ended; answers the first of them that was to
    /// complete and did not.
    pub(super) fn settle(&self, needs: &mut Vec<Need>) -> Option<JobId> {
        let mut failed = None;
        needs.retain(|need| {
            let ended = self.completed.get(&need.job);
            if ended == Some(&false) && need.must_complete {
                failed.get_or_insert_with(|| need.job.clone());
            }
            ended.is_none()
        });
        failed
    }
}
