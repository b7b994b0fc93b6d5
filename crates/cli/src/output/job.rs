//! One job in words: the lines of `status`, and the line at its end.

use convoke_api::{changes::WorkspaceKind, job::JobView, values::State};
use jiff::Timestamp;

use crate::output::{
    style::{self, DIM, STRONG, styled},
    text::{clean, one_line},
    time,
};

/// The job in full: one fact a line, name before value.
pub fn details(job: &JobView, now: Timestamp) -> String {
    let mut facts = Facts::default();
    let state = styled(style::of_state(job.state), job.state.as_str());
    facts.add("job", &job.job_id);
    facts.add_if("label", job.label.as_deref());
    facts.add_styled("state", &state);
    if let Some(queue) = &job.queue {
        facts.add(
            "waits",
            &format!("{} (position {})", queue.message, queue.position),
        );
    }
    outcome(&mut facts, job);
    let model = job.model.as_ref().map(|model| format!(" {model}"));
    facts.add(
        "agent",
        &format!("{}{}", job.agent, model.unwrap_or_default()),
    );
    facts.add("task", &one_line(&job.summary, 200));
    facts.add("folder", &job.working_directory);
    let access = serde_word(&job.access);
    facts.add("power", &format!("{} ({access})", serde_word(&job.sandbox)));
    facts.add_if("worktree", job.worktree.as_deref().map(clean));
    facts.add_if("changes", job.worktree_decision.as_deref());
    if let Some(scope) = &job.scope {
        let write = (!scope.write.is_empty()).then(|| scope.write.join(", "));
        facts.add_if("may write", write.as_deref().map(clean));
        let read = (!scope.read.is_empty()).then(|| scope.read.join(", "));
        facts.add_if("is to read", read.as_deref().map(clean));
    }
    times(&mut facts, job, now);
    if let Some(process) = &job.process {
        let pid = process
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        facts.add(
            "process",
            &format!("{pid}, held by {}", process.containment),
        );
        let last = process.last_output_at.as_deref();
        facts.add_if(
            "last output",
            last.map(|at| format!("{} ago", time::age(at, now))),
        );
    }
    if let Some(liveness) = &job.liveness {
        let verdict = words(&liveness.verdict);
        let since = time::age(&liveness.since, now);
        facts.add("alive", &format!("{verdict} (since {since})"));
        for reason in &liveness.reasons {
            facts.add("", &clean(reason));
        }
    }
    facts.add("limits", &limits(job));
    facts.add_if("thread", job.thread.as_deref());
    facts.add_if("parent", job.parent_job_id.as_deref());
    facts.add_if(
        "needs",
        (!job.needs.is_empty()).then(|| job.needs.join(", ")),
    );
    facts.add("owner", &job.owner);
    facts.add_if("run", job.run_id.as_deref());
    facts.add_if("run folder", job.run_dir.as_deref());
    facts.text()
}

fn outcome(facts: &mut Facts, job: &JobView) {
    facts.add_if("code", job.code.as_deref());
    facts.add_if("reason", job.message.as_deref());
    facts.add_if("hint", job.hint.as_deref());
    facts.add_if("exit", exit(job));
    facts.add_if(
        "leftovers",
        (!job.leftovers.is_empty()).then(|| job.leftovers.join(", ")),
    );
    for violation in &job.violations {
        facts.add("violation", &clean(&violation.message));
        for item in &violation.items {
            facts.add("", &clean(item));
        }
    }
    for conflict in &job.conflicts {
        let kind = words(&conflict.kind);
        let others: Vec<&str> = conflict.job_ids.iter().map(String::as_str).collect();
        let resolved = if conflict.resolved { " (resolved)" } else { "" };
        let text = format!(
            "{kind} in {}: {}{resolved}",
            conflict.path,
            others.join(", ")
        );
        facts.add("conflict", &clean(&text));
    }
    for rerun in &job.reruns {
        facts.add("run again", &clean(&rerun.message));
    }
    if job.holds_tree {
        let id = &job.job_id;
        let what = format!(
            "a place in the working tree until they are gone, or until `convoke release {id}`"
        );
        facts.add("holds", &what);
    }
}

