//! Paths that two jobs changed while both were at work.

use convoke_test_support::{environment::TestEnvironment, mcp_client::McpClient, wait::wait_for};
use serde_json::{Value, json};

use crate::changes::{changes, commit, job, read, two_writers, world_of_two};
use crate::world::world;

/// A worker that waits for its gate before each of its steps, which are commands.
fn stepping(world: &TestEnvironment, name: &str, steps: &[Value]) -> Stepping {
    let command = |step: &Value| {
        let path = step["path"].as_str().unwrap_or_default();
        json!({"type": "command_execution", "command": format!("edit {path}")})
    };
    let steps: Vec<(Value, Value)> = steps
        .iter()
        .map(|step| (command(step), step.clone()))
        .collect();
    Stepping::start(world, name, &steps)
}

/// A worker that does one step after the other when it is let. Each is told by its
/// agent as the given item, when it begins and when it ends.
pub struct Stepping {
    name: String,
    pub job: String,
}

impl std::ops::Deref for Stepping {
    type Target = str;

    fn deref(&self) -> &str {
        &self.job
    }
}

impl Stepping {
    pub fn start(world: &TestEnvironment, name: &str, steps: &[(Value, Value)]) -> Self {
        let wait = |gate: &str| json!({"do": "wait_file", "path": world.root().join(gate)});
        let mut script = Vec::new();
        for (n, (item, step)) in steps.iter().enumerate() {
            let told = |what: &str| {
                let mut item = item.clone();
                item["id"] = json!(format!("item_{n}"));
                json!({"do": "json", "value": {"type": what, "item": item}})
            };
            script.push(wait(&format!("{name}-{n}")));
            script.push(told("item.started"));
            script.push(wait(&format!("{name}-{n}-go")));
            script.push(step.clone());
            script.push(told("item.completed"));
        }
        script.push(wait(&format!("{name}-end")));
        script.push(json!({"do": "codex", "message": "done"}));
        let script = json!(script).to_string();
        let job = world.ok(&["spawn", "-s", "workspace-write", "-l", name, &script]);
        world.wait_state(&job, &["running"]);
        Self {
            name: name.to_owned(),
            job,
        }
    }

    /// Lets it do its nth step, and waits until that is done. What it does comes
    /// after its beginning was read and before its end is, however busy the machine.
    pub fn go(&self, world: &TestEnvironment, n: usize) {
        let gate = |suffix: &str| open(world, &format!("{}-{n}{suffix}", self.name));
        gate("");
        self.has_told(world, "tool_call", n);
        gate("-go");
        self.has_told(world, "tool_result", n);
    }

    fn has_told(&self, world: &TestEnvironment, kind: &str, n: usize) {
        wait_for("its command to be told of", || {
            let events = world.ok(&["--format", "json", "events", &self.job]);
            let id = format!("item_{n}");
            let is_it = |line: &str| {
                let event: Value = serde_json::from_str(line).expect("an event");
                event["type"] == kind && event["content"]["id"] == *id
            };
            match events.lines().any(is_it) {
                true => Ok(()),
                false => Err(format!("{kind} of {id} in {events}")),
            }
        });
    }

    pub fn end(&self, world: &TestEnvironment) {
        open(world, &format!("{}-end", self.name));
        assert_eq!(world.wait_end(&self.job), "completed");
    }
}

/// A step as an agent's command does it: it is told when it begins and when it ends.
pub fn in_command(id: &str, step: &Value) -> [Value; 3] {
    let told = |what: &str| {
        let item = json!({"id": id, "type": "command_execution", "command": "edit"});
        json!({"do": "json", "value": {"type": what, "item": item}})
    };
    [told("item.started"), step.clone(), told("item.completed")]
}

fn open(world: &TestEnvironment, gate: &str) {
    fs_err::write(world.root().join(gate), "").expect("the gate opens");
}

fn write_step(path: &str, text: &str) -> Value {
    json!({"do": "write", "path": path, "text": text})
}

pub fn conflicts(world: &TestEnvironment, jobs: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = ["conflicts"].iter().chain(jobs).copied().collect();
    let found = world.json(&arguments);
    found["conflicts"].as_array().expect("a list").clone()
}

#[test]
fn what_two_writers_may_both_have_changed_is_shown() {
    let world = world_of_two();
    let (one, two) = two_writers(&world, true);
    let found = conflicts(&world, &[]);
    // The file that both changed changed twice while both had commands at work, of
    // which nobody told: it is shown to whoever asks, and troubles nobody.
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        (&found[0]["path"], &found[0]["kind"]),
        (&json!("both"), &json!("possible"))
    );
    assert!(
        world
            .ok(&["conflicts"])
            .contains("both may have changed it")
    );
    for job in [&one, &two] {
        assert_eq!(world.json(&["status", job])["conflicts"], json!([]));
    }
    job(&world, "echo x > alone");
    assert_eq!(conflicts(&world, &[]).len(), 1);
}

