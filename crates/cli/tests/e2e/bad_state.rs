//! State homes that cannot be used, and files in them that are damaged.

use std::{
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use convoke_test_support::{environment::TestEnvironment, wait::wait_for};
use serde_json::{Value, json};

use crate::{
    checks::{messages, whole_events},
    users::ordinary_world,
    world::{spawn_scripted, world},
};

fn refused(world: &TestEnvironment, arguments: &[&str], code: &str) -> Value {
    let all: Vec<&str> = ["--format", "json"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let ran = world.run(&all);
    assert_eq!(ran.code, Some(6), "{ran}");
    let error: Value = serde_json::from_str(&ran.stderr).expect("JSON");
    assert_eq!(error["code"], code, "{ran}");
    assert!(error["hint"].is_string(), "{error:#}");
    error
}

fn set_mode(path: &std::path::Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode is set");
}

#[test]
fn a_folder_that_cannot_be_made() {
    let world = ordinary_world();
    let closed = world.root().join("closed");
    fs_err::create_dir(&closed).expect("a folder");
    set_mode(&closed, 0o555);
    let home = closed.join("state");
    let home = home.to_str().expect("UTF-8");
    let error = refused(
        &world,
        &["--home", home, "spawn", "--", "true"],
        "state_unavailable",
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains(home)),
        "{error:#}"
    );
}

#[test]
fn a_folder_that_cannot_be_written() {
    let world = ordinary_world();
    let job = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&job), "completed");
    world.ok(&["daemon", "stop"]);
    let home = world.state_home();
    set_mode(&home, 0o500);
    let error = refused(&world, &["spawn", "--", "true"], "state_unavailable");
    assert!(
        error["message"]
            .to_string()
            .contains(&*home.to_string_lossy()),
        "{error:#}"
    );
    set_mode(&home, 0o700);
    assert_eq!(world.state(&job), "completed");
}

#[test]
fn somebody_elses_folder() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can give a folder to somebody else");
        return;
    }
    let world = ordinary_world();
    let home = world.root().join("theirs");
    fs_err::create_dir(&home).expect("a folder");
    set_mode(&home, 0o777);
    let home = home.to_str().expect("UTF-8");
    let error = refused(
        &world,
        &["--home", home, "spawn", "--", "true"],
        "state_unavailable",
    );
    let message = error["message"].as_str().expect("words");
    assert!(
        message.contains(home) && message.contains("user 0"),
        "{error:#}"
    );
}

#[test]
fn no_folder_at_all() {
    let world = world();
    let file = world.root().join("file");
    fs_err::write(&file, "").expect("a file");
    for home in [file.clone(), file.join("below")] {
        refused(
            &world,
            &[
                "--home",
                home.to_str().expect("UTF-8"),
                "spawn",
                "--",
                "true",
            ],
            "state_unavailable",
        );
    }
}

/// Sees to it that the whole database is in its one file, for a stopped
/// daemon. The last reader to leave takes the log into it; one that is late
/// when the daemon ends leaves it.
fn without_log(world: &TestEnvironment) {
    let log = world.state_home().join("convoke.db-wal");
    wait_for("a database without a log", || {
        if !log.exists() {
            return Ok(());
        }
        world.ok(&["daemon", "start"]);
        world.ok(&["daemon", "stop"]);
        Err("the log is there".to_owned())
    });
}

#[test]
fn a_database_of_a_newer_version() {
    let world = world();
    let job = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&job), "completed");
    world.ok(&["daemon", "stop"]);
    let path = world.state_home().join("convoke.db");
    let user_version = |version: u32| {
        let mut file = fs_err::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .expect("the database");
        let mut before = [0; 4];
        file.seek(SeekFrom::Start(60)).expect("its header");
        file.read_exact(&mut before).expect("a number");
        file.seek(SeekFrom::Start(60)).expect("its header");
        file.write_all(&version.to_be_bytes()).expect("written");
        u32::from_be_bytes(before)
    };
    without_log(&world);
    let known = user_version(1_000);
    // Not even damage that was found lets an older program replace it.
    let mark = world.state_home().join("convoke.db.damaged");
    fs_err::write(&mark, "").expect("a mark");
    let before = fs_err::read(&path).expect("the database");
    let error = refused(&world, &["spawn", "--", "true"], "newer_state");
    assert!(error["message"].to_string().contains("1000"), "{error:#}");
    assert_eq!(
        fs_err::read(&path).expect("the database"),
        before,
        "it is left alone"
    );
    fs_err::remove_file(mark).expect("it is still there");
    user_version(known);
    assert_eq!(world.state(&job), "completed");
}

