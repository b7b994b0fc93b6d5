//! Strict jobs: a clean tree, or they are refused; what two of them did to the same
//! files is taken back, and they run again one after the other.

use convoke_test_support::{
    census,
    environment::TestEnvironment,
    mcp_client::McpClient,
    wait::{wait_for, wait_for_file},
};
use serde_json::{Value, json};

use crate::{
    changes::{changes, commit, read, world_of_two},
    checks::{all_jobs, whole_events},
};

/// A world with a committed file `f` that writers add to, and one of the user's.
pub fn strict_world() -> TestEnvironment {
    let world = world_of_two();
    commit(&world, &[("f", "0\n"), ("mine", "mine\n")]);
    world
}

/// One that adds a line to files and tells of it, each once its gate is open, and
/// ends once the gate `<name>-end` is.
fn script(world: &TestEnvironment, name: &str, files: &[&str]) -> String {
    let root = world.root();
    let mut steps = vec![
        json!({"do": "write", "path": root.join("starts"), "text": format!("{name}\n"), "append": true}),
    ];
    for file in files {
        let done = root.join(format!("{name}-{file}-done"));
        steps.extend([
            json!({"do": "wait_file", "path": root.join(format!("{name}-{file}"))}),
            told(world, file, "item.started"),
            json!({"do": "write", "path": file, "text": format!("{name}\n"), "append": true}),
            told(world, file, "item.completed"),
            json!({"do": "write", "path": done}),
        ]);
    }
    steps.push(json!({"do": "wait_file", "path": root.join(format!("{name}-end"))}));
    steps.push(json!({"do": "codex", "message": format!("{name} is done")}));
    json!(steps).to_string()
}

fn told(world: &TestEnvironment, file: &str, what: &str) -> Value {
    json!({"do": "json", "value": {"type": what, "item": {"id": "i1", "type": "file_change",
        "status": "completed", "changes": [{"path": world.work().join(file), "kind": "update"}]}}})
}

fn spawn(world: &TestEnvironment, how: &str, name: &str, script: &str) -> String {
    let options = ["spawn", "-s", "workspace-write", "--coordination", how];
    let job = world.ok(&[&options[..], &["-l", name, script]].concat());
    world.wait_state(&job, &["running"]);
    job
}

/// A strict writer, once it runs.
fn strict(world: &TestEnvironment, name: &str, files: &[&str]) -> String {
    spawn(world, "strict", name, &script(world, name, files))
}

fn open(world: &TestEnvironment, gate: &str) {
    fs_err::write(world.root().join(gate), "").expect("the gate opens");
}

/// Has a writer do its step, to its end.
fn go(world: &TestEnvironment, step: &str) {
    open(world, step);
    wait_for_file(&world.root().join(format!("{step}-done")));
}

/// The names of those that were started, in order.
fn starts(world: &TestEnvironment) -> String {
    let text = fs_err::read_to_string(world.root().join("starts")).expect("some were");
    text.lines().collect::<Vec<_>>().join(" ")
}

fn user_writes(world: &TestEnvironment, name: &str, text: &str) {
    fs_err::write(world.work().join(name), text).expect("written");
}

fn times(status: &Value) -> (String, String) {
    let attempts = status["attemptHistory"].as_array().expect("attempts");
    let last = attempts.last().expect("an attempt");
    let time = |key: &str| last[key].as_str().expect("an instant").to_owned();
    (time("startedAt"), time("endedAt"))
}

/// Two writers that both add a line to `f`, which both told of, and that are both
/// still there.
fn two_in_one_file(world: &TestEnvironment) -> [String; 2] {
    let one = strict(world, "one", &["f"]);
    go(world, "one-f");
    // The tree is dirty by now, but by a strict job.
    let two = strict(world, "two", &["f"]);
    go(world, "two-f");
    [one, two]
}

