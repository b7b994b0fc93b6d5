//! The database by its public interface.

use crate::support::{
    TestHome, accept, decided_at, ended, id, new_job, runtime, spec, starting, user,
};
use convoke_core::{
    failure::{Failure, FailureCode},
    lifecycle::{JobEnd, LifecycleEvent, Outcome, StopReason},
    owner::Owner,
    time::UnixMillis,
};
use convoke_store::{
    Acceptance, Checkpoint, Counts, IDEMPOTENCY_MILLIS, IdempotencyKey, JobFilter, NewJob,
    PageRequest, Resolved, Session, Store, StoreError,
};
use serde_json::json;

#[test]
fn what_was_accepted_is_there_after_reopening() {
    let home = TestHome::new();
    runtime().block_on(async {
        let store = home.store();
        let Acceptance::New(job, seq) = store.accept(new_job(1)).await.expect("an answer") else {
            panic!("not new");
        };
        assert_eq!((job.accepted_seq, seq), (1, 1));
        store.close();
        let store = home.store();
        assert_eq!(store.job(&id(1)).expect("an answer"), Some(*job.clone()));
        assert_eq!(store.live_jobs().expect("an answer").jobs, [*job]);
        assert_eq!(store.job(&id(2)).expect("an answer"), None);
    });
}

#[test]
fn concurrent_requests_all_succeed_once() {
    let home = TestHome::new();
    let store = home.store();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..600)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move { accept(&store, new_job(number)).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("it ends");
        }
        // One that fails leaves the others of its batch alone.
        let (bad, good) = tokio::join!(store.accept(new_job(1)), store.accept(new_job(1_000)));
        assert!(matches!(bad, Err(StoreError::Sql { .. })));
        good.expect("accepted");
    });
    let live = store.live_jobs().expect("an answer").jobs;
    assert_eq!(live.len(), 601);
    assert!(
        live.windows(2)
            .all(|w| w[0].accepted_seq < w[1].accepted_seq)
    );
    assert_eq!(store.records_after(0, 10_000).expect("records").len(), 601);
    assert_eq!(store.counts().expect("counts").queued, 601);
}

#[test]
fn a_group_is_accepted_as_one() {
    let home = TestHome::new();
    let store = home.store();
    runtime().block_on(async {
        let limited = |number| NewJob {
            queue_limit: 2,
            ..new_job(number)
        };
        let group = vec![limited(1), limited(2), limited(3)];
        let answers = store.accept_all(group).await.expect("answers");
        assert!(matches!(
            answers[..],
            [
                Acceptance::New(..),
                Acceptance::New(..),
                Acceptance::QueueFull {
                    queued: 2,
                    running: 0
                }
            ]
        ));
        // A name in use spoils the whole group.
        let clash = store.accept_all(vec![new_job(4), new_job(1)]).await;
        assert!(clash.is_err());
        assert_eq!(store.job(&id(4)).expect("an answer"), None);
    });
}

fn keyed(number: u64, at: u64, key: &str, hash: &str, explicit: bool) -> NewJob {
    NewJob {
        at: UnixMillis(at),
        idempotency: Some(IdempotencyKey {
            key: key.to_owned(),
            arguments_hash: hash.to_owned(),
            explicit,
        }),
        ..new_job(number)
    }
}

async fn answer(store: &Store, new: NewJob) -> String {
    match store.accept(new).await.expect("an answer") {
        Acceptance::New(job, _) => format!("new {}", job.id),
        Acceptance::Existing(job) => format!("existing {job}"),
        Acceptance::Conflict { job } => format!("conflict {job}"),
        Acceptance::QueueFull { .. } => "queue full".to_owned(),
    }
}