#[test]
fn a_database_that_is_none() {
    let world = world();
    world.ok(&["daemon", "start"]);
    world.ok(&["daemon", "stop"]);
    without_log(&world);
    let path = world.state_home().join("convoke.db");
    let garbage = b"no database at all ".repeat(1_000);
    fs_err::write(&path, &garbage).expect("written");
    let job = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&job), "completed");
    let kept = fs_err::read_dir(world.state_home().join("damaged"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path().join("convoke.db"))
        .map(|file| fs_err::read(file).expect("the file"));
    assert_eq!(kept.collect::<Vec<_>>(), [garbage], "it is kept");
}

/// A job that printed 20 lines, whose daemon is dead, and which prints 20 more
/// when the gate opens.
fn half_way() -> (TestEnvironment, String) {
    let world = world();
    let script = json!([
        {"do": "out", "text": "before", "repeat": 20},
        {"do": "wait_file", "path": world.root().join("gate")},
        {"do": "out", "text": "after", "repeat": 20},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    wait_for("the first half", || {
        match messages(&world.events(&job)).len() {
            20 => Ok(()),
            n => Err(format!("{n} lines")),
        }
    });
    world.kill_daemon();
    (world, job)
}

fn events_path(world: &TestEnvironment, job: &str) -> PathBuf {
    world.state_home().join(format!("jobs/{job}/events.jsonl"))
}

fn finish(world: &TestEnvironment, job: &str) {
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end(job), "completed");
    let events = whole_events(world, job);
    let expected: Vec<&str> = [["before"; 20], ["after"; 20]].concat();
    assert_eq!(messages(&events), expected);
}

#[test]
fn a_torn_line() {
    let (world, job) = half_way();
    let path = events_path(&world, &job);
    let len = fs_err::metadata(&path).expect("the events").len();
    let file = fs_err::File::options()
        .write(true)
        .open(&path)
        .expect("the events");
    file.set_len(len - 7).expect("cut");
    finish(&world, &job);
}

#[test]
fn half_of_the_events() {
    let (world, job) = half_way();
    let path = events_path(&world, &job);
    let len = fs_err::metadata(&path).expect("the events").len();
    let file = fs_err::File::options()
        .write(true)
        .open(&path)
        .expect("the events");
    file.set_len(len / 2).expect("cut");
    finish(&world, &job);
}

#[test]
fn no_events() {
    let (world, job) = half_way();
    fs_err::remove_file(events_path(&world, &job)).expect("removed");
    finish(&world, &job);
}

#[test]
fn garbage_after_the_events() {
    let (world, job) = half_way();
    let mut file = fs_err::File::options()
        .append(true)
        .open(events_path(&world, &job))
        .expect("the events");
    file.write_all(b"{\"v\":1,\"seq\":\0\0\0\0\n")
        .expect("written");
    finish(&world, &job);
}

#[test]
fn no_events_of_a_job_that_is_over() {
    let world = world();
    let job = world.spawn_command(&[], &["echo", "hello"]);
    assert_eq!(world.wait_end(&job), "completed");
    let before = world.events(&job);
    world.ok(&["daemon", "stop"]);
    fs_err::remove_file(events_path(&world, &job)).expect("removed");
    let after = world.events(&job);
    assert_eq!(after.len(), before.len(), "{after:#?}");
    assert_eq!(world.ok(&["result", &job]), "hello");
}

#[test]
fn a_damaged_journal() {
    let (world, job) = half_way();
    // What was read of it is in the events; the next daemon begins behind its
    // last checkpoint, if there is one, or reads it from its start.
    let path = world.state_home().join(format!("runners/{job}.1/journal"));
    let mut file = fs_err::File::options()
        .write(true)
        .open(path)
        .expect("the journal");
    file.seek(SeekFrom::Start(20)).expect("its beginning");
    file.write_all(&[0xff; 40]).expect("written");
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    let events = whole_events(&world, &job);
    let said = messages(&events);
    // What cannot be read any more is told.
    let told = events
        .iter()
        .filter(|event| event["content"]["kind"] == "journal_damaged");
    assert_eq!(told.count(), 1, "{events:#?}");
    assert_eq!(
        said.iter().filter(|line| **line == "before").count(),
        20,
        "{events:#?}"
    );
}

#[test]
fn a_journal_that_is_gone() {
    let (world, job) = half_way();
    fs_err::remove_file(world.state_home().join(format!("runners/{job}.1/journal")))
        .expect("removed");
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    // The agent's end is known all the same.
    assert_eq!(world.wait_end(&job), "completed");
    whole_events(&world, &job);
}
