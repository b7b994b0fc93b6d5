//! Jobs with a working tree of their own, and what becomes of their changes.

use std::path::{Path, PathBuf};

use convoke_test_support::{
    census,
    environment::TestEnvironment,
    mcp_client::McpClient,
    wait::{wait_for, wait_for_file},
};
use serde_json::{Value, json};

use crate::{
    changes::{commit, read, world_of_two},
    users::ordinary_world,
    world::world,
};

/// Starts a shell command as a job in a working tree of its own.
fn spawn(world: &TestEnvironment, label: &str, command: &str) -> String {
    let options = ["--workspace", "worktree", "--label", label];
    world.spawn_command(&options, &["sh", "-c", command])
}

fn completed(world: &TestEnvironment, label: &str, command: &str) -> String {
    let job = spawn(world, label, command);
    assert_eq!(
        world.wait_end(&job),
        "completed",
        "{}",
        world.ok(&["status", &job])
    );
    job
}

fn put(world: &TestEnvironment, name: &str, text: &str) {
    fs_err::write(world.work().join(name), text).expect("written");
}

/// The working tree of a job.
fn own(world: &TestEnvironment, job: &str) -> PathBuf {
    let status = world.json(&["status", job]);
    assert_eq!(status["workspace"], "worktree", "{status:#}");
    let path = status["worktree"].as_str();
    PathBuf::from(path.unwrap_or_else(|| panic!("no working tree: {status:#}")))
}

/// Nothing is left of working trees, on disk and in the repository.
fn none_left(world: &TestEnvironment) {
    assert_eq!(world.git(&["worktree", "list"]).lines().count(), 1);
    let left = fs_err::read_dir(world.state_home().join("worktrees"));
    assert_eq!(left.map_or(0, Iterator::count), 0);
}

#[test]
fn it_begins_with_what_the_caller_has_and_ends_as_a_change_to_review() {
    for world in [world(), ordinary_world()] {
        commit(&world, &[("f", "1\n2\n3\n4\n5\n"), ("gone", "0\n")]);
        put(&world, "f", "dirty\n2\n3\n4\n5\n");
        put(&world, "mine", "untracked\n");
        let head = world.git(&["rev-parse", "HEAD"]);
        let job = completed(
            &world,
            "j",
            "set -e; grep -q dirty f; grep -q untracked mine; git status --porcelain > seen; \
             sed -i s/5/five/ f; rm gone; echo new > new",
        );
        // The caller's tree is as it was.
        assert_eq!(world.git(&["status", "--porcelain"]), " M f\n?? mine\n");
        let tree = own(&world, &job);
        assert_eq!(
            fs_err::read_to_string(tree.join("seen")).expect("read"),
            " M f\n?? mine\n?? seen\n"
        );
        let found = world.json(&["changes", &job]);
        let paths: Vec<&str> = found["changes"]
            .as_array()
            .expect("changes")
            .iter()
            .filter_map(|change| change["path"].as_str())
            .collect();
        assert_eq!(paths, ["f", "gone", "new", "seen"], "{found:#}");
        assert_eq!(
            (&found["workspace"], &found["complete"]),
            (&json!("worktree"), &json!(true))
        );
        assert!(world.ok(&["diff", &job]).contains("+five"));
        let refused = world.run(&["rollback", &job]);
        assert!(refused.stderr.contains("convoke discard"), "{refused}");

        // What the caller does meanwhile is kept.
        put(&world, "f", "dirtier\n2\n3\n4\n5\n");
        let planned = world.ok(&["apply", &job, "--dry-run"]);
        assert!(planned.contains("would apply gone"), "{planned}");
        assert_eq!(read(&world, "gone"), "0\n");
        let applied = world.json(&["apply", &job]);
        assert_eq!(
            applied["applied"],
            json!(["f", "gone", "new", "seen"]),
            "{applied:#}"
        );
        assert_eq!(read(&world, "f"), "dirtier\n2\n3\n4\nfive\n");
        assert!(!world.work().join("gone").exists());
        assert_eq!(world.git(&["rev-parse", "HEAD"]), head);
        none_left(&world);
        assert!(world.ok(&["diff", &job]).contains("+five"));
        let again = world.run(&["apply", &job]);
        assert!(again.stderr.contains("applied already"), "{again}");
        // It can be undone.
        let state = applied["checkpointId"].as_str().expect("a state");
        world.ok(&["rollback", "--to", state]);
        assert_eq!(read(&world, "f"), "dirtier\n2\n3\n4\n5\n");
        assert_eq!(read(&world, "gone"), "0\n");
    }
}