#[test]
fn jobs_that_collide_are_taken_back_and_run_one_after_the_other() {
    let world = strict_world();
    let [one, two] = two_in_one_file(&world);
    user_writes(&world, "fresh", "new meanwhile\n");
    open(&world, "one-end");
    // Its end is not told: it waits for the other one.
    let waiting = wait_for("the first one to wait", || {
        let status = world.json(&["status", &one]);
        let waits = status["queue"]["reason"] == "conflict";
        waits.then_some(status.clone()).ok_or(status.to_string())
    });
    let message = waiting["queue"]["message"].as_str().expect("a reason");
    assert!(message.contains(&two), "{message}");
    assert_eq!(waiting["conflicts"][0]["resolved"], false, "{waiting:#}");
    // Only one of them is at work, but runs no command.
    user_writes(&world, "mine", "edited meanwhile\n");
    user_writes(&world, "late", "new, later\n");
    open(&world, "two-end");
    for job in [&one, &two] {
        assert_eq!(world.wait_end(job), "completed");
    }
    assert_eq!(read(&world, "f"), "0\none\ntwo\n");
    assert_eq!(starts(&world), "one two one two");
    assert_eq!(read(&world, "mine"), "edited meanwhile\n");
    assert_eq!(read(&world, "fresh"), "new meanwhile\n");
    assert_eq!(read(&world, "late"), "new, later\n");
    let status = world.git(&["status", "--porcelain"]);
    assert_eq!(status, " M f\n M mine\n?? fresh\n?? late\n");

    let [first, second] = [&one, &two].map(|job| world.json(&["status", job]));
    assert!(times(&first).1 <= times(&second).0, "{first:#}\n{second:#}");
    for (status, name) in [(&first, "one"), (&second, "two")] {
        let rerun = &status["reruns"][0];
        assert_eq!(rerun["restored"], json!(["f"]), "{status:#}");
        assert_eq!(rerun["jobIds"], json!([one, two]));
        let past = &status["attemptHistory"][0];
        assert_eq!(
            (&past["code"], &past["counted"]),
            (&json!("workspace"), &json!(false))
        );
        assert!(
            past["message"]
                .as_str()
                .is_some_and(|why| why.contains("changed f too"))
        );
        assert_eq!(status["conflicts"][0]["resolved"], true, "{status:#}");
        assert_eq!(status["coordination"], "strict");
        let job = status["jobId"].as_str().expect("an id");
        let found = changes(&world, job);
        let paths: Vec<&Value> = found["changes"]
            .as_array()
            .expect("changes")
            .iter()
            .map(|c| &c["path"])
            .collect();
        assert_eq!(paths, [&json!("f")], "{found:#}");
        assert_eq!(found["changes"][0]["attribution"], "job", "{found:#}");
        assert!(world.ok(&["diff", job]).contains(&format!("\n+{name}")));
        let events = whole_events(&world, job);
        let kinds: Vec<&str> = events
            .iter()
            .filter_map(|event| event["type"].as_str())
            .collect();
        let at = |kind: &str| kinds.iter().rposition(|one| *one == kind);
        assert!(
            at("requeued") < at("conflict") && at("conflict") < at("final"),
            "{kinds:?}"
        );
    }
    let all = world.json(&["conflicts"])["conflicts"].clone();
    let resolved = |conflict: &Value| conflict["resolved"] == true;
    assert!(
        all.as_array()
            .is_some_and(|all| !all.is_empty() && all.iter().all(resolved)),
        "{all:#}"
    );
    assert!(world.ok(&["status", &one]).contains("was taken back"));
    let mut client = McpClient::start(&world, &[], "test");
    let status = client.call_ok("codex_status", json!({"jobId": two}));
    assert_eq!(status["reruns"][0]["attempt"], 1, "{status:#}");
    let result = client.call_ok("codex_result", json!({"jobId": two}));
    assert_eq!(result["reruns"][0]["restored"], json!(["f"]), "{result:#}");
}

#[test]
fn a_job_that_collides_with_one_that_is_over_runs_again_alone() {
    let world = strict_world();
    let one = strict(&world, "one", &["f"]);
    let two = strict(&world, "two", &["own", "f"]);
    go(&world, "one-f");
    go(&world, "two-own");
    open(&world, "one-end");
    assert_eq!(world.wait_end(&one), "completed");
    go(&world, "two-f");
    open(&world, "two-end");
    assert_eq!(world.wait_end(&two), "completed");
    assert_eq!(read(&world, "f"), "0\none\ntwo\n");
    assert_eq!(read(&world, "own"), "two\n");
    assert_eq!(starts(&world), "one two two");
    let status = world.json(&["status", &two]);
    assert_eq!(
        status["reruns"][0]["restored"],
        json!(["f", "own"]),
        "{status:#}"
    );
    assert_eq!(world.json(&["status", &one])["reruns"], json!([]));
}

