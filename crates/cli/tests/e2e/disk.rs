//! A disk of the state home that fills up: a small file system of its own in a
//! private mount namespace, which only root can make.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use convoke_test_support::{environment::TestEnvironment, wait::wait_for};
use serde_json::{Value, json};

use crate::world::{spawn_scripted, world};

/// A mount namespace in which the state home of a world is a small disk; it
/// lives as long as this.
struct SmallDisk(Child);

impl SmallDisk {
    fn of(world: &mut TestEnvironment, size: &str) -> Option<Self> {
        // The disk is smaller than what is kept free otherwise.
        world.write_config("[limits]\nfree_space = \"0\"\n");
        let home = world.state_home();
        fs_err::create_dir(&home).expect("the state home");
        let script = format!(
            "mount -t tmpfs -o size={size},mode=0700 tmpfs \"$1\" && echo mounted && cd / && exec cat > /dev/null"
        );
        // Without words of the world, so that its census leaves it alone.
        let mut child = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script, "sh"])
            .arg(&home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out)
            .read_line(&mut line)
            .expect("a line or its end");
        if line != "mounted\n" {
            eprintln!("skipped: no small file system can be mounted here");
            let _ = child.wait();
            return None;
        }
        let (pid, work) = (child.id().to_string(), world.work());
        let enter = "cd \"$1\" && shift && exec \"$@\"";
        let work = work.to_str().expect("UTF-8");
        world.start_through(&[
            "nsenter", "--mount", "--target", &pid, "sh", "-c", enter, "sh", work,
        ]);
        Some(Self(child))
    }

    /// A path as it is inside.
    fn path(&self, world: &TestEnvironment, path: &str) -> PathBuf {
        let inside = world.state_home().join(path);
        PathBuf::from(format!("/proc/{}/root{}", self.0.id(), inside.display()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_job_that_fills_it_ends_and_the_daemon_goes_on() {
    let mut world = world();
    let Some(disk) = SmallDisk::of(&mut world, "3m") else {
        return;
    };
    let script = json!([
        {"do": "ignore", "signals": ["INT", "TERM"]},
        {"do": "out", "size": 65_536, "repeat": 200},
        {"do": "stall"},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    let exit = disk.path(&world, &format!("runners/{job}.1/exit.json"));
    let record: Value = wait_for("the runner's record", || {
        let text = fs_err::read_to_string(&exit).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    });
    assert!(
        record["cause"].to_string().contains("disk_full"),
        "{record:#}"
    );
    // The daemon is there and says what is wrong.
    let refused = world.run(&["--format", "json", "spawn", "--", "true"]);
    assert_eq!(refused.code, Some(6), "{refused}");
    let error: Value = serde_json::from_str(&refused.stderr).expect("JSON");
    assert_eq!(error["code"], "disk_full", "{error:#}");
    world.json(&["status", &job]);
    // Space comes back, and what could not be written is.
    for journal in ["journal", "journal.tail"] {
        let _ = fs_err::remove_file(disk.path(&world, &format!("runners/{job}.1/{journal}")));
    }
    assert_eq!(world.wait_end(&job), "failed");
    let status = world.json(&["status", &job]);
    assert_eq!(status["code"], "disk_full", "{status:#}");
    assert!(
        status["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("free space")),
        "{status:#}"
    );
    let next = world.spawn_command(&[], &["echo", "fine"]);
    assert_eq!(world.wait_end(&next), "completed");
    assert_eq!(world.ok(&["result", &next]), "fine");
    world.ok(&["daemon", "stop", "--jobs"]);
    drop(world);
    drop(disk);
}

#[test]
fn a_full_disk_refuses_jobs_and_loses_none() {
    let mut world = world();
    let Some(disk) = SmallDisk::of(&mut world, "3m") else {
        return;
    };
    let first = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&first), "completed");
    let ballast = disk.path(&world, "ballast");
    let full = std::fs::write(&ballast, vec![0; 4 * 1024 * 1024]);
    assert!(full.is_err(), "the disk is full");
    let mut accepted = vec![first];
    let refused = loop {
        let ran = world.run(&["--format", "json", "spawn", "--", "true"]);
        if !ran.success() {
            break ran;
        }
        // What is left of the database's own space may take some.
        let job: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        accepted.push(job["jobId"].as_str().expect("an id").to_owned());
        assert!(accepted.len() < 200, "the disk is full");
    };
    let error: Value = serde_json::from_str(&refused.stderr).expect("JSON");
    assert_eq!(error["code"], "disk_full", "{error:#}");
    assert_eq!(error["retryable"], true);
    let listed = world.json(&["ps", "--all"])["jobs"]
        .as_array()
        .expect("a list")
        .len();
    assert_eq!(listed, accepted.len(), "what was refused left nothing");
    fs_err::remove_file(&ballast).expect("removed");
    for job in &accepted {
        assert_eq!(world.wait_end(job), "completed");
    }
    let next = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&next), "completed");
    drop(world);
    drop(disk);
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_jobs_and_keeps_those_there_are() {
    let mut world = world();
    let Some(disk) = SmallDisk::of(&mut world, "24m") else {
        return;
    };
    world.write_config("[limits]\nfree_space = \"8MiB\"\n");
    let gate = world.root().join("gate");
    let script = json!([
        {"do": "wait_file", "path": gate},
        {"do": "out", "size": 65_536, "repeat": 4},
        {"do": "out", "text": "the result"},
    ]);
    let job = spawn_scripted(&world, &[], &script);
    world.wait_state(&job, &["running"]);
    let ballast = disk.path(&world, "ballast");
    fs_err::write(&ballast, vec![0; 17 * 1024 * 1024]).expect("there is room");
    let refused = world.run(&["--format", "json", "spawn", "--", "true"]);
    assert_eq!(refused.code, Some(6), "{refused}");
    let error: Value = serde_json::from_str(&refused.stderr).expect("JSON");
    assert_eq!(error["code"], "disk_full", "{error:#}");
    let message = error["message"].as_str().expect("a message");
    assert!(
        message.contains("`limits.free_space` is 8 MiB"),
        "{message}"
    );
    // What was accepted before ends with its whole result.
    fs_err::write(&gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    assert!(world.ok(&["result", &job]).ends_with("the result"));
    fs_err::remove_file(&ballast).expect("removed");
    let next = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&next), "completed");
    world.ok(&["daemon", "stop", "--jobs"]);
    drop(world);
    drop(disk);
}
