//! Paths of the API: the one list that client, daemon and documentation share.

/// `POST`: start jobs. `GET`: list them.
pub const JOBS: &str = "/v1/jobs";
/// `POST`: wait for the first of some jobs to end.
pub const WAIT: &str = "/v1/jobs/wait";
/// `GET`: one job. An id, a unique beginning of one, or a label.
pub const JOB: &str = "/v1/jobs/{job}";
/// `GET`: a page of a job's events.
pub const JOB_EVENTS: &str = "/v1/jobs/{job}/events";
/// `GET`: a job's events as they come (server-sent events).
pub const JOB_EVENT_STREAM: &str = "/v1/jobs/{job}/events/stream";
/// `GET`: what came of a job.
pub const JOB_RESULT: &str = "/v1/jobs/{job}/result";
/// `GET`: what a job changed.
pub const JOB_CHANGES: &str = "/v1/jobs/{job}/changes";
/// `GET`: paths that several jobs changed at once.
pub const CONFLICTS: &str = "/v1/conflicts";
/// The versions of a file.
pub const VERSIONS: &str = "/v1/versions";
/// `POST`: start a job that brings together what others did.
pub const RECONCILE: &str = "/v1/reconcile";
/// `POST`: take changes back.
pub const ROLLBACK: &str = "/v1/rollback";
/// `POST`: bring what a job did in a working tree of its own into the caller's.
pub const JOB_APPLY: &str = "/v1/jobs/{job}/apply";
/// `POST`: drop what a job did in a working tree of its own.
pub const JOB_DISCARD: &str = "/v1/jobs/{job}/discard";
/// `POST`: stop a job.
pub const JOB_CANCEL: &str = "/v1/jobs/{job}/cancel";
/// `POST`: let go of what is left of a job that is over.
pub const JOB_RELEASE: &str = "/v1/jobs/{job}/release";
/// `POST`: stop a job and go on with another prompt.
pub const JOB_INTERRUPT: &str = "/v1/jobs/{job}/interrupt";
/// `GET`: all lifecycle events as they come (server-sent events).
pub const EVENTS: &str = "/v1/events";
/// `GET`: the caller's conversations.
pub const SESSIONS: &str = "/v1/sessions";
/// `GET`: the daemon.
pub const DAEMON: &str = "/v1/daemon";
/// `POST`: stop the daemon.
pub const DAEMON_STOP: &str = "/v1/daemon/stop";
/// `GET`: settings with their origins.
pub const CONFIG: &str = "/v1/config";
/// `POST`: forget ended jobs.
pub const GC: &str = "/v1/gc";
/// `POST`: start a delegated run. `GET`: list them.
pub const RUNS: &str = "/v1/runs";
/// `GET`: one run, by its name; its answer once it is over.
pub const RUN: &str = "/v1/runs/{job}";
/// `POST`: stop a run.
pub const RUN_CANCEL: &str = "/v1/runs/{job}/cancel";
/// `POST`: tell that the answer of a run reached whoever asked.
pub const RUN_DELIVERED: &str = "/v1/runs/{job}/delivered";
/// `POST`: check the installation.
pub const DOCTOR: &str = "/v1/doctor";

/// Fills the `{job}` of a path.
#[must_use]
pub fn of_job(path: &str, job: &str) -> String {
    let mut escaped = String::with_capacity(job.len());
    for byte in job.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    path.replace("{job}", &escaped)
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_are_escaped() {
        assert_eq!(
            super::of_job(super::JOB, "a b/ü"),
            "/v1/jobs/a%20b%2F%C3%BC"
        );
    }
}
