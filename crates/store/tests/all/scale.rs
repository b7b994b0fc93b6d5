//! Sizes: what must not grow with the number of jobs or events.
//!
//! Times are printed (`--nocapture`), not judged.

use std::{collections::BTreeMap, time::Instant};

use convoke_core::{
    event::{EventKind, NewEvent, Source},
    lifecycle::{LifecycleEvent, Outcome},
    time::UnixMillis,
};
use convoke_store::{EventFile, JobFilter, PageRequest, read_page};
use serde_json::json;

use crate::support::{TestHome, accept, decided_at, ended, id, new_job, runtime, starting};

/// Does `work` and says how long it took.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what}: {:?}", start.elapsed());
    result
}

#[test]
fn finished_jobs_do_not_burden_the_start() {
    const FINISHED: u64 = 2_000;
    let home = TestHome::new();
    let runtime = runtime();
    let store = home.store();
    timed("accept and end 2,000 jobs", || {
        runtime.block_on(async {
            let group = (0..FINISHED).map(new_job).collect();
            store.accept_all(group).await.expect("answers");
            let ends = (0..FINISHED).flat_map(|number| {
                let job = id(number);
                [
                    (job.clone(), starting(&job, 1)),
                    (job, ended(Outcome::Completed)),
                ]
            });
            let at = UnixMillis(9);
            store
                .commit(decided_at(at, ends), Vec::new())
                .await
                .expect("a commit");
            accept(&store, new_job(FINISHED)).await;
        });
    });
    store.close();
    let store = timed("open", || home.store());
    let live = timed("live jobs", || store.live_jobs().expect("jobs").jobs);
    assert_eq!(live.len(), 1);
    timed("counts", || store.counts().expect("counts"));
    timed("a job", || store.job(&id(7)).expect("an answer"));
    let page = PageRequest {
        limit: 50,
        cursor: None,
    };
    timed("a page of jobs", || {
        store.jobs(&JobFilter::default(), &page).expect("a page")
    });
    let filter = JobFilter {
        label: Some("nowhere".to_owned()),
        ..JobFilter::default()
    };
    timed("a page of no jobs", || {
        store.jobs(&filter, &page).expect("a page")
    });
    runtime.block_on(one_by_one(&home));
}

/// What one durable job costs: its folder, its acceptance, its next records.
async fn one_by_one(home: &TestHome) {
    let store = home.store();
    let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin".repeat(50))]);
    let jobs = || (0..50).map(|number| id(10_000 + number));
    timed("50 job folders", || {
        for number in 0..50 {
            home.home
                .create_job_folder(&new_job(10_000 + number).id, &env, None)
                .expect("a folder");
        }
    });
    let start = Instant::now();
    for number in 0..50 {
        accept(&store, new_job(10_000 + number)).await;
    }
    println!("50 acceptances, one by one: {:?}", start.elapsed());
    let start = Instant::now();
    for job in jobs() {
        let records: Vec<(_, LifecycleEvent)> = vec![(job.clone(), starting(&job, 1))];
        store
            .commit(decided_at(UnixMillis(9), records), Vec::new())
            .await
            .expect("a commit");
    }
    println!("50 commits, one by one: {:?}", start.elapsed());
    let file = fs_err::File::create(home.path().join("probe")).expect("a file");
    timed("50 times 4 KiB and fdatasync", || {
        use std::io::Write as _;
        for _ in 0..50 {
            (&file).write_all(&[1; 4096]).expect("written");
            file.sync_data().expect("synced");
        }
    });
}

#[test]
fn pages_of_long_files_are_as_quick_as_others() {
    const EVENTS: u64 = 100_000;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    let (mut file, _) = EventFile::open(&path).expect("a file");
    let mut middle = 0;
    timed("append 100,000 events", || {
        for number in 1..=EVENTS {
            let content = json!({"kind": "turn", "text": "x".repeat(200)});
            let event = NewEvent::new(EventKind::Progress, content);
            let src = Source::Lifecycle(number);
            file.append(src, UnixMillis(1), event).expect("appended");
            if number == EVENTS / 2 {
                middle = file.flush().expect("written");
            }
        }
        file.flush().expect("written");
    });
    timed("open", || EventFile::open(&path).expect("a file"));
    let page = timed("200 events of the middle", || {
        read_page(&path, middle, 200, 1 << 20).expect("a page")
    });
    assert_eq!(page.events.len(), 200);
    assert_eq!(page.events[0].seq, EVENTS / 2 + 1);
}
