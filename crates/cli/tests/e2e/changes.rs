//! What jobs changed in their working tree, and taking it back.

use convoke_test_support::{
    census,
    environment::TestEnvironment,
    mcp_client::McpClient,
    wait::{wait_for, wait_for_file},
};
use serde_json::{Value, json};

use crate::{
    checks::whole_events,
    conflicts::in_command,
    users::ordinary_world,
    world::{scripted_agent, spawn_scripted, world},
};

/// Commits files to the world's repository.
pub fn commit(world: &TestEnvironment, files: &[(&str, &str)]) {
    for (name, text) in files {
        write(world, name, text);
    }
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "more"]);
}

fn write(world: &TestEnvironment, name: &str, text: &str) {
    let path = world.work().join(name);
    fs_err::create_dir_all(path.parent().expect("a parent")).expect("created");
    fs_err::write(path, text).expect("written");
}

pub fn read(world: &TestEnvironment, name: &str) -> String {
    fs_err::read_to_string(world.work().join(name)).expect("read")
}

/// Runs a shell command as a job to its end.
pub fn job(world: &TestEnvironment, command: &str) -> String {
    let job = world.spawn_command(&[], &["sh", "-c", command]);
    assert_eq!(world.wait_end(&job), "completed");
    job
}

pub fn changes(world: &TestEnvironment, job: &str) -> Value {
    world.json(&["changes", job])
}

/// Paths and whose they are: `+` certainly the job's, `?` perhaps.
pub fn shown(changes: &Value) -> Vec<String> {
    let all = changes["changes"].as_array().expect("changes");
    all.iter()
        .map(|change| {
            let sign = match change["attribution"].as_str() {
                Some("job") => "+",
                _ => "?",
            };
            let kind = change["kind"].as_str().expect("a kind");
            format!("{sign} {kind} {}", change["path"].as_str().expect("a path"))
        })
        .collect()
}

#[test]
fn a_jobs_own_changes_are_told_and_shown() {
    let world = world();
    commit(
        &world,
        &[("kept", "1\n"), ("gone", "1\n"), ("moved", "a\nb\nc\nd\n")],
    );
    write(&world, "dirty", "the user's\n");
    write(&world, "kept", "dirty before\n");
    let id = job(
        &world,
        "echo more >> kept; rm gone; mv moved elsewhere; mkdir -p new; echo x > new/file; chmod +x dirty",
    );
    let found = changes(&world, &id);
    assert_eq!(
        shown(&found),
        [
            "+ mode dirty",
            "+ rename elsewhere",
            "+ delete gone",
            "+ modify kept",
            "+ add new/file"
        ]
    );
    assert_eq!(found["complete"], true, "{found:#}");
    assert_eq!(found["outside"], json!([]));
    assert_eq!(found["changes"][1]["oldPath"], "moved");
    assert_eq!(found["changes"][0]["evidence"], json!(["only_writer"]));
    let diff = world.ok(&["diff", &id]);
    assert!(diff.contains("dirty before\n+more"), "{diff}");
    assert!(!diff.contains("the user's"), "{diff}");
    let table = world.ok(&["changes", &id]);
    assert!(table.contains("moved -> elsewhere"), "{table}");
    assert_eq!(world.git(&["status", "--porcelain"]).lines().count(), 6);
    whole_events(&world, &id);
}

#[test]
fn what_was_dirty_before_is_not_the_jobs() {
    let world = world();
    commit(&world, &[("a", "1\n")]);
    write(&world, "a", "dirty\n");
    write(&world, "untracked", "dirty\n");
    let id = job(&world, "echo x > b");
    assert_eq!(shown(&changes(&world, &id)), ["+ add b"]);
    write(&world, "later", "the user's\n");
    assert_eq!(shown(&changes(&world, &id)), ["+ add b"]);
}