#[test]
fn what_cannot_be_told_apart_stays_and_the_job_fails() {
    let world = strict_world();
    let root = world.root();
    let late = json!([
        {"do": "wait_file", "path": root.join("two-f")},
        {"do": "write", "path": "f", "text": "two\n", "append": true},
        {"do": "write", "path": root.join("two-f-done")},
        // Told only once the other one has ended.
        {"do": "wait_file", "path": root.join("two-end")},
        told(&world, "f", "item.completed"),
        {"do": "codex", "message": "done"},
    ]);
    let one = strict(&world, "one", &["f"]);
    let two = spawn(&world, "strict", "two", &late.to_string());
    go(&world, "one-f");
    go(&world, "two-f");
    open(&world, "one-end");
    assert_eq!(world.wait_end(&one), "completed");
    open(&world, "two-end");
    assert_eq!(world.wait_end(&two), "failed");
    let status = world.json(&["status", &two]);
    assert_eq!(status["code"], "workspace", "{status:#}");
    let message = status["message"].as_str().expect("a reason");
    assert!(message.contains("changed f while others did"), "{message}");
    assert_eq!(read(&world, "f"), "0\none\ntwo\n");
    assert_eq!(read(&world, &format!("f.before-{two}")), "0\n");
}

/// The first of two is cancelled while it waits for the other one. The daemon dies at
/// a point, if one is given.
fn one_is_cancelled_while_it_waits(point: Option<&str>) {
    let world = strict_world();
    let variables: Vec<_> = point
        .map(|point| ("CONVOKE_TEST_DAEMON_DIES_AT", point))
        .into_iter()
        .collect();
    let started = world.run_with(&variables, &["daemon", "start"]);
    assert!(started.success(), "{started}");
    let daemon = world.daemon_pid().expect("a daemon serves");
    let [one, two] = two_in_one_file(&world);
    open(&world, "one-end");
    wait_for("the first one to wait", || {
        let status = world.json(&["status", &one]);
        let waits = status["queue"]["reason"] == "conflict";
        waits.then_some(()).ok_or(status.to_string())
    });
    world.ok(&["cancel", &one]);
    assert_eq!(world.wait_end(&one), "cancelled");
    open(&world, "two-end");
    if point.is_some() {
        wait_for("the daemon to die", || census::gone(daemon));
    }
    assert_eq!(world.wait_end(&two), "completed");
    assert_eq!(read(&world, "f"), "0\ntwo\n");
    assert_eq!(starts(&world), "one two two");
}

#[test]
fn what_a_job_did_that_is_cancelled_while_it_waits_is_taken_back_too() {
    one_is_cancelled_while_it_waits(None);
}

#[test]
fn that_is_so_when_the_daemon_dies_after_it() {
    one_is_cancelled_while_it_waits(Some("taken_back"));
}

#[test]
fn jobs_on_different_files_run_at_once_and_once() {
    let world = strict_world();
    let one = strict(&world, "one", &["a"]);
    let two = strict(&world, "two", &["b"]);
    go(&world, "one-a");
    go(&world, "two-b");
    for job in [&one, &two] {
        assert_eq!(world.state(job), "running");
    }
    open(&world, "one-end");
    open(&world, "two-end");
    for job in [&one, &two] {
        assert_eq!(world.wait_end(job), "completed");
        assert_eq!(world.json(&["status", job])["reruns"], json!([]));
    }
    assert_eq!(
        (read(&world, "a"), read(&world, "b")),
        ("one\n".into(), "two\n".into())
    );
    assert_eq!(starts(&world).len(), "one two".len());
}

#[test]
fn a_collision_with_a_tolerant_job_is_only_told() {
    let world = strict_world();
    let one = strict(&world, "one", &["f"]);
    let two = spawn(&world, "dirty", "two", &script(&world, "two", &["f"]));
    go(&world, "one-f");
    go(&world, "two-f");
    open(&world, "one-end");
    assert_eq!(world.wait_end(&one), "completed");
    open(&world, "two-end");
    assert_eq!(world.wait_end(&two), "completed");
    assert_eq!(read(&world, "f"), "0\none\ntwo\n");
    let status = world.json(&["status", &two]);
    assert_eq!(status["conflicts"][0]["path"], "f", "{status:#}");
    assert_eq!(status["reruns"], json!([]));
}

fn refused(world: &TestEnvironment, options: &[&str]) -> String {
    let before = world.git(&["status", "--porcelain"]);
    let ran = world.run(&[&["spawn"], options, &["[]"]].concat());
    assert_eq!(ran.code, Some(5), "{ran}");
    assert_eq!(world.git(&["status", "--porcelain"]), before);
    assert_eq!(all_jobs(world), Vec::<Value>::new());
    ran.stderr
}

