//! Signs of life of running attempts, gathered for those who look.

use std::{sync::Arc, time::Duration};

use convoke_core::{
    ids::JobId,
    job::{Job, JobState},
    liveness::{Activity, Liveness, QUIET_AFTER_MS, Signs, Usage, judge},
    time::Moment,
};
use convoke_runner::sweep;
use tokio::time::{Instant, MissedTickBehavior};

use crate::{
    clock,
    live::{LiveJob, Reading},
    state::Daemon,
};

/// How often the processes of quiet jobs are looked at. The process table is
/// read once for all of them.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Whether a job is alive; none unless its agent runs.
#[must_use]
pub fn of_job(daemon: &Daemon, job: &Job) -> Option<Liveness> {
    let runs = matches!(
        job.state,
        JobState::Running { .. } | JobState::Finishing { .. }
    );
    let live = daemon.live.get(&job.id).filter(|_| runs)?;
    Some(judge(&signs(job, &live)))
}

fn signs(job: &Job, live: &LiveJob) -> Signs {
    let output = live.output();
    let now = clock::now();
    let started = job.attempt_started_at.unwrap_or(job.accepted_at);
    let silent_ms = match output.last_life.or(output.started) {
        Some(moment) => silent_since(moment),
        // The runner has not been read yet.
        None => now.since(started),
    };
    Signs {
        now,
        started,
        last_life: output.last_life.map(|moment| moment.wall),
        silent_ms,
        provider_wait: output.provider_wait,
        question: None,
        open_tool: output.open_tool,
        activity: live.reading().and_then(|reading| reading.activity),
        idle_ms: job.spec.limits.idle_ms,
    }
}

fn silent_since(moment: Moment) -> u64 {
    convoke_runner::clock::mono_ms().saturating_sub(moment.mono_ms)
}

/// Looks at the processes of quiet jobs, again and again, until the daemon
/// ends.
pub async fn watch(daemon: Arc<Daemon>) {
    let mut interval = tokio::time::interval(LOOK_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let quiet = quiet_jobs(&daemon);
        if quiet.is_empty() {
            continue;
        }
        let roots: Vec<i32> = quiet.iter().map(|(_, root)| *root).collect();
        let read = tokio::task::spawn_blocking(move || sweep::usage_of_trees(&roots)).await;
        for ((live, _), usage) in quiet.iter().zip(read.unwrap_or_default()) {
            note(live, usage);
        }
    }
}

/// Jobs whose agent runs and is silent, with the root of its processes.
fn quiet_jobs(daemon: &Daemon) -> Vec<(Arc<LiveJob>, i32)> {
    let running: Vec<JobId> = {
        let dispatcher = daemon.dispatcher();
        let runs = |job: &&Job| matches!(job.state, JobState::Running { .. });
        dispatcher
            .jobs()
            .filter(runs)
            .map(|job| job.id.clone())
            .collect()
    };
    let live = running.iter().filter_map(|id| daemon.live.get(id));
    live.filter(|live| is_silent(live))
        .filter_map(|live| {
            let agent = i32::try_from(live.process()?.pid).ok()?;
            // What the agent started and left belongs to it too: it hangs on
            // the agent's parent, the runner or the init of its namespace.
            let root = sweep::parent_of(agent)?;
            Some((live, root))
        })
        .collect()
}

fn is_silent(live: &LiveJob) -> bool {
    let last = live.output().last_life;
    last.is_none_or(|last| silent_since(last) >= QUIET_AFTER_MS)
}

fn note(live: &LiveJob, usage: Usage) {
    let now = Instant::now();
    let activity = live.reading().map(|earlier| {
        let over = now.duration_since(earlier.at).as_millis();
        let over_ms = u64::try_from(over).unwrap_or(u64::MAX);
        Activity::between(earlier.usage, usage, over_ms)
    });
    live.set_reading(Reading {
        at: now,
        usage,
        activity,
    });
}