#[test]
fn a_rollback_takes_back_one_job_and_can_be_undone() {
    let world = world();
    commit(&world, &[("a", "1\n2\n3\n4\n5\n"), ("b", "b\n")]);
    let first = job(&world, "echo first > a; echo x > new; rm b");
    let second = job(&world, "echo second > c");
    write(&world, "mine", "the user's\n");
    let planned = world.json(&["rollback", "--dry-run", &first]);
    assert_eq!(planned["restored"], json!(["a", "b", "new"]), "{planned:#}");
    assert_eq!(planned["checkpointId"], Value::Null);
    assert_eq!(read(&world, "a"), "first\n", "a dry run writes nothing");
    let done = world.json(&["rollback", &first]);
    assert_eq!(done["restored"], planned["restored"]);
    assert_eq!(read(&world, "a"), "1\n2\n3\n4\n5\n");
    assert_eq!(
        (read(&world, "b"), read(&world, "c")),
        ("b\n".into(), "second\n".into())
    );
    assert!(!world.work().join("new").exists());
    assert_eq!(read(&world, "mine"), "the user's\n");
    let undo = done["checkpointId"].as_str().expect("a state");
    let undone = world.json(&["rollback", "--to", undo]);
    assert_eq!(undone["restored"], json!(["a", "b", "new"]), "{undone:#}");
    assert_eq!(
        (read(&world, "a"), read(&world, "new")),
        ("first\n".into(), "x\n".into())
    );
    assert!(!world.work().join("b").exists());
    assert_eq!(shown(&changes(&world, &second)), ["+ add c"]);
}

#[test]
fn a_rollback_keeps_what_was_edited_since() {
    let world = world();
    commit(&world, &[("a", "1\n2\n3\n4\n5\n"), ("b", "b\n")]);
    let id = job(&world, "sed -i s/1/one/ a; echo job > b");
    write(&world, "a", "one\n2\n3\n4\nfive\n");
    write(&world, "b", "user\n");
    let done = world.json(&["rollback", &id]);
    assert_eq!(done["restored"], json!(["a"]));
    assert_eq!(read(&world, "a"), "1\n2\n3\n4\nfive\n");
    assert_eq!(read(&world, "b"), "user\n");
    let copy = done["keptBoth"][0]["copy"].as_str().expect("a copy");
    assert_eq!(copy, format!("b.before-{id}"));
    assert_eq!(read(&world, copy), "b\n");
}

#[test]
fn going_back_to_a_state_leaves_what_no_job_changed() {
    let world = world();
    commit(&world, &[("a", "a\n"), ("b", "b\n")]);
    let first = job(&world, "echo first > a");
    write(&world, "mine", "the user's\n");
    job(&world, "echo second > b");
    write(&world, "b", "second\nand the user's\n");
    let done = world.json(&["rollback", "--to", &format!("{first}.before")]);
    assert_eq!(done["restored"], json!(["a"]), "{done:#}");
    assert_eq!(
        (read(&world, "a"), read(&world, "mine")),
        ("a\n".into(), "the user's\n".into())
    );
    assert_eq!(done["skipped"][0]["path"], "mine");
    let copy = done["keptBoth"][0]["copy"].as_str().expect("a copy");
    assert_eq!(
        (read(&world, "b"), read(&world, copy)),
        ("second\nand the user's\n".into(), "b\n".into())
    );
}

