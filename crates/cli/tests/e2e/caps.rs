//! Who may run: caps, order, priorities and needs.

use std::collections::BTreeMap;

use convoke_test_support::{
    environment::TestEnvironment,
    wait::{wait_for, wait_for_file},
};
use serde_json::{Value, json};

use crate::{
    checks::{all_jobs, whole_events},
    world::{spawn_scripted, world},
};

/// A script that writes `+<name>` into a file of the test, waits for a file
/// and writes `-<name>`.
fn stamped(world: &TestEnvironment, log: &str, name: &str, gate: &str) -> Value {
    let log = world.root().join(log);
    let stamp = |sign: &str| json!({"do": "write", "path": log, "text": format!("{sign}{name}\n"), "append": true});
    json!([stamp("+"), {"do": "wait_file", "path": world.root().join(gate)}, stamp("-")])
}

fn stamps(world: &TestEnvironment, log: &str) -> Vec<String> {
    fs_err::read_to_string(world.root().join(log))
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The most jobs that ran at once, by their stamps.
fn peak(stamps: &[String]) -> i32 {
    let running = stamps.iter().scan(0, |running, stamp| {
        *running += if stamp.starts_with('+') { 1 } else { -1 };
        Some(*running)
    });
    running.max().unwrap_or(0)
}

fn starts(stamps: &[String]) -> Vec<&str> {
    stamps
        .iter()
        .filter_map(|stamp| stamp.strip_prefix('+'))
        .collect()
}

fn open(world: &TestEnvironment, gate: &str) {
    fs_err::write(world.root().join(gate), "").expect("the gate opens");
}

fn wait_for_starts(world: &TestEnvironment, log: &str, count: usize) {
    wait_for(&format!("{count} starts in {log}"), || {
        let found = stamps(world, log);
        if starts(&found).len() == count {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    });
}

/// States of all jobs, counted.
fn states(world: &TestEnvironment) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for job in all_jobs(world) {
        *counts
            .entry(job["state"].as_str().expect("a state").to_owned())
            .or_insert(0) += 1;
    }
    counts
}

#[test]
fn twenty_readers_and_five_writers_share_a_tree() {
    let world = world();
    let mut jobs = Vec::new();
    for i in 0..20 {
        let script = stamped(&world, "readers", &i.to_string(), &format!("r{i}"));
        jobs.push(spawn_scripted(&world, &["--access", "read"], &script));
    }
    for i in 0..5 {
        let script = stamped(&world, "writers", &i.to_string(), &format!("w{i}"));
        jobs.push(spawn_scripted(&world, &[], &script));
    }
    wait_for_starts(&world, "readers", 8);
    wait_for_starts(&world, "writers", 3);
    wait_for("11 jobs to run and 14 to wait", || {
        let states = states(&world);
        if (states.get("running"), states.get("queued")) == (Some(&11), Some(&14)) {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        }
    });
    let first = world.json(&["status", &jobs[8]]);
    assert_eq!(first["queue"]["reason"], "cap");
    assert_eq!(first["queue"]["position"], 1);
    let message = first["queue"]["message"].as_str().expect("words");
    assert!(message.contains("limits.readers"), "{message}");
    assert_eq!(world.json(&["status", &jobs[19]])["queue"]["position"], 12);
    let writer = world.json(&["status", &jobs[24]]);
    assert_eq!(writer["queue"]["position"], 2);
    let message = writer["queue"]["message"].as_str().expect("words");
    assert!(message.contains("limits.writers"), "{message}");
    // One ends after the other; each makes room for the next in line.
    for i in 0..20 {
        open(&world, &format!("r{i}"));
        if i < 5 {
            open(&world, &format!("w{i}"));
        }
        wait_for_starts(&world, "readers", (i + 9).min(20));
        wait_for_starts(&world, "writers", (i + 4).min(5));
    }
    for job in &jobs {
        assert_eq!(world.wait_end(job), "completed");
        whole_events(&world, job);
    }
    for (log, cap, count) in [("readers", 8, 20), ("writers", 3, 5)] {
        let stamps = stamps(&world, log);
        assert_eq!(peak(&stamps), cap, "{log}: {stamps:?}");
        let late: Vec<String> = (cap..count).map(|i| i.to_string()).collect();
        assert_eq!(
            starts(&stamps)[cap as usize..],
            late,
            "first come, first served"
        );
    }
}

/// How many of four writers start at once, and what the fourth is told.
fn writers_at_once(world: &TestEnvironment, expected: usize) -> Value {
    let jobs: Vec<String> = (0..4)
        .map(|i| spawn_scripted(world, &[], &stamped(world, "log", &i.to_string(), "gate")))
        .collect();
    wait_for_starts(world, "log", expected);
    wait_for("the others to be queued", || {
        let states = states(world);
        if states.get("running") == Some(&expected) {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        }
    });
    let last = world.json(&["status", &jobs[3]]);
    open(world, "gate");
    for job in &jobs {
        assert_eq!(world.wait_end(job), "completed");
    }
    assert!(peak(&stamps(world, "log")) <= i32::try_from(expected).expect("small"));
    last
}

#[test]
fn the_configuration_sets_the_caps() {
    let world = world();
    world.write_config("[limits]\nwriters = 2\n");
    let last = writers_at_once(&world, 2);
    assert_eq!(last["queue"]["position"], 2);
}

#[test]
fn a_variable_of_the_daemon_sets_the_caps() {
    let mut world = world();
    world.write_config("[limits]\nwriters = 2\n");
    world.set("CONVOKE_K_WRITE", "1");
    let last = writers_at_once(&world, 1);
    let message = last["queue"]["message"].as_str().expect("words");
    assert!(message.contains("CONVOKE_K_WRITE"), "{message}");
    let origin = world.json(&["config", "show"])["settings"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|setting| setting["key"] == "limits.writers")
        .map(|setting| setting["origin"].clone());
    assert_eq!(origin, Some(json!("CONVOKE_K_WRITE")));
}

#[test]
fn the_total_is_a_cap_over_all_trees() {
    let world = world();
    world.write_config("[limits]\ntotal = 1\n");
    let other = world.root().join("other");
    fs_err::create_dir(&other).expect("a folder");
    let first = spawn_scripted(&world, &[], &stamped(&world, "log", "a", "gate"));
    let other = other.to_str().expect("UTF-8");
    let second = spawn_scripted(&world, &["-C", other], &stamped(&world, "log", "b", "gate"));
    wait_for_starts(&world, "log", 1);
    let queue = world.json(&["status", &second])["queue"].clone();
    let message = queue["message"].as_str().expect("it waits");
    assert!(message.contains("limits.total"), "{message}");
    open(&world, "gate");
    for job in [first, second] {
        assert_eq!(world.wait_end(&job), "completed");
    }
    assert_eq!(stamps(&world, "log"), ["+a", "-a", "+b", "-b"]);
}

#[test]
fn a_changed_cap_holds_for_a_running_daemon() {
    let world = world();
    world.write_config("[limits]\nwriters = 1\n");
    let first = spawn_scripted(&world, &[], &stamped(&world, "log", "a", "gate"));
    let second = spawn_scripted(&world, &[], &stamped(&world, "log", "b", "gate"));
    wait_for_starts(&world, "log", 1);
    world.write_config("[limits]\nwriters = 3\n");
    // The file is read again with the next job.
    let third = spawn_scripted(&world, &[], &stamped(&world, "log", "c", "gate"));
    wait_for_starts(&world, "log", 3);
    open(&world, "gate");
    for job in [first, second, third] {
        assert_eq!(world.wait_end(&job), "completed");
    }
}

#[test]
fn a_higher_priority_goes_first() {
    let world = world();
    world.write_config("[limits]\nwriters = 1\n");
    let script = |name: &str| stamped(&world, "log", name, "gate");
    let mut jobs = vec![spawn_scripted(&world, &[], &script("first"))];
    wait_for_starts(&world, "log", 1);
    for (name, priority) in [
        ("low", "--priority=-1"),
        ("middle", "--priority=0"),
        ("high", "--priority=5"),
        ("high2", "--priority=5"),
    ] {
        jobs.push(spawn_scripted(&world, &[priority], &script(name)));
    }
    open(&world, "gate");
    for job in &jobs {
        assert_eq!(world.wait_end(job), "completed");
    }
    let stamps = stamps(&world, "log");
    assert_eq!(starts(&stamps), ["first", "high", "high2", "middle", "low"]);
}

#[test]
fn a_queue_that_is_full_refuses() {
    let world = world();
    world.write_config("[limits]\nwriters = 1\nqueue = 1\n");
    let mut jobs = vec![spawn_scripted(
        &world,
        &[],
        &stamped(&world, "log", "a", "gate"),
    )];
    wait_for_starts(&world, "log", 1);
    world.wait_state(&jobs[0], &["running"]);
    jobs.push(world.spawn_command(&[], &["true"]));
    let refused = world.run(&["--format", "json", "spawn", "--", "true"]);
    assert_eq!(refused.code, Some(5), "{refused}");
    let error: Value = serde_json::from_str(&refused.stderr).expect("JSON");
    assert_eq!(error["code"], "queue_full");
    assert_eq!(error["retryable"], true);
    assert_eq!(
        all_jobs(&world).len(),
        2,
        "nothing is left of the refused one"
    );
    open(&world, "gate");
    for job in &jobs {
        assert_eq!(world.wait_end(job), "completed");
    }
}

#[test]
fn a_needed_job_goes_first() {
    let world = world();
    let first = spawn_scripted(
        &world,
        &["--label", "base"],
        &stamped(&world, "log", "a", "gate"),
    );
    wait_for_file(&world.root().join("log"));
    let second = spawn_scripted(
        &world,
        &["--needs", "base", "--label", "next"],
        &stamped(&world, "log", "b", "gate"),
    );
    let third = spawn_scripted(
        &world,
        &["--needs", "base", "--needs", "next"],
        &stamped(&world, "log", "c", "gate"),
    );
    let waiting = world.json(&["status", &third]);
    assert_eq!(waiting["queue"]["reason"], "needs");
    let message = waiting["queue"]["message"].as_str().expect("words");
    assert!(
        message.contains(&first) && message.contains(&second),
        "{message}"
    );
    open(&world, "gate");
    for job in [first, second, third] {
        assert_eq!(world.wait_end(&job), "completed");
    }
    assert_eq!(stamps(&world, "log"), ["+a", "-a", "+b", "-b", "+c", "-c"]);
}

#[test]
fn what_needs_a_failed_job_fails() {
    let world = world();
    let gate = world.root().join("gate");
    let script = json!([{"do": "wait_file", "path": gate}, {"do": "exit", "code": 3}]);
    let first = spawn_scripted(&world, &[], &script);
    let second = world.spawn_command(&["--needs", &first], &["true"]);
    let third = world.spawn_command(&["--needs", &second], &["true"]);
    open(&world, "gate");
    for (job, cause) in [(&second, &first), (&third, &second)] {
        assert_eq!(world.wait_end(job), "failed");
        let status = world.json(&["status", job]);
        assert_eq!(status["code"], "needs_failed");
        let message = status["message"].as_str().expect("words");
        assert!(message.contains(cause.as_str()), "{message}");
        assert_eq!(status["attempts"], 0);
        whole_events(&world, job);
    }
    // The same when it has failed already.
    let late = world.spawn_command(&["--needs", &first], &["true"]);
    assert_eq!(world.wait_end(&late), "failed");
    assert_eq!(world.json(&["status", &late])["code"], "needs_failed");
}

#[test]
fn needs_and_order_survive_the_daemon() {
    let world = world();
    world.write_config("[limits]\nwriters = 1\n");
    let script = |name: &str| stamped(&world, "log", name, "gate");
    let first = spawn_scripted(&world, &[], &script("a"));
    wait_for_starts(&world, "log", 1);
    let held = spawn_scripted(&world, &["--needs", &first], &script("b"));
    let other = spawn_scripted(&world, &["--priority", "3"], &script("c"));
    world.kill_daemon();
    assert_eq!(world.json(&["status", &held])["queue"]["reason"], "needs");
    world.kill_daemon();
    open(&world, "gate");
    for job in [&first, &held, &other] {
        assert_eq!(world.wait_end(job), "completed");
        whole_events(&world, job);
    }
    let stamps = stamps(&world, "log");
    assert_eq!(peak(&stamps), 1, "{stamps:?}");
    assert_eq!(starts(&stamps), ["a", "c", "b"]);
}

#[test]
fn needs_in_a_circle_are_refused() {
    let mut world = world();
    crate::world::add_codex_stand_in(&mut world);
    let mut client = convoke_test_support::mcp_client::McpClient::start(&world, &[], "test");
    let jobs = json!([
        {"prompt": "a", "label": "a", "needs": ["b"]},
        {"prompt": "b", "label": "b", "needs": ["a"]},
        {"prompt": "c", "label": "c", "needs": ["c"]},
    ]);
    let answer = client.call_ok("codex_spawn_group", json!({"jobs": jobs}));
    let results = answer["results"].as_array().expect("a list");
    assert_eq!(results.len(), 3);
    for result in results {
        let error = result["error"].to_string();
        assert!(error.contains("needs"), "{answer:#}");
    }
    assert_eq!(all_jobs(&world), Vec::<Value>::new());
}
