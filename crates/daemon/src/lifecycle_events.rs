//! The events a job's feed gets from its lifecycle records.

use convoke_core::{
    coordination::Clash,
    event::{EventKind, NewEvent},
    failure::Failure,
    finding::Finding,
    lifecycle::{JobEnd, LifecycleEvent, LifecycleRecord, Outcome},
    time::UnixMillis,
};
use serde_json::json;

/// The event that a committed record adds to its job's feed, if it adds one.
/// The same record always gives the same event, so that a feed can be rebuilt.
#[must_use]
pub fn of_record(record: &LifecycleRecord) -> Option<NewEvent> {
    match &record.event {
        LifecycleEvent::Accepted { spec, .. } => Some(NewEvent::new(
            EventKind::Queued,
            json!({"label": spec.label, "agent": spec.work.agent(), "workingDirectory": spec.working_directory,
                   "sandbox": spec.sandbox}),
        )),
        LifecycleEvent::Stopping { reason, force, .. } => Some(NewEvent::new(
            EventKind::Stopping,
            json!({"reason": reason.as_str(), "force": force}),
        )),
        LifecycleEvent::Requeued {
            attempt,
            cause,
            not_before,
            clash,
            ..
        } => Some(NewEvent::new(
            EventKind::Requeued,
            requeued(*attempt, cause, *not_before, clash.as_deref()),
        )),
        LifecycleEvent::Found { finding, .. } => Some(of_finding(finding)),
        LifecycleEvent::Ended { end } => Some(NewEvent::new(
            EventKind::Final,
            final_content(record.job.as_str(), end),
        )),
        LifecycleEvent::AttemptStarting { .. }
        | LifecycleEvent::AttemptRunning { .. }
        | LifecycleEvent::ThreadKnown { .. }
        | LifecycleEvent::Finishing { .. } => None,
    }
}

fn requeued(
    attempt: u32,
    cause: &Failure,
    not_before: Option<UnixMillis>,
    clash: Option<&Clash>,
) -> serde_json::Value {
    let mut content = json!({
        "attempt": attempt,
        "code": cause.code.as_str(),
        "message": cause.message,
        "notBefore": not_before.map(|at| at.to_rfc3339()),
    });
    if let Some(clash) = clash {
        content["jobIds"] = json!(clash.with);
        content["paths"] = json!(clash.paths);
    }
    content
}

fn of_finding(finding: &Finding) -> NewEvent {
    match finding {
        Finding::Violation(violation) => NewEvent::new(
            EventKind::Violation,
            json!({"rule": violation.rule.as_str(), "message": violation.message,
                   "items": violation.items}),
        ),
        Finding::Conflict(conflict) => NewEvent::new(
            EventKind::Conflict,
            json!({"conflict": conflict.kind, "id": conflict.id, "path": conflict.path,
                   "jobIds": conflict.jobs, "message": conflict.to_string()}),
        ),
        Finding::TakenBack(taken) => NewEvent::new(
            EventKind::Conflict,
            json!({"conflict": "taken_back", "attempt": taken.attempt, "jobIds": taken.jobs,
                   "resolved": taken.inseparable.is_empty(), "message": taken.to_string(),
                   "restored": taken.restored, "keptBoth": taken.kept_both, "left": taken.left,
                   "checkpointId": taken.checkpoint}),
        ),
    }
}

fn final_content(job: &str, end: &JobEnd) -> serde_json::Value {
    let mut content = json!({
        "jobId": job,
        "status": status_word(&end.outcome),
        "exitCode": end.exit_code,
        "exitSignal": end.exit_signal,
        "lastMessage": end.final_message,
    });
    match &end.outcome {
        Outcome::Completed => {}
        Outcome::Failed(failure) => {
            content["code"] = json!(failure.code.as_str());
            content["message"] = json!(failure.message);
            content["hint"] = json!(failure.code.hint());
        }
        Outcome::Cancelled { reason } => content["code"] = json!(reason.as_str()),
    }
    if !end.leftovers.is_empty() {
        content["leftovers"] = json!(end.leftovers);
    }
    content
}

/// The word the feed and the job tools use for an outcome.
#[must_use]
pub fn status_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "done",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled { .. } => "canceled",
    }
}