#[test]
fn where_it_cannot_be_merged_nothing_is_written() {
    let world = world();
    commit(&world, &[("f", "1\n2\n3\n")]);
    let job = completed(&world, "j", "echo theirs > f; echo fine > fine");
    put(&world, "f", "ours\n");
    let refused = world.run(&["apply", &job]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stdout.contains("conflict: f: "), "{refused}");
    assert!(refused.stderr.contains("nothing was written"), "{refused}");
    assert!(!world.work().join("fine").exists());
    let mut client = McpClient::start(&world, &[], "test");
    let asked = client.call_ok("codex_apply", json!({"jobId": job}));
    assert_eq!(asked["applied"], json!([]), "{asked:#}");
    let hunks = &asked["conflicts"][0]["hunks"];
    assert_eq!(hunks[0], json!({"side": "job", "start": 1, "lines": 1}));
    assert_eq!(hunks[1]["side"], "tree");
    // Once the caller has made room it can be applied.
    put(&world, "f", "1\n2\n3\n");
    let applied = client.call_ok("codex_apply", json!({"jobId": job}));
    assert_eq!(applied["applied"], json!(["f", "fine"]));
    assert_eq!(read(&world, "f"), "theirs\n");
    none_left(&world);
}

#[test]
fn what_cannot_be_brought_in_is_not_lost_in_silence() {
    let world = world();
    world.write_config("[workspace]\nlargest_file = \"1KiB\"\n");
    commit(
        &world,
        &[("f", "1\n"), ("gone", "1\n"), (".gitignore", "ignored\n")],
    );
    put(&world, "large", &"before\n".repeat(1_000));
    let job = completed(
        &world,
        "j",
        "set -e; cmp large large; head -c 5000 /dev/zero > big; echo 2 > f; echo more >> .gitignore; rm gone",
    );
    let refused = world.run(&["apply", &job]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(
        refused.stdout.contains("big: its content is not kept"),
        "{refused}"
    );
    assert!(!refused.stdout.contains("large:"), "{refused}");
    // What is put right in its tree after its end counts.
    let tree = own(&world, &job);
    fs_err::remove_file(tree.join("big")).expect("removed");
    fs_err::write(tree.join("f"), "3\n").expect("written");
    let applied = world.json(&["apply", &job]);
    assert_eq!(
        applied["applied"],
        json!([".gitignore", "f", "gone"]),
        "{applied:#}"
    );
    assert_eq!(read(&world, "f"), "3\n");
    let status = world.json(&["status", &job]);
    assert_eq!(status["worktreeDecision"], "applied", "{status:#}");

    // A job that did nothing that is seen leaves its tree, and one that failed says so.
    let job = spawn(&world, "i", "echo 1 > ignored; exit 3");
    assert_eq!(world.wait_end(&job), "failed");
    let nothing = world.run(&["apply", &job]);
    assert!(
        nothing.stderr.contains("the job failed (agent_failed)"),
        "{nothing}"
    );
    assert!(nothing.stderr.contains("nothing to apply"), "{nothing}");
    assert!(own(&world, &job).join("ignored").exists());
    world.ok(&["discard", &job]);
    none_left(&world);
}

/// A folder of the tree that a caller puts a link in place of, while the job waits.
#[test]
fn a_link_in_place_of_a_folder_is_not_followed() {
    let world = world();
    commit(&world, &[("sub/f", "1\n")]);
    let outside = world.root().join("outside");
    fs_err::create_dir(&outside).expect("created");
    let gate = world.spawn_command(&["--label", "gate"], &["sleep", "600"]);
    let folder = world.work().join("sub").display().to_string();
    let options = ["--workspace", "worktree", "--cd", &folder, "--needs", &gate];
    let waiting = world.ok(&[&["spawn"], &options[..], &["--", "touch", "x"]].concat());
    fs_err::remove_dir_all(world.work().join("sub")).expect("removed");
    fs_err::os::unix::fs::symlink(&outside, world.work().join("sub")).expect("linked");
    world.ok(&["cancel", &gate]);
    let waiting = waiting.trim();
    // A job that is needed and was cancelled lets no other start: ask anew.
    assert_eq!(world.wait_end(waiting), "failed");
    fs_err::remove_file(world.work().join("sub")).expect("removed");
    fs_err::create_dir(world.work().join("sub")).expect("created");
    let start = world.root().join("start");
    let until = format!("until test -e {}; do sleep 0.02; done", start.display());
    let gate = world.spawn_command(&[], &["sh", "-c", &until]);
    let options = ["--workspace", "worktree", "--cd", &folder, "--needs", &gate];
    let waiting = world.ok(&[&["spawn"], &options[..], &["--", "touch", "x"]].concat());
    fs_err::remove_dir_all(world.work().join("sub")).expect("removed");
    fs_err::os::unix::fs::symlink(&outside, world.work().join("sub")).expect("linked");
    fs_err::write(start, "").expect("the gate opens");
    let waiting = waiting.trim();
    assert_eq!(world.wait_end(waiting), "failed");
    let status = world.json(&["status", waiting]);
    assert!(
        matches!(status["code"].as_str(), Some("policy" | "workspace")),
        "{status:#}"
    );
    assert_eq!(files(&outside), Vec::<String>::new());
}

#[test]
fn what_is_discarded_leaves_nothing_and_can_still_be_looked_at() {
    let world = world();
    commit(&world, &[("f", "1\n")]);
    let job = completed(&world, "j", "echo 2 > f");
    assert!(own(&world, &job).exists());
    let mut client = McpClient::start(&world, &[], "test");
    let done = client.call_ok("codex_discard", json!({"jobId": job}));
    assert_eq!(done["success"], true);
    none_left(&world);
    assert_eq!(
        client.call_ok("codex_discard", json!({"jobId": job}))["success"],
        false
    );
    assert!(world.ok(&["discard", &job]).is_empty());
    assert!(world.ok(&["diff", &job]).contains("+2"));
    let late = world.run(&["apply", &job]);
    assert!(late.stderr.contains("discarded already"), "{late}");
    let shared = world.spawn_command(&[], &["true"]);
    world.wait_end(&shared);
    for command in ["apply", "discard"] {
        let refused = world.run(&[command, &shared]);
        assert_eq!(refused.code, Some(2), "{refused}");
        assert!(refused.stderr.contains("in the tree itself"), "{refused}");
    }
}

#[test]
fn jobs_apart_do_not_count_against_the_writers_of_a_tree() {
    let world = world();
    world.write_config("[limits]\nwriters = 1\n[workspace]\nkind = \"worktree\"\n");
    commit(&world, &[("f", "1\n")]);
    let gate = world.root().join("gate");
    let until = format!("until test -e {}; do sleep 0.02; done", gate.display());
    let jobs: Vec<String> = (0..3)
        .map(|number| {
            let command = format!("{until}; echo job {number} > f");
            world.spawn_command(&[], &["sh", "-c", &command])
        })
        .collect();
    for job in &jobs {
        world.wait_state(job, &["running"]);
    }
    let early = world.run(&["apply", &jobs[0]]);
    assert!(early.stderr.contains("is not over"), "{early}");
    fs_err::write(gate, "").expect("the gate opens");
    for job in &jobs {
        assert_eq!(world.wait_end(job), "completed");
    }
    assert_eq!(read(&world, "f"), "1\n");
    // Each two of them, once they are to be brought together.
    let coming = world.json(&["conflicts"])["conflicts"].clone();
    assert_eq!(coming.as_array().map(Vec::len), Some(3), "{coming:#}");
    assert_eq!(coming[0]["kind"], "forecast", "{coming:#}");
    world.ok(&["apply", &jobs[0]]);
    let second = world.run(&["apply", &jobs[1]]);
    assert_eq!(second.code, Some(1), "{second}");
    // What is forgotten leaves no working tree.
    for job in &jobs {
        world.ok(&["result", job]);
    }
    // But nothing of which nobody has decided yet.
    world.ok(&["gc", "--older-than", "1ms"]);
    assert!(own(&world, &jobs[1]).exists() && own(&world, &jobs[2]).exists());
    assert_eq!(world.run(&["status", &jobs[0]]).code, Some(4));
    fs_err::remove_dir_all(own(&world, &jobs[1])).expect("removed");
    for job in &jobs[1..] {
        world.ok(&["discard", job]);
    }
    world.ok(&["gc", "--older-than", "1ms"]);
    wait_for("the working trees to go", || {
        let left = fs_err::read_dir(world.state_home().join("worktrees"));
        match left.map_or(0, Iterator::count) {
            0 => Ok(()),
            count => Err(format!("{count} are left")),
        }
    });
    none_left(&world);
}

/// What a forecast says of which jobs: `jobs path`.
fn forecasts(world: &TestEnvironment, jobs: &[&str]) -> Vec<String> {
    let arguments: Vec<&str> = ["conflicts"].iter().chain(jobs).copied().collect();
    let found = world.json(&arguments);
    let all = found["conflicts"].as_array().expect("a list");
    all.iter()
        .map(|one| {
            assert_eq!(one["kind"], "forecast", "{one:#}");
            let jobs = one["jobIds"].as_array().expect("jobs");
            let labels: Vec<String> = jobs
                .iter()
                .map(|job| {
                    let status = world.json(&["status", job.as_str().expect("an id")]);
                    status["label"].as_str().expect("a label").to_owned()
                })
                .collect();
            format!(
                "{} {}",
                labels.join("+"),
                one["path"].as_str().expect("a path")
            )
        })
        .collect()
}

#[test]
fn conflicts_are_foretold_while_jobs_are_at_work() {
    let world = world();
    commit(&world, &[("f", "1\n2\n3\n4\n5\n6\n7\n"), ("g", "1\n")]);
    let gate = |name: &str| world.root().join(name);
    let stepping = |name: &str, command: &str| {
        let told = gate(&format!("{name}-done"));
        let (told, end) = (told.display(), gate(&format!("{name}-end")));
        let command = format!(
            "{command}; touch {told}; until test -e {}; do sleep 0.02; done",
            end.display()
        );
        let job = spawn(&world, name, &command);
        wait_for_file(&gate(&format!("{name}-done")));
        job
    };
    let one = stepping("one", "sed -i s/1/one/ f");
    assert_eq!(forecasts(&world, &[]), Vec::<String>::new());
    let apart = stepping("apart", "sed -i s/7/apart/ f");
    assert_eq!(forecasts(&world, &[]), Vec::<String>::new());
    let two = stepping("two", "sed -i s/1/two/ f; echo two > g");
    assert_eq!(forecasts(&world, &[]), ["one+two f"]);
    assert_eq!(forecasts(&world, &[&apart]), Vec::<String>::new());
    assert!(
        world
            .ok(&["conflicts"])
            .contains("cannot be merged with each other")
    );
    // The user edits a file that one of them changed: that is one of its own.
    put(&world, "g", "mine\n");
    assert_eq!(forecasts(&world, &[]), ["two g", "one+two f"]);
    assert_eq!(forecasts(&world, &[&one]), ["one+two f"]);
    for (name, job) in [("one", &one), ("two", &two), ("apart", &apart)] {
        fs_err::write(gate(&format!("{name}-end")), "").expect("the gate opens");
        assert_eq!(world.wait_end(job), "completed");
    }
    // Each of the two has it on record: the second one learned of it while it ran.
    for job in [&one, &two] {
        let status = world.json(&["status", job]);
        let found = status["conflicts"].as_array().expect("a list");
        let is_it = |one: &Value| one["path"] == "f" && one["kind"] == "forecast";
        assert!(found.iter().any(is_it), "{status:#}");
    }
    world.ok(&["apply", &one]);
    assert_eq!(forecasts(&world, &[]), ["two f", "two g"]);
    world.ok(&["discard", &two]);
    assert_eq!(forecasts(&world, &[]), Vec::<String>::new());
    world.ok(&["apply", &apart]);
    assert_eq!(read(&world, "f"), "one\n2\n3\n4\n5\n6\napart\n");
}

/// Files of a working tree that is made anew or was left alone.
fn files(tree: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(tree).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_daemon_that_dies_while_it_is_made_makes_it_anew() {
    let world = world();
    commit(&world, &[("f", "1\n")]);
    let variable = ("CONVOKE_TEST_DAEMON_DIES_AT", "worktree_made");
    assert!(world.run_with(&[variable], &["daemon", "start"]).success());
    let daemon = world.daemon_pid().expect("a daemon serves");
    let job = spawn(&world, "j", "echo 2 > f");
    wait_for("the daemon to die", || census::gone(daemon));
    let tree = world.state_home().join("worktrees").join(&job).join("work");
    fs_err::write(tree.join("half"), "made").expect("written");
    world.ok(&["daemon", "start"]);
    assert_eq!(world.wait_end(&job), "completed");
    assert_eq!(files(&own(&world, &job)), [".git", "f"]);
    let applied = world.json(&["apply", &job]);
    assert_eq!(applied["applied"], json!(["f"]), "{applied:#}");
    none_left(&world);
}

#[test]
fn who_goes_on_in_a_conversation_goes_on_in_its_working_tree() {
    let world = world_of_two();
    commit(&world, &[("f", "1\n")]);
    let told = world.root().join("told");
    let thread =
        json!({"type": "thread.started", "thread_id": "01a1f8ca-d597-7910-b0a5-b6f2115109ef"});
    let script = json!([
        {"do": "json", "value": thread},
        {"do": "write", "path": "first", "text": "1"},
        {"do": "write", "path": told},
        {"do": "wait_file", "path": world.root().join("never")},
    ]);
    let options = ["spawn", "-s", "workspace-write", "--workspace", "worktree"];
    let script = script.to_string();
    let job = world.ok(&[&options[..], &[&script]].concat());
    let job = job.trim();
    wait_for_file(&told);
    let next = json!([
        {"do": "write", "path": "second", "text": "2"},
        {"do": "codex", "message": "done"},
    ]);
    let answer = world.json(&["interrupt", job, &next.to_string()]);
    let next = answer["newJob"]["jobId"]
        .as_str()
        .expect("a job")
        .to_owned();
    let state = world.wait_end(&next);
    assert_eq!(state, "completed", "{}", world.ok(&["status", &next]));
    assert_eq!(own(&world, &next), own(&world, job));
    // The first one is not forgotten as long as its tree is another's.
    world.ok(&["result", &next]);
    world.ok(&["gc", "--older-than", "1ms"]);
    assert!(own(&world, &next).exists());
    let applied = world.json(&["apply", &next]);
    assert_eq!(
        applied["applied"],
        json!(["first", "second"]),
        "{applied:#}"
    );
    let late: Value = world.json(&["status", job]);
    assert_eq!(late["worktree"], Value::Null);
    none_left(&world);
}
