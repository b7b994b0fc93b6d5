//! A state home that an earlier version wrote: its folders and a dump of its
//! database, as they were when its daemon had been killed.
//!
//! `finished` and `failed` were over. The runner of `ended-alone` ended when no
//! daemon was there, that of `killed` died with its agent, and `next` waited for
//! `ended-alone`.

use std::{
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use convoke_test_support::environment::TestEnvironment;

use crate::{
    checks::{messages, whole_events},
    world::world,
};

/// The test environment in which it was recorded. Others have paths of the same
/// length, so that offsets stay true.
const RECORDED_IN: &str = "/tmp/cvRECORD";

fn copy(from: &Path, to: &Path, root: &str) {
    let mut folder = std::fs::DirBuilder::new();
    folder.mode(0o700).create(to).expect("a folder");
    for entry in fs_err::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to, root);
            continue;
        }
        let text = fs_err::read_to_string(&from).expect("text");
        let mut file = std::fs::File::options();
        let mut file = file
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .expect("a file");
        std::io::Write::write_all(&mut file, text.replace(RECORDED_IN, root).as_bytes())
            .expect("written");
    }
}

fn of_schema_1() -> TestEnvironment {
    let world = world();
    let root = world.root().to_str().expect("UTF-8").to_owned();
    assert_eq!(root.len(), RECORDED_IN.len(), "{root}");
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/state-of-schema-1");
    let home = world.state_home();
    copy(&recorded, &home, &root);
    let dump = home.join("convoke.sql");
    let database = rusqlite::Connection::open(home.join("convoke.db")).expect("a database");
    let sql = fs_err::read_to_string(&dump).expect("the dump");
    database.execute_batch(&sql).expect("it is valid");
    drop(database);
    fs_err::remove_file(dump).expect("removed");
    world
}

#[test]
fn jobs_and_runners_of_schema_1_are_taken_over() {
    let world = of_schema_1();
    let events = |label: &str| {
        let job = world.json(&["status", label])["jobId"].clone();
        whole_events(&world, job.as_str().expect("an id"))
    };
    assert_eq!(world.state("finished"), "completed");
    assert_eq!(world.ok(&["result", "finished"]), "as told");
    assert_eq!(messages(&events("finished")), ["as told"]);
    let failed = world.json(&["status", "failed"]);
    assert_eq!(
        (&failed["state"], &failed["exitCode"]),
        (&"failed".into(), &3.into())
    );
    let said: Vec<_> = events("failed")
        .iter()
        .map(|event| event["content"].to_string())
        .collect();
    assert!(
        said.iter().any(|content| content.contains("oh dear")),
        "{said:?}"
    );
    assert_eq!(world.wait_end("ended-alone"), "completed");
    assert_eq!(messages(&events("ended-alone")), ["first", "last"]);
    assert_eq!(world.wait_end("killed"), "failed");
    let killed = world.json(&["status", "killed"]);
    assert_eq!(killed["code"], "lost", "{killed:#}");
    assert_eq!(killed["attempts"], 1, "{killed:#}");
    assert_eq!(messages(&events("killed")), ["here"]);
    assert_eq!(world.wait_end("next"), "completed");
    assert_eq!(world.ok(&["result", "next"]), "after");
    // It can be worked with as with any other.
    let forgotten = world.json(&["gc", "--max-size", "1"]);
    assert_eq!(forgotten["forgotten"].as_array().map(Vec::len), Some(5));
    assert_eq!(world.json(&["ps", "--all"])["jobs"], serde_json::json!([]));
}