#[test]
fn repeated_requests_find_their_job() {
    let home = TestHome::new();
    let store = home.store();
    let (new, existing) = (
        |number| format!("new {}", id(number)),
        |number| format!("existing {}", id(number)),
    );
    runtime().block_on(async {
        let ask =
            |number, key, hash, explicit| answer(&store, keyed(number, 0, key, hash, explicit));
        assert_eq!(ask(1, "k", "a", true).await, new(1));
        assert_eq!(ask(2, "k", "a", true).await, existing(1));
        assert_eq!(ask(3, "k", "b", true).await, format!("conflict {}", id(1)));
        assert_eq!(ask(4, "k", "a", false).await, new(4));
        assert_eq!(ask(5, "k", "b", false).await, new(5));
        assert_eq!(ask(6, "k", "a", false).await, existing(4));
        assert_eq!(ask(7, "k", "b", false).await, existing(5));
        assert_eq!(ask(8, "other", "a", true).await, new(8));
        let other_owner = NewJob {
            owner: Owner::Thread { id: "t".to_owned() },
            ..keyed(9, 0, "k", "a", true)
        };
        assert_eq!(answer(&store, other_owner).await, new(9));
        // A repetition is answered even when the queue is full.
        let full = NewJob {
            queue_limit: 0,
            ..keyed(10, 0, "k", "a", true)
        };
        assert_eq!(answer(&store, full).await, existing(1));
        let late = keyed(11, IDEMPOTENCY_MILLIS - 1, "k", "a", true);
        assert_eq!(answer(&store, late).await, existing(1));
        let too_late = keyed(12, IDEMPOTENCY_MILLIS, "k", "b", true);
        assert_eq!(answer(&store, too_late).await, new(12));
        // Two of the same key in one group are one job.
        let group = vec![keyed(13, 0, "g", "a", true), keyed(14, 0, "g", "a", true)];
        let answers = store.accept_all(group).await.expect("answers");
        assert_eq!(answers[1], Acceptance::Existing(id(13)));
    });
}