/// Two writers at once, whose commands are both at work while either writes; `told` of
/// the first are told by its agent.
pub fn two_writers(world: &TestEnvironment, told: bool) -> (String, String) {
    let at = |name: &str| world.root().join(name);
    let work = world.work();
    let item =
        |what: &str, item: Value| json!({"do": "json", "value": {"type": what, "item": item}});
    let command = json!({"id": "i0", "type": "command_execution", "command": "edit"});
    let file_change = |path: &str| {
        let changes = json!([{"path": work.join(path), "kind": "update"}]);
        item(
            "item.completed",
            json!({"id": "i1", "type": "file_change", "changes": changes}),
        )
    };
    let script = |own: &str| {
        let mut steps = vec![
            item("item.started", command.clone()),
            json!({"do": "write", "path": at("there"), "text": "there\n", "append": true}),
            json!({"do": "wait_file", "path": at("gate")}),
            json!({"do": "write", "path": "both", "text": format!("{own}\n"), "append": true}),
            json!({"do": "write", "path": own, "text": "own\n"}),
            json!({"do": "write", "path": at("wrote"), "text": "wrote\n", "append": true}),
            json!({"do": "wait_file", "path": at("end")}),
            item("item.completed", command.clone()),
        ];
        if told {
            steps.push(file_change(own));
        }
        steps.push(json!({"do": "codex", "message": format!("done\n\nmodifiedFiles:\n- {own}\n- imagined\n")}));
        json!(steps).to_string()
    };
    let spawn = |own: &str| world.ok(&["spawn", "-s", "workspace-write", &script(own)]);
    let jobs = (spawn("one"), spawn("two"));
    for (all, gate) in [("there", "gate"), ("wrote", "end")] {
        wait_for("both to come so far", || {
            match crate::checks::lines(&at(all)) {
                2 => Ok(()),
                n => Err(format!("{n} did")),
            }
        });
        fs_err::write(at(gate), "").expect("the gate opens");
    }
    assert_eq!(world.wait_end(&jobs.0), "completed");
    assert_eq!(world.wait_end(&jobs.1), "completed");
    jobs
}

pub fn world_of_two() -> TestEnvironment {
    let mut world = world();
    world.add_scripted_codex(&scripted_agent());
    commit(&world, &[("both", "0\n")]);
    world
}

#[test]
fn what_two_writers_changed_at_once_is_told_apart_by_what_they_told() {
    let world = world_of_two();
    let (one, two) = two_writers(&world, true);
    for (job, other, own) in [(&one, &two, "one"), (&two, &one, "two")] {
        let found = changes(&world, job);
        let all = found["changes"].as_array().expect("changes");
        let of = |path: &str| all.iter().find(|change| change["path"] == path);
        let own = of(own).expect("its own");
        assert_eq!(own["attribution"], "job", "{found:#}");
        assert_eq!(own["evidence"], json!(["reported"]));
        let both = of("both").expect("both changed it");
        assert_eq!(both["attribution"], "ambiguous", "{found:#}");
        assert_eq!(both["with"], json!([other]));
        assert_eq!(found["unreported"], json!(["both"]));
        assert_eq!(found["notSeen"], json!(["imagined"]));
    }
    let done = world.json(&["rollback", &one]);
    assert_eq!(done["restored"], json!(["one"]), "{done:#}");
    assert_eq!(done["skipped"][0]["path"], "both");
    assert!(world.work().join("two").exists());
}

#[test]
fn what_two_writers_changed_at_once_is_nobodys_when_they_told_nothing() {
    let world = world_of_two();
    let (one, two) = two_writers(&world, false);
    let found = changes(&world, &one);
    assert_eq!(shown(&found), ["? modify both", "? add one", "? add two"]);
    assert_eq!(found["changes"][0]["with"], json!([two]));
    let done = world.json(&["rollback", &one]);
    assert_eq!(done["restored"], json!([]), "{done:#}");
}

#[test]
fn changes_so_far_are_told_while_the_job_runs() {
    let world = world();
    let gate = world.root().join("gate");
    let script = json!([
        {"do": "write", "path": "early", "text": "x\n"},
        {"do": "out", "text": "wrote"},
        {"do": "wait_file", "path": gate},
        {"do": "write", "path": "late", "text": "x\n"},
    ]);
    let id = spawn_scripted(&world, &[], &script);
    wait_for_file(&world.work().join("early"));
    world.wait_state(&id, &["running"]);
    let found = changes(&world, &id);
    assert_eq!(shown(&found), ["+ add early"]);
    assert_eq!(found["complete"], false);
    let refused = world.run(&["rollback", &id]);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("convoke cancel"), "{refused}");
    fs_err::write(gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&id), "completed");
    assert_eq!(shown(&changes(&world, &id)), ["+ add early", "+ add late"]);
}