fn times(facts: &mut Facts, job: &JobView, now: Timestamp) {
    facts.add(
        "accepted",
        &format!(
            "{} ({} ago)",
            job.accepted_at,
            time::age(&job.accepted_at, now)
        ),
    );
    facts.add_if("started", job.started_at.as_deref());
    if let Some(finished) = &job.finished_at {
        let took = run_time(job).map(|took| format!(" (ran {took})"));
        facts.add(
            "finished",
            &format!("{finished}{}", took.unwrap_or_default()),
        );
    }
    if job.attempt_history.len() > 1 || job.attempts > 1 {
        facts.add(
            "attempts",
            &format!("{} of at most {}", job.attempts, job.max_attempts),
        );
    }
    for attempt in job.attempt_history.iter().filter(|one| one.code.is_some()) {
        let Some(ended) = &attempt.ended_at else {
            continue;
        };
        let code = attempt.code.as_deref().unwrap_or_default();
        let message = attempt.message.as_deref().unwrap_or_default();
        let number = attempt.attempt;
        facts.add(
            "failed",
            &clean(&format!("attempt {number}, {code} at {ended}: {message}")),
        );
    }
}

/// A word of the API as a person reads it.
fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// The state in short, with what is worth knowing about it: that a running job
/// is quiet, and why a waiting one waits.
pub fn state(job: &JobView) -> String {
    let state = job.state.as_str();
    let more = match (&job.liveness, &job.queue) {
        (Some(liveness), _) if liveness.verdict != "working" => Some(words(&liveness.verdict)),
        (_, Some(queue)) if queue.reason != "cap" => Some(match queue.reason.as_str() {
            "backOff" => "back-off".to_owned(),
            "rateLimit" => "rate limit".to_owned(),
            other => other.to_owned(),
        }),
        _ => None,
    };
    more.map_or_else(|| state.to_owned(), |more| format!("{state}, {more}"))
}

/// What becomes of the changes of a job with a working tree of its own, as long as
/// that is not decided.
pub fn undecided(job: &JobView) -> Option<String> {
    job.worktree.as_ref()?;
    let id = &job.job_id;
    let place = match job.workspace {
        WorkspaceKind::Overlay => "layer",
        _ => "working tree",
    };
    let text = format!(
        "what it changed is in a {place} of its own: convoke diff {id}, then convoke apply {id} or convoke discard {id}"
    );
    Some(styled(DIM, &text))
}

/// The line with which a watched job ends: how, why and what to do.
pub fn ending(job: &JobView) -> String {
    let mark = match job.state {
        State::Completed => "✓",
        State::Failed => "✗",
        _ => "■",
    };
    let state = styled(
        style::of_state(job.state),
        &format!("{mark} {}", job.state.as_str()),
    );
    let mut line = format!("{state} {}", name(job));
    if let Some(took) = run_time(job) {
        line.push_str(&styled(DIM, &format!(" after {took}")));
    }
    let exit = exit(job).filter(|_| job.state != State::Completed);
    let facts: Vec<&str> = [job.code.as_deref(), exit.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    if !facts.is_empty() {
        line.push_str(&format!(" ({})", facts.join(", ")));
    }
    if let Some(message) = &job.message {
        line.push_str(&format!(": {}", clean(message)));
    }
    if let Some(hint) = &job.hint {
        line.push_str(&format!("\nhint: {}", clean(hint)));
    }
    for leftover in &job.leftovers {
        line.push_str(&format!("\nstill there: {}", clean(leftover)));
    }
    line
}

/// The id, and the label if there is one.
pub fn name(job: &JobView) -> String {
    match &job.label {
        Some(label) => format!("{} [{}]", job.job_id, one_line(label, 60)),
        None => job.job_id.clone(),
    }
}

fn exit(job: &JobView) -> Option<String> {
    match (job.exit_code, job.exit_signal) {
        (Some(code), _) => Some(format!("exit code {code}")),
        (None, Some(signal)) => Some(format!("signal {signal}")),
        (None, None) => None,
    }
}

fn run_time(job: &JobView) -> Option<String> {
    let took = time::between(job.started_at.as_deref()?, job.finished_at.as_deref()?)?;
    Some(time::duration(took))
}

fn limits(job: &JobView) -> String {
    let output = match job.limits.output_limit_bytes {
        0 => "none".to_owned(),
        bytes => time::bytes(bytes),
    };
    format!(
        "time {}, idle {}, first output {}, output {output}",
        time::limit(job.limits.timeout_ms),
        time::limit(job.limits.idle_timeout_ms),
        time::limit(job.limits.first_event_timeout_ms),
    )
}

/// The word with which a value is sent.
fn serde_word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "-".to_owned(),
    }
}