#[test]
fn on_a_dirty_tree_a_strict_job_is_refused_with_the_choices() {
    let world = strict_world();
    let strict = ["--coordination", "strict"];
    user_writes(&world, "new file", "");
    let untracked = refused(&world, &strict);
    for words in [
        "new file is not committed",
        "commit or stash",
        "--coordination dirty",
        "worktree",
    ] {
        assert!(untracked.contains(words), "{words}: {untracked}");
    }
    world.git(&["add", "new file"]);
    assert!(refused(&world, &strict).contains("new file"), "staged");
    world.git(&["commit", "-q", "-m", "more"]);
    user_writes(&world, "mine", "edited\n");
    assert!(
        refused(&world, &strict).contains("mine is not committed"),
        "unstaged"
    );
    let mut client = McpClient::start(&world, &[], "test");
    let jobs = json!([{"prompt": "[]"}, {"prompt": "[]", "coordination": "dirty"}]);
    let group = json!({"jobs": jobs, "defaults": {"coordination": "strict"}});
    let results = client.call_ok("codex_spawn_group", group)["results"].clone();
    assert_eq!(results[0]["code"], "tree_dirty", "{results:#}");
    world.wait_end(results[1]["jobId"].as_str().expect("accepted"));

    // Where it makes no difference it is said.
    for option in [["-s", "read-only"], ["--workspace", "worktree"]] {
        let ran = world.run(&[&["spawn"], &strict[..], &option, &["[]"]].concat());
        assert!(
            ran.success() && ran.stderr.contains("makes no difference"),
            "{ran}"
        );
        world.wait_end(ran.stdout.trim());
    }
}

#[test]
fn strictness_may_be_the_default_and_needs_git_and_states() {
    let world = strict_world();
    user_writes(&world, "mine", "edited\n");
    world.write_config("[workspace]\ncoordination = \"strict\"\n");
    assert!(refused(&world, &[]).contains("mine is not committed"));
    let outside = world.root().join("outside");
    fs_err::create_dir(&outside).expect("made");
    let folder = outside.to_str().expect("UTF-8");
    let ran = world.run(&["spawn", "-C", folder, "[]"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("no git repository"), "{ran}");
    let job = world.ok(&["spawn", "--coordination", "dirty", "[]"]);
    world.wait_end(&job);
    world.git(&["checkout", "-q", "--", "mine"]);
    world.write_config("[workspace]\ncoordination = \"strict\"\ncheckpoints = false\n");
    let ran = world.run(&["spawn", "[]"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("workspace.checkpoints"), "{ran}");
}

/// The daemon kills itself at a point on the way from the collision to the second
/// run; the next one goes on.
fn the_daemon_dies_at(point: &str) {
    let world = strict_world();
    let variable = ("CONVOKE_TEST_DAEMON_DIES_AT", point);
    let started = world.run_with(&[variable], &["daemon", "start"]);
    assert!(started.success(), "{started}");
    let daemon = world.daemon_pid().expect("a daemon serves");
    let [one, two] = two_in_one_file(&world);
    user_writes(&world, "mine", "edited meanwhile\n");
    open(&world, "one-end");
    open(&world, "two-end");
    wait_for(&format!("the daemon to die at {point}"), || {
        census::gone(daemon)
    });
    user_writes(&world, "fresh", "while no daemon was there\n");
    for job in [&one, &two] {
        assert_eq!(world.wait_end(job), "completed");
        whole_events(&world, job);
        let status = world.json(&["status", job]);
        assert_eq!(
            status["reruns"].as_array().map(Vec::len),
            Some(1),
            "{status:#}"
        );
    }
    assert_eq!(read(&world, "f"), "0\none\ntwo\n");
    assert_eq!(starts(&world), "one two one two");
    assert_eq!(read(&world, "mine"), "edited meanwhile\n");
    assert_eq!(read(&world, "fresh"), "while no daemon was there\n");
}

macro_rules! the_daemon_dies {
    ($($name:ident: $point:literal;)*) => {
        mod the_daemon_dies_after_a_strict_collision { $(
            #[test]
            fn $name() {
                super::the_daemon_dies_at($point);
            }
        )* }
    };
}

the_daemon_dies! {
    with_the_wait_committed: "committed:job.requeued";
    with_the_wait_told: "published:job.requeued";
    before_anything_is_taken_back: "before_take_back";
    with_a_file_taken_back: "path_taken_back:f";
    with_all_taken_back: "taken_back";
    with_that_committed: "taken_back_committed";
}