#[test]
fn a_file_that_two_writers_changed_is_a_conflict() {
    let world = world_of_two();
    commit(&world, &[("f", "1\n2\n3\n4\n5\n6\n7\n")]);
    let one = stepping(&world, "one", &[write_step("f", "one\n2\n3\n4\n5\n6\n7\n")]);
    one.go(&world, 0);
    let two = stepping(
        &world,
        "two",
        &[write_step("f", "one\n2\n3\n4\n5\n6\ntwo\n")],
    );
    one.end(&world);
    two.go(&world, 0);
    let running = conflicts(&world, &[&one]);
    assert_eq!(running.len(), 1, "{running:#?}");
    two.end(&world);
    for jobs in [&[][..], &[&*one], &[&*two], &["one", "two"]] {
        let found = conflicts(&world, jobs);
        assert_eq!(found.len(), 1, "{jobs:?}: {found:#?}");
        let conflict = &found[0];
        assert_eq!(
            (&conflict["kind"], &conflict["path"]),
            (&json!("overlap"), &json!("f"))
        );
        assert_eq!(conflict["jobIds"], json!([one.job, two.job]));
        assert_eq!(
            conflict["hunks"],
            json!([{"jobId": one.job, "start": 1, "lines": 1}, {"jobId": two.job, "start": 7, "lines": 1}])
        );
        assert_eq!(
            (&conflict["id"], &conflict["resolved"]),
            (&running[0]["id"], &json!(false))
        );
    }
    assert!(world.ok(&["conflicts"]).contains("both changed it"));
    // It was found when the second one ended, and is part of its record; when the
    // first one ended there was none.
    assert_eq!(world.json(&["status", &one])["conflicts"], json!([]));
    let status = world.json(&["status", &two]);
    assert_eq!(status["conflicts"][0]["path"], "f", "{status:#}");
    assert_eq!(status["conflicts"][0]["jobIds"], json!([one.job, two.job]));
    assert!(world.ok(&["status", &two]).contains("overlap in f"));
    let events: Vec<Value> = world
        .ok(&["--format", "json", "events", &two])
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event"))
        .collect();
    let kinds: Vec<&str> = events.iter().filter_map(|e| e["type"].as_str()).collect();
    assert!(kinds.ends_with(&["conflict", "final"]), "{kinds:?}");
    for job in [&one, &two] {
        let full = world.json(&["result", "--full", job]);
        assert_eq!(full["conflicts"][0]["path"], "f", "{full:#}");
    }
    let mut client = McpClient::start(&world, &[], "test");
    let asked = client.call_ok("codex_conflicts", json!({"jobIds": [one.job]}));
    assert_eq!(asked["conflicts"][0]["path"], "f");
    let status = client.call_ok("codex_status", json!({"jobId": two.job}));
    assert_eq!(status["conflicts"][0]["kind"], "overlap", "{status:#}");
    let result = client.call_ok("codex_result", json!({"jobId": one.job, "view": "full"}));
    assert_eq!(result["conflicts"][0]["path"], "f", "{result:#}");
    assert_eq!(
        client.call_ok("codex_conflicts", json!({}))["conflicts"][0]["path"],
        "f"
    );
    world.ok(&["rollback", &two]);
    assert_eq!(conflicts(&world, &[&one])[0]["resolved"], true);
}

#[test]
fn an_edit_that_was_written_over_from_an_older_reading_is_told() {
    let world = world_of_two();
    commit(&world, &[("f", "1\n2\n3\n4\n5\n6\n7\n")]);
    let one = stepping(&world, "one", &[write_step("f", "one\n2\n3\n4\n5\n6\n7\n")]);
    // It begins, and has read the file, before the first one changes it.
    let two = stepping(&world, "two", &[write_step("f", "1\n2\n3\n4\n5\n6\ntwo\n")]);
    let three = stepping(&world, "three", &[]);
    three.end(&world);
    one.go(&world, 0);
    one.end(&world);
    two.go(&world, 0);
    two.end(&world);
    // Both wrote in the tree then, but each had its command at another moment.
    let found = changes(&world, &one);
    assert_eq!(
        found["changes"][0]["evidence"],
        json!(["at_work"]),
        "{found:#}"
    );
    let found = conflicts(&world, &[&one]);
    assert_eq!(found[0]["kind"], "stale_overwrite", "{found:#?}");
}

#[test]
fn what_was_written_over_is_told_of_one_that_told_of_its_patch() {
    let world = world_of_two();
    commit(&world, &[("g", "1\n2\n3\n4\n5\n6\n7\n")]);
    let told = json!({"do": "json", "value": {"type": "item.completed", "item": {"id": "i1", "type": "file_change",
        "status": "completed", "changes": [{"path": world.work().join("g"), "kind": "update"}]}}});
    let edit = write_step("g", "early\n2\n3\n4\n5\n6\n7\n");
    let early = stepping(&world, "early", &[edit, told]);
    let late = stepping(
        &world,
        "late",
        &[write_step("g", "1\n2\n3\n4\n5\n6\nlate\n")],
    );
    early.go(&world, 0);
    early.go(&world, 1);
    early.end(&world);
    late.go(&world, 0);
    late.end(&world);
    let found = conflicts(&world, &[&early]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["kind"], "stale_overwrite", "{found:#?}");
    assert_eq!(found[0]["jobIds"], json!([early.job, late.job]));
    assert!(
        world
            .ok(&["conflicts", &early])
            .contains("wrote over the first")
    );
    assert!(world.ok(&["diff", &early]).contains("+early"));
}