#[test]
fn a_cancelled_jobs_changes_can_be_taken_back() {
    let world = world();
    let script = json!([
        {"do": "write", "path": "half", "text": "done\n"},
        {"do": "out", "text": "wrote"},
        {"do": "stall"},
    ]);
    let id = spawn_scripted(&world, &[], &script);
    wait_for_file(&world.work().join("half"));
    world.ok(&["cancel", &id]);
    assert_eq!(world.wait_end(&id), "cancelled");
    assert_eq!(world.json(&["rollback", &id])["restored"], json!(["half"]));
    assert!(!world.work().join("half").exists());
}

/// The daemon dies while the job runs, or between its end and the state after.
fn the_daemon_dies(point: Option<&str>) {
    let world = world();
    commit(&world, &[("a", "a\n")]);
    let gate = world.root().join("gate");
    let variables: Vec<_> = point
        .map(|point| ("CONVOKE_TEST_DAEMON_DIES_AT", point))
        .into_iter()
        .collect();
    let started = world.run_with(&variables, &["daemon", "start"]);
    assert!(started.success(), "{started}");
    let daemon = world.daemon_pid().expect("a daemon serves");
    let script = json!([
        {"do": "wait_file", "path": gate},
        {"do": "write", "path": "a", "text": "changed\n"},
    ]);
    let id = spawn_scripted(&world, &[], &script);
    world.wait_state(&id, &["running"]);
    if point.is_none() {
        world.kill_daemon();
    }
    fs_err::write(gate, "").expect("the gate opens");
    wait_for("the daemon to die", || census::gone(daemon));
    assert_eq!(world.wait_end(&id), "completed");
    let found = changes(&world, &id);
    assert_eq!(found["complete"], true, "{found:#}");
    if point.is_some() {
        assert_eq!(shown(&found), ["+ modify a"]);
        world.ok(&["rollback", &id]);
    } else {
        // Nobody watched when it changed: it is not taken for the job's without a word.
        assert_eq!(shown(&found), ["? modify a"]);
        let left = world.json(&["rollback", &id])["skipped"][0].clone();
        let reason = left["reason"].as_str().expect("a reason");
        assert!(reason.contains("nobody watched"), "{left:#}");
        world.ok(&["rollback", "--to", &format!("{id}.before")]);
    }
    assert_eq!(read(&world, "a"), "a\n");
}

#[test]
fn they_are_known_when_the_daemon_dies_under_the_job() {
    the_daemon_dies(None);
}

#[test]
fn they_are_known_when_the_daemon_dies_at_the_end() {
    the_daemon_dies(Some("committed:job.ended"));
}

#[test]
fn they_are_known_when_the_daemon_dies_after_the_state() {
    the_daemon_dies(Some("before_scrub"));
}

#[test]
fn a_reader_changes_nothing_and_costs_no_state() {
    let mut world = world();
    world.add_scripted_codex(&scripted_agent());
    let script = json!([{"do": "codex", "message": "read"}]).to_string();
    let id = world.ok(&["spawn", "-s", "read-only", &script]);
    assert_eq!(world.wait_end(&id), "completed");
    let found = changes(&world, &id);
    assert_eq!(found["changes"], json!([]));
    assert!(
        found["note"]
            .as_str()
            .is_some_and(|note| note.contains("read-only")),
        "{found:#}"
    );
    assert!(!world.state_home().join("trees").exists());
}

#[test]
fn without_states_it_is_said_why_nothing_is_known() {
    let world = world();
    world.write_config("[workspace]\ncheckpoints = false\n");
    let id = job(&world, "echo x > a");
    let refused = world.run(&["--format", "json", "changes", &id]);
    assert_eq!(refused.code, Some(5), "{refused}");
    let error: Value = serde_json::from_str(&refused.stderr).expect("JSON");
    assert_eq!(error["code"], "checkpoint_missing", "{error:#}");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("workspace.checkpoints"), "{message}");
}

