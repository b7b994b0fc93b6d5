//! What follows when strict jobs changed the same files: they run again, but not
//! for ever.

use super::{Decision, Dispatcher};
use crate::{
    coordination::{Clash, MOST_RERUNS},
    failure::{Failure, FailureCode},
    ids::JobId,
    job::Job,
    lifecycle::{JobEnd, LifecycleEvent, Outcome},
    time::UnixMillis,
};

impl Dispatcher {
    /// Puts a job back in line that did its work beside another one that changed
    /// the same files; its changes are taken back before it starts.
    pub(super) fn clashed(
        &mut self,
        now: UnixMillis,
        id: &JobId,
        (attempt, clash): (u32, Box<Clash>),
        end: JobEnd,
        decision: &mut Decision,
    ) {
        let Some(job) = self.jobs.get(id) else { return };
        if let Some(why) = why_not_again(job, &end) {
            let message = format!(
                "strict coordination: {clash} while job {id} was at work, and {why}; what it did stays in the working tree"
            );
            let outcome = Outcome::Failed(Failure::new(FailureCode::Workspace, message));
            return self.end(now, id, JobEnd { outcome, ..end }, decision);
        }
        let message = format!(
            "strict coordination: {clash} while the job was at work; what it did is taken back and it runs again, alone"
        );
        let event = LifecycleEvent::Requeued {
            attempt,
            cause: Failure::new(FailureCode::Workspace, message),
            counted: true,
            not_before: None,
            clash: Some(clash),
        };
        self.requeue(now, id, event, decision);
    }
}

fn why_not_again(job: &Job, end: &JobEnd) -> Option<String> {
    if job.reruns() >= MOST_RERUNS {
        return Some(format!("it has run again {MOST_RERUNS} times already"));
    }
    // They could still be at work while it runs again.
    (!end.leftovers.is_empty()).then(|| "processes of it are left".to_owned())
}
