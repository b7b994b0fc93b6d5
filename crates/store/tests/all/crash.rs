//! What was acknowledged survives a SIGKILL at any moment.
//!
//! The child is this test binary once more, running [`child`] only.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{TestHome, accept, decided_at, ended, id, new_job, starting};
use convoke_core::{
    event::{EventKind, NewEvent, Source},
    lifecycle::Outcome,
    time::UnixMillis,
};
use convoke_store::{EventFile, StateHome, Store, read_page};

const HOME: &str = "STORE_CRASH_TEST_HOME";

/// Writes until it is killed, and says what is done.
#[test]
fn child() {
    let Some(home) = std::env::var_os(HOME) else {
        return;
    };
    let home = StateHome::open(Path::new(&home)).expect("a home");
    let store = Store::open(&home).expect("a store");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    let (mut events, _) = EventFile::open(&home.root().join("events.jsonl")).expect("a file");
    std::thread::spawn(move || {
        for number in 1.. {
            let event = NewEvent::new(EventKind::Message, "ü".repeat(500).into());
            events
                .append(Source::Lifecycle(number), UnixMillis(0), event)
                .expect("appended");
            events.flush().expect("written");
        }
    });
    runtime.block_on(async {
        let tasks = (0..8u64).map(|lane| tokio::spawn(write_jobs(store.clone(), lane)));
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("it never ends");
        }
    });
}

async fn write_jobs(store: Store, lane: u64) {
    for round in 0.. {
        let number = round * 8 + lane;
        let job = accept(&store, new_job(number)).await;
        println!("accepted {number}");
        let records = vec![
            (job.clone(), starting(&job, 1)),
            (job, ended(Outcome::Completed)),
        ];
        let at = UnixMillis(9);
        store
            .commit(decided_at(at, records), Vec::new())
            .await
            .expect("a commit");
        println!("ended {number}");
    }
}

/// Runs a child, kills it after `lines` lines, and returns all it said.
fn run_and_kill(home: &Path, lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["crash::child", "--exact", "--nocapture"])
        .env(HOME, home)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let output = child.stdout.take().expect("its output");
    let mut said = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.expect("text");
        said.push(line);
        if said.len() == lines {
            child.kill().expect("killed");
        }
    }
    child.wait().expect("it ended");
    assert!(said.len() >= lines, "the child ended by itself: {said:?}");
    // The last line may be torn.
    said.pop();
    said
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    for lines in [20, 101, 350] {
        let home = TestHome::new();
        let said = run_and_kill(home.path(), lines);
        let store = home.store();
        for line in &said {
            let Some((what, number)) = line.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            let job = store.job(&id(number)).expect("an answer");
            let job = job.unwrap_or_else(|| panic!("{line}, but it is unknown"));
            assert!(job.is_over() || what == "accepted", "{line}, but {job:?}");
        }
        check_counts(&store);
        check_events(&home.path().join("events.jsonl"));
    }
}

fn check_counts(store: &Store) {
    let counts = store.counts().expect("counts");
    let live = store.live_jobs().expect("jobs").jobs;
    assert_eq!(counts.queued, live.len());
    assert_eq!(counts.running, 0);
    assert_eq!(counts.completed, store.unfinalised().expect("jobs").len());
}

fn check_events(path: &Path) {
    let (mut file, tail) = EventFile::open(path).expect("a file");
    let page = read_page(path, 0, usize::MAX, usize::MAX).expect("a page");
    assert_eq!(page.next, tail.len);
    assert_eq!(page.events.len() as u64, file.last_seq());
    let next = Source::Lifecycle(file.last_seq() + 1);
    let event = NewEvent::new(EventKind::Message, "on".into());
    assert!(file.append(next, UnixMillis(0), event).expect("appended"));
}