#[test]
fn one_after_the_other_is_no_conflict() {
    let world = world();
    commit(&world, &[("f", "1\n")]);
    job(&world, "echo one >> f");
    job(&world, "echo two >> f");
    job(&world, "echo three >> f");
    assert_eq!(read(&world, "f"), "1\none\ntwo\nthree\n");
    assert_eq!(conflicts(&world, &[]), Vec::<Value>::new());
    let refused = world.run(&["conflicts", "unknown"]);
    assert_eq!(refused.code, Some(4), "{refused}");
}

#[test]
fn what_two_jobs_did_is_brought_together_by_a_third() {
    let world = world_of_two();
    commit(&world, &[("f", "1\n2\n3\n4\n5\n6\n7\n"), ("alone", "0\n")]);
    let one = stepping(&world, "one", &[write_step("f", "one\n2\n3\n4\n5\n6\n7\n")]);
    one.go(&world, 0);
    let steps = [
        write_step("f", "1\n2\n3\n4\n5\n6\ntwo\n"),
        write_step("alone", "1\n"),
    ];
    let two = stepping(&world, "two", &steps);
    let early = world.run(&["reconcile", &one, &two]);
    assert_eq!(early.code, Some(2), "{early}");
    assert!(early.stderr.contains("is not over"), "{early}");
    one.end(&world);
    two.go(&world, 0);
    two.go(&world, 1);
    two.end(&world);
    let answer = world.json(&["reconcile", &one, &two, "--prompt", "Mind the sevens."]);
    assert_eq!(answer["files"], json!(["f"]));
    let job = answer["result"]["job"]["jobId"].as_str().expect("a job");
    assert_eq!(answer["result"]["job"]["label"], "reconcile one and two");
    // It gets the files, what each was asked for and did, and what is there now.
    let runner = world
        .state_home()
        .join(format!("runners/{job}.1/spec.json"));
    let spec: Value = wait_for("the description of the runner", || {
        let bytes = fs_err::read(&runner).map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    });
    let told = spec["stdin"]["text"].as_str().expect("a prompt");
    for words in [
        "- f\n",
        "Mind the sevens.",
        "# What one was asked for",
        "# What two was asked for",
        "wait_file",
        "-1\n+one",
        "-7\n+two",
        "## f\n\n```\n1\n2\n3\n4\n5\n6\ntwo\n```",
    ] {
        assert!(told.contains(words), "{words:?} is missing in:\n{told}");
    }
    assert!(
        !told.contains("- alone\n") && !told.contains("a/alone"),
        "{told}"
    );
    world.wait_end(job);
    let nothing = world.run(&["reconcile", &one, job]);
    assert_eq!(nothing.code, Some(2), "{nothing}");
}

/// The job ids of those that run now.
fn running(world: &TestEnvironment, jobs: &[String]) -> usize {
    jobs.iter()
        .filter(|job| world.state(job) == "running")
        .count()
}

#[test]
fn where_writers_collide_fewer_may_be_at_once_until_they_do_no_more() {
    let world = world_of_two();
    commit(&world, &[("f", "1\n2\n3\n")]);
    let one = stepping(&world, "one", &[write_step("f", "one\n2\n3\n")]);
    one.go(&world, 0);
    let two = stepping(&world, "two", &[write_step("f", "one\n2\ntwo\n")]);
    one.end(&world);
    two.go(&world, 0);
    two.end(&world);
    // Three writers at once are allowed, but for this tree now one.
    let gate = |name: &str| world.root().join(name);
    let writer = |name: &str| {
        let script = json!([
            {"do": "wait_file", "path": gate(name)},
            {"do": "write", "path": name, "text": "own\n"},
        ]);
        crate::world::spawn_scripted(&world, &["--label", name], &script)
    };
    let first: Vec<String> = ["a", "b", "c"].map(writer).into();
    let why = wait_for("the others to wait for one writer", || {
        let status = world.json(&["status", &first[2]]);
        let message = status["queue"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        message
            .contains('1')
            .then_some(message)
            .ok_or_else(|| status.to_string())
    });
    assert!(why.contains("writer"), "{why}");
    wait_for("one to run", || match running(&world, &first) {
        1 => Ok(()),
        n => Err(format!("{n} run")),
    });
    for name in ["a", "b", "c"] {
        fs_err::write(gate(name), "").expect("the gate opens");
    }
    for job in &first {
        assert_eq!(world.wait_end(job), "completed");
    }
    // Three ended without a collision: one more may be at once.
    let next: Vec<String> = ["d", "e", "g"].map(writer).into();
    wait_for("two to run", || match running(&world, &next) {
        2 => Ok(()),
        n => Err(format!("{n} run")),
    });
    assert_eq!(world.state(&next[2]), "queued");
    for name in ["d", "e", "g"] {
        fs_err::write(gate(name), "").expect("the gate opens");
    }
    for job in &next {
        assert_eq!(world.wait_end(job), "completed");
    }
}