#[test]
fn unknown_states_and_wrong_arguments_are_refused() {
    let world = world();
    let id = job(&world, "echo x > a");
    for (arguments, code) in [
        (vec!["rollback", "--to", "nothing"], 5),
        (vec!["rollback", "--to", "jaaaaaaaaaaaa.before"], 4),
        (vec!["rollback", "unknown"], 4),
        (vec!["rollback"], 2),
        (vec!["changes", "unknown"], 4),
        (vec!["diff", "unknown"], 4),
    ] {
        let ran = world.run(&arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran}");
    }
    let ran = world.run(&["rollback", "--to", &format!("{id}.during")]);
    assert_eq!(ran.code, Some(5), "{ran}");
    assert_eq!(read(&world, "a"), "x\n");
}

#[test]
fn states_go_with_their_jobs() {
    let world = world();
    let old = job(&world, "echo old > a");
    let new = job(&world, "echo new > a");
    let trees = world.state_home().join("trees");
    let states = || -> Vec<String> {
        let tree = fs_err::read_dir(&trees)
            .expect("trees")
            .next()
            .expect("a tree");
        let path = tree.expect("an entry").path().join("states.jsonl");
        let text = fs_err::read_to_string(path).expect("states");
        let ids = text.lines().map(|line| {
            let state: Value = serde_json::from_str(line).expect("JSON");
            state["id"].as_str().expect("an id").to_owned()
        });
        ids.collect()
    };
    assert_eq!(states().len(), 4);
    // Settled, so that it may go.
    world.ok(&["result", &old]);
    let said = world.ok(&["gc", "--keep", "1"]);
    let left = states();
    let log = fs_err::read_to_string(world.state_home().join("daemon.log")).expect("the log");
    assert!(
        !left.iter().any(|id| id.starts_with(&old)),
        "{left:?}\n{said}\n{log}"
    );
    assert_eq!(left.len(), 2);
    assert_eq!(world.json(&["rollback", &new])["restored"], json!(["a"]));
    assert_eq!(read(&world, "a"), "old\n");
}

#[test]
fn outside_of_git_they_are_known_too() {
    let world = world();
    fs_err::remove_dir_all(world.work().join(".git")).expect("no repository any more");
    write(&world, "a", "a\n");
    let id = job(&world, "echo b > b; echo c > a");
    assert_eq!(shown(&changes(&world, &id)), ["+ modify a", "+ add b"]);
    world.ok(&["rollback", &id]);
    assert_eq!(read(&world, "a"), "a\n");
}

#[test]
fn for_an_ordinary_user() {
    let world = ordinary_world();
    let id = job(&world, "echo x > a");
    assert_eq!(shown(&changes(&world, &id)), ["+ add a"]);
    assert_eq!(world.json(&["rollback", &id])["restored"], json!(["a"]));
    let trees = fs_err::metadata(world.state_home().join("trees")).expect("there");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(trees.permissions().mode() & 0o777, 0o700);
}

#[test]
fn over_mcp() {
    let world = world_of_two();
    let mut client = McpClient::start(&world, &[], "test");
    let edit = json!({"do": "write", "path": "both", "text": "changed\n"});
    let mut script = in_command("i1", &edit).to_vec();
    script.push(json!({"do": "codex", "message": "done"}));
    let script = json!(script);
    let spawn = json!({"prompt": script.to_string(), "sandbox": "workspace-write"});
    let id = client.call_ok("codex_spawn", spawn)["jobId"].clone();
    let wait = json!({"jobIds": [id], "timeoutMs": 30_000});
    client.call_ok("codex_wait_any", wait);
    let found = client.call_ok("codex_changes", json!({"jobId": id}));
    assert_eq!(shown(&found), ["+ modify both"]);
    assert!(
        found["diff"]
            .as_str()
            .is_some_and(|diff| diff.contains("+changed")),
        "{found:#}"
    );
    let planned = client.call_ok("codex_rollback", json!({"jobId": id, "dryRun": true}));
    assert_eq!(planned["restored"], json!(["both"]));
    let done = client.call_ok("codex_rollback", json!({"jobId": id}));
    assert_eq!(done["restored"], json!(["both"]));
    assert_eq!(read(&world, "both"), "0\n");
}