#[test]
fn nothing_follows_the_end() {
    let home = TestHome::new();
    let store = home.store();
    runtime().block_on(async {
        let job = accept(&store, new_job(1)).await;
        let at = UnixMillis(5_000);
        let failure = Failure::new(FailureCode::Stalled, "no output for 30 min");
        let mut end = JobEnd::without_process(Outcome::Failed(failure));
        end.final_message = Some("half done".to_owned());
        end.exit_signal = Some(15);
        let checkpoint = Checkpoint {
            job: job.clone(),
            attempt: 1,
            journal_offset: 10,
            event_file_len: 20,
            events_seq: 2,
            driver: json!({"b": 1, "a": [null]}),
        };
        let records = vec![
            (job.clone(), starting(&job, 1)),
            (job.clone(), LifecycleEvent::Ended { end: Box::new(end) }),
        ];
        let written = store
            .commit(decided_at(at, records), vec![checkpoint.clone()])
            .await
            .expect("a commit");
        assert_eq!(written.iter().map(|r| r.seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(
            store.checkpoint_of(&job, 1).expect("an answer"),
            Some(checkpoint)
        );
        assert_eq!(store.unfinalised().expect("an answer"), vec![job.clone()]);

        let before = store.job(&job).expect("an answer").expect("a job");
        let late = vec![(job.clone(), ended(Outcome::Completed))];
        let written = store
            .commit(decided_at(at, late), Vec::new())
            .await
            .expect("a commit");
        assert_eq!(written, []);
        assert_eq!(store.job(&job).expect("an answer"), Some(before));
        store.audit(at, &job, "an old runner").await.expect("kept");
        let audit = store.audit_of(&job).expect("entries");
        assert_eq!(audit.len(), 2);
        assert!(
            audit[0].what.contains("`job.ended` does not apply"),
            "{audit:?}"
        );

        let row = store.job_row(&job).expect("an answer").expect("a row");
        assert_eq!(row.state, "failed");
        assert_eq!(row.code.as_deref(), Some("stalled"));
        assert_eq!(row.message.as_deref(), Some("no output for 30 min"));
        assert_eq!((row.finished_at, row.exit_signal), (Some(at), Some(15)));
        store.set_finalised(&job).await.expect("done");
        assert_eq!(store.unfinalised().expect("an answer"), []);
        assert_eq!(store.checkpoint_of(&job, 1).expect("an answer"), None);
        let counts = Counts {
            failed: 1,
            ..Counts::default()
        };
        assert_eq!(store.counts().expect("counts"), counts);
    });
}

#[test]
fn a_bad_record_holds_up_no_other() {
    let home = TestHome::new();
    let store = home.store();
    runtime().block_on(async {
        let job = accept(&store, new_job(1)).await;
        let records = vec![
            (job.clone(), starting(&job, 1)),
            (id(2), starting(&id(2), 1)),
        ];
        let written = store
            .commit(decided_at(UnixMillis(1), records), Vec::new())
            .await
            .expect("committed");
        assert_eq!(written.len(), 1);
        assert_eq!(store.records_of(&job).expect("records").len(), 2);
        let aside = store.audit_of(&id(2)).expect("entries");
        assert!(aside[0].what.contains("there is no such job"), "{aside:?}");
        assert!(store.set_finalised(&job).await.is_err());
    });
}

#[test]
fn lists_are_filtered_and_paged() {
    let home = TestHome::new();
    let store = home.store();
    runtime().block_on(async {
        for number in 1..=7 {
            let mut new = new_job(number);
            new.spec.label = Some(format!("round {}", number % 2));
            new.spec.working_directory = if number > 5 {
                "/srv/repo-2/a".into()
            } else {
                "/srv/repo/a".into()
            };
            accept(&store, new).await;
        }
        let end = vec![
            (id(2), ended(Outcome::Completed)),
            (id(3), starting(&id(3), 1)),
        ];
        store
            .commit(decided_at(UnixMillis(9_000), end), Vec::new())
            .await
            .expect("a commit");
    });
    let list = |filter: JobFilter| -> Vec<u64> {
        let mut found = Vec::new();
        let mut page = PageRequest {
            limit: 2,
            cursor: None,
        };
        loop {
            let part = store.jobs(&filter, &page).expect("a page");
            assert!(part.items.len() <= 2);
            found.extend(part.items.iter().map(|row| row.accepted_seq));
            match part.next {
                Some(next) => page.cursor = Some(next),
                None => return found,
            }
        }
    };
    let all = JobFilter::default;
    assert_eq!(list(all()), [7, 6, 5, 4, 3, 2, 1]);
    let states = |states: &[&str]| JobFilter {
        states: states.iter().map(|s| (*s).to_owned()).collect(),
        ..all()
    };
    assert_eq!(list(states(&["completed"])), [2]);
    assert_eq!(list(states(&["starting"])), [3]);
    assert_eq!(list(states(&["starting", "completed"])), [3, 2]);
    let label = Some("nd 1".to_owned());
    assert_eq!(list(JobFilter { label, ..all() }), [7, 5, 3, 1]);
    let folder = Some("/srv/repo".into());
    assert_eq!(list(JobFilter { folder, ..all() }), [5, 4, 3, 2, 1]);
    let folder = Some("/".into());
    assert_eq!(list(JobFilter { folder, ..all() }).len(), 7);
    let since = Some(UnixMillis(1_006));
    assert_eq!(list(JobFilter { since, ..all() }), [7, 6]);
    let owner = Some(user());
    let agent = Some("codex".to_owned());
    assert_eq!(list(JobFilter { owner, ..all() }).len(), 7);
    assert!(list(JobFilter { agent, ..all() }).is_empty());
    let cursor = Some("nonsense".to_owned());
    let refused = store.jobs(&all(), &PageRequest { limit: 2, cursor });
    assert!(matches!(refused, Err(StoreError::BadCursor { .. })));
}

#[test]
fn names_and_labels_are_found() {
    let home = TestHome::new();
    let store = home.store();
    runtime().block_on(async {
        for number in 1..=3 {
            let mut new = new_job(number);
            new.spec.label = Some("tidy".to_owned());
            accept(&store, new).await;
        }
        // Shares its first eight letters with the job before.
        accept(&store, new_job((1 << 40) | 3)).await;
        let end = vec![(id(1), ended(Outcome::Completed))];
        store
            .commit(decided_at(UnixMillis(9), end), Vec::new())
            .await
            .expect("a commit");
    });
    let resolve = |text: &str| store.resolve_prefix(text).expect("an answer");
    assert_eq!(resolve(id(2).as_str()), Resolved::One(id(2)));
    assert_eq!(resolve(&id(2).as_str()[..4]), Resolved::One(id(2)));
    assert_eq!(resolve("tidy"), Resolved::One(id(3)));
    let alike = vec![id(3), id((1 << 40) | 3)];
    assert_eq!(resolve(&id(3).as_str()[..8]), Resolved::Ambiguous(alike));
    // Too short to be meant as an id.
    assert_eq!(resolve("j"), Resolved::Unknown);
    assert_eq!(resolve("jz"), Resolved::Unknown);
    assert_eq!(resolve(""), Resolved::Unknown);
    let standings = store
        .job_outcomes(&[id(9), id(1), id(2)])
        .expect("an answer");
    assert_eq!(standings[0], (id(9), None));
    let ended: Vec<_> = standings[1..]
        .iter()
        .map(|s| s.1.as_ref().map(|s| s.ended))
        .collect();
    assert_eq!(ended, [Some(true), Some(false)]);
}

#[test]
fn sessions_and_observations_are_kept() {
    let home = TestHome::new();
    let store = home.store();
    runtime().block_on(async {
        let job = accept(&store, new_job(1)).await;
        store
            .record_observation(&job, "before", json!({"head": null}))
            .await
            .expect("kept");
        store
            .record_observation(&job, "before", json!({"head": "abc"}))
            .await
            .expect("kept");
        let seen = store.observations(&job).expect("an answer");
        assert_eq!(seen["before"], json!({"head": "abc"}));
        assert!(
            store
                .record_observation(&id(2), "before", json!(1))
                .await
                .is_err()
        );

        let mut session = Session {
            owner: user(),
            id: "s".to_owned(),
            thread_id: None,
            created_at: UnixMillis(1),
            last_accessed_at: UnixMillis(1),
            turn_count: 0,
            model: None,
        };
        store.save_session(session.clone()).await.expect("kept");
        session.thread_id = Some("t".to_owned());
        session.turn_count = 1;
        store.save_session(session.clone()).await.expect("kept");
        assert_eq!(
            store.session(&user(), "s").expect("an answer"),
            Some(session.clone())
        );
        assert_eq!(store.sessions(&user()).expect("an answer"), [session]);
        let other = Owner::User { uid: 0 };
        assert_eq!(store.session(&other, "s").expect("an answer"), None);
        assert!(store.delete_session(&user(), "s").await.expect("an answer"));
        assert!(!store.delete_session(&user(), "s").await.expect("an answer"));
    });
}

#[test]
fn a_closed_store_says_so() {
    let home = TestHome::new();
    let store = home.store();
    let other = store.clone();
    store.close();
    let refused = runtime().block_on(other.accept(new_job(1)));
    assert!(matches!(refused, Err(StoreError::Closed { .. })));
}

#[test]
fn cancelled_jobs_never_need_to_have_run() {
    let home = TestHome::new();
    let store = home.store();
    runtime().block_on(async {
        let mut new = new_job(1);
        new.spec = spec();
        let job = accept(&store, new).await;
        let reason = StopReason::Cancelled;
        let end = vec![(job.clone(), ended(Outcome::Cancelled { reason }))];
        store
            .commit(decided_at(UnixMillis(9), end), Vec::new())
            .await
            .expect("a commit");
        let row = store.job_row(&job).expect("an answer").expect("a row");
        assert_eq!((row.state.as_str(), row.started_at), ("cancelled", None));
    });
}
