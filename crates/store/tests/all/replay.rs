//! Whatever is decided, in whatever order: the rows say what the records do,
//! and a job that has ended stays as it is.

use crate::support::{TestHome, accept, decided_at, ended, id, new_job, runtime, starting};
use convoke_core::{
    coordination::Clash,
    failure::{Failure, FailureCode},
    job::{Job, JobState},
    lifecycle::{LifecycleEvent, Outcome, StopReason},
    time::UnixMillis,
};
use proptest::prelude::*;

fn event() -> impl Strategy<Value = LifecycleEvent> {
    let attempt = 1..4u32;
    let failure = || Failure::new(FailureCode::Network, "no route");
    prop_oneof![
        4 => attempt.clone().prop_map(|attempt| starting(&id(0), attempt)),
        4 => attempt.clone().prop_map(|attempt| LifecycleEvent::AttemptRunning {
            attempt,
            pid: Some(7),
            containment: "group".to_owned(),
        }),
        2 => attempt.clone().prop_map(|attempt| LifecycleEvent::ThreadKnown {
            attempt,
            thread: format!("thread-{attempt}"),
        }),
        1 => attempt.clone().prop_map(|attempt| LifecycleEvent::Finishing { attempt }),
        1 => any::<bool>().prop_map(|force| LifecycleEvent::Stopping {
            reason: StopReason::Cancelled,
            force,
            after: None,
        }),
        2 => (attempt, any::<bool>(), any::<bool>()).prop_map(move |(attempt, counted, clashed)| {
            let clash = clashed.then(|| Box::new(Clash { with: Vec::new(), paths: Vec::new() }));
            let counted = counted || clashed;
            LifecycleEvent::Requeued { attempt, cause: failure(), counted, not_before: None, clash }
        }),
        1 => Just(ended(Outcome::Completed)),
        1 => Just(ended(Outcome::Failed(failure()))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rows_say_what_records_do(steps in prop::collection::vec((0..3u64, event()), 1..60)) {
        let home = TestHome::new();
        let store = home.store();
        // An independent fold: what applies is kept, everything else is not.
        let mut expected: Vec<Job> = Vec::new();
        runtime().block_on(async {
            for number in 0..3 {
                accept(&store, new_job(number)).await;
                expected.push(store.job(&id(number)).expect("an answer").expect("a job"));
            }
            for (at, chunk) in (10_000..).zip(steps.chunks(3)) {
                let at = UnixMillis(at);
                let mut applied = 0;
                let mut records = Vec::new();
                for (number, event) in chunk {
                    let job = expected.iter_mut().find(|job| job.id == id(*number));
                    applied += usize::from(job.expect("it exists").apply(at, event).is_ok());
                    records.push((id(*number), event.clone()));
                }
                let written = store.commit(decided_at(at, records),  Vec::new()).await.expect("a commit");
                assert_eq!(written.len(), applied);
            }
        });
        for job in &expected {
            let stored = store.job(&job.id).expect("an answer").expect("a job");
            prop_assert_eq!(&stored, job);
            let row = store.job_row(&job.id).expect("an answer").expect("a row");
            prop_assert_eq!(row.state.as_str(), job.state.name());
            prop_assert_eq!(row.finished_at.is_some(), job.is_over());
            prop_assert_eq!((row.attempts, row.started_at), (job.attempts, job.started_at));
            prop_assert_eq!(&row.thread, &job.thread);
        }
        let counts = store.counts().expect("counts");
        let queued = expected.iter().filter(|j| matches!(j.state, JobState::Queued { .. })).count();
        let live: Vec<Job> = expected.iter().filter(|job| !job.is_over()).cloned().collect();
        prop_assert_eq!(counts.queued, queued);
        prop_assert_eq!(counts.running, live.len() - queued);
        prop_assert_eq!(store.live_jobs().expect("jobs").jobs, live);
    }
}