#[derive(Default)]
struct Facts(Vec<(&'static str, String)>);

impl Facts {
    fn add(&mut self, name: &'static str, value: &str) {
        self.0.push((name, clean(value).into_owned()));
    }

    fn add_styled(&mut self, name: &'static str, value: &str) {
        self.0.push((name, value.to_owned()));
    }

    fn add_if(&mut self, name: &'static str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.add(name, value.as_ref());
        }
    }

    fn text(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines = self.0.iter().map(|(name, value)| {
            let padding = " ".repeat(width - name.len());
            format!("{}{padding}  {value}", styled(STRONG, name))
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A job for tests.
#[cfg(test)]
pub fn sample() -> JobView {
    serde_json::from_value(serde_json::json!({
        "jobId": "j-0a1b2c", "kind": "agent", "agent": "codex", "state": "running",
        "label": "nightly", "workingDirectory": "/repo", "sandbox": "workspace-write",
        "access": "write", "model": null, "summary": "fix the tests",
        "acceptedAt": "2026-01-01T00:00:00Z", "startedAt": "2026-01-01T00:00:01Z",
        "finishedAt": null, "attempts": 1, "thread": null, "parentJobId": null, "needs": [],
        "queue": null, "process": {"pid": 42, "containment": "namespace",
        "lastOutputAt": "2026-01-01T00:04:00Z"}, "exitCode": null, "exitSignal": null,
        "code": null, "message": null, "hint": null, "retryable": false, "leftovers": [], "holdsTree": false,
        "limits": {"timeoutMs": 14_400_000, "idleTimeoutMs": 1_800_000,
        "firstEventTimeoutMs": 0, "outputLimitBytes": 268_435_456}, "owner": "uid:1000",
    }))
    .expect("the sample is a job")
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    fn failed() -> JobView {
        JobView {
            state: State::Failed,
            finished_at: Some("2026-01-01T00:03:06Z".into()),
            process: None,
            exit_code: Some(1),
            code: Some("agent_failed".into()),
            message: Some("the turn failed".into()),
            hint: Some("read its events".into()),
            leftovers: vec!["123 (sleep)".into()],
            ..sample()
        }
    }

    #[test]
    fn a_running_job() {
        let text = details(&sample(), "2026-01-01T00:05:00Z".parse().unwrap());
        insta::assert_snapshot!(strip_str(&text), @r"
        job          j-0a1b2c
        label        nightly
        state        running
        agent        codex
        task         fix the tests
        folder       /repo
        power        workspace-write (write)
        accepted     2026-01-01T00:00:00Z (5m ago)
        started      2026-01-01T00:00:01Z
        process      42, held by namespace
        last output  60s ago
        limits       time 4h 00m, idle 30m 00s, first output none, output 256 MiB
        owner        uid:1000
        ");
    }

    #[test]
    fn a_failed_job() {
        let text = details(&failed(), "2026-01-01T00:05:00Z".parse().unwrap());
        insta::assert_snapshot!(strip_str(&text), @r"
        job        j-0a1b2c
        label      nightly
        state      failed
        code       agent_failed
        reason     the turn failed
        hint       read its events
        exit       exit code 1
        leftovers  123 (sleep)
        agent      codex
        task       fix the tests
        folder     /repo
        power      workspace-write (write)
        accepted   2026-01-01T00:00:00Z (5m ago)
        started    2026-01-01T00:00:01Z
        finished   2026-01-01T00:03:06Z (ran 3m 05s)
        limits     time 4h 00m, idle 30m 00s, first output none, output 256 MiB
        owner      uid:1000
        ");
    }

    #[test]
    fn endings() {
        insta::assert_snapshot!(strip_str(&ending(&failed())), @r"
        ✗ failed j-0a1b2c [nightly] after 3m 05s (agent_failed, exit code 1): the turn failed
        hint: read its events
        still there: 123 (sleep)
        ");
        let completed = JobView {
            state: State::Completed,
            exit_code: Some(0),
            label: None,
            process: None,
            ..sample()
        };
        insta::assert_snapshot!(strip_str(&ending(&completed)), @r"
        ✓ completed j-0a1b2c
        ");
    }
}
