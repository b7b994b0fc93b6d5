//! The versions that files go through while jobs write, and what they tell.

use convoke_test_support::{environment::TestEnvironment, wait::wait_for};
use serde_json::{Value, json};

use crate::{
    changes::{changes, commit, shown, world_of_two},
    conflicts::Stepping,
    world::world,
};

fn run(command: &str) -> (Value, Value) {
    (
        json!({"type": "command_execution", "command": command}),
        json!({"do": "run", "argv": ["sh", "-c", command]}),
    )
}

fn versions(world: &TestEnvironment, path: &str) -> Vec<Value> {
    let found = world.json(&["versions", path]);
    found["versions"].as_array().expect("versions").clone()
}

/// Waits until so many versions are on record.
fn until_kept(world: &TestEnvironment, path: &str, count: usize) -> Vec<Value> {
    wait_for("the versions to be kept", || {
        let all = versions(world, path);
        let is_whole = all.len() == count && !all[count - 1]["at"].is_null();
        is_whole
            .then_some(all)
            .ok_or_else(|| world.ok(&["versions", path]))
    })
}

#[test]
fn what_stood_for_a_while_can_be_had_again() {
    let world = world_of_two();
    commit(&world, &[("f", "0\n")]);
    let steps = [run("echo 1 > f"), run("echo 2 > f"), run("rm f")];
    let writer = Stepping::start(&world, "writer", &steps);
    for n in 0..3 {
        writer.go(&world, n);
        until_kept(&world, "f", n + 2);
    }
    writer.end(&world);
    let all = versions(&world, "f");
    assert_eq!(all[0]["at"], Value::Null, "it was there before: {all:#?}");
    for version in &all[1..] {
        assert_eq!(version["jobIds"], json!([writer.job]), "{all:#?}");
    }
    assert_eq!(all[3]["versionId"], Value::Null, "{all:#?}");
    let one = all[1]["versionId"].as_str().expect("a version");
    assert_eq!(world.ok(&["versions", "f", "--show", &one[..12]]), "1");
    assert!(world.ok(&["versions", "f"]).contains("(gone)"));
    for (arguments, code) in [
        (&["versions", "f", "--show", "abcdef"][..], 2),
        (&["versions", "../elsewhere/f"], 5),
    ] {
        let refused = world.run(arguments);
        assert_eq!(refused.code, Some(code), "{refused}");
    }
}

#[test]
fn what_changes_while_no_command_runs_is_not_the_jobs() {
    let world = world_of_two();
    commit(&world, &[("f", "0\n"), ("g", "0\n")]);
    let talker = Stepping::start(&world, "talker", &[]);
    fs_err::write(world.work().join("f"), "the user's\n").expect("written");
    until_kept(&world, "f", 2);
    talker.end(&world);
    let found = changes(&world, &talker);
    assert_eq!(found["changes"], json!([]), "{found:#}");
    assert_eq!(found["outside"], json!(["f"]), "{found:#}");
    let nothing = world.json(&["rollback", &talker]);
    assert_eq!(nothing["restored"], json!([]), "{nothing:#}");
    // While it runs one, it may be either's: then it is told why it counts as the
    // job's.
    let writer = Stepping::start(&world, "writer", &[run("echo 1 > g")]);
    writer.go(&world, 0);
    writer.end(&world);
    let found = changes(&world, &writer);
    assert_eq!(shown(&found), ["+ modify g"]);
    assert_eq!(found["changes"][0]["evidence"], json!(["only_writer"]));
}

#[test]
fn after_a_restart_it_is_told_for_which_time_nothing_is_known() {
    let world = world_of_two();
    commit(&world, &[("f", "0\n"), ("g", "0\n")]);
    let steps = [run("echo 1 > f"), run("echo 2 > f")];
    let writer = Stepping::start(&world, "writer", &steps);
    writer.go(&world, 0);
    until_kept(&world, "f", 2);
    world.kill_daemon();
    // Somebody else writes while nobody watches.
    fs_err::write(world.work().join("g"), "unseen\n").expect("written");
    world.ok(&["ps"]);
    wait_for("the journal to go on", || {
        let gaps = &changes(&world, &writer)["gaps"];
        match gaps.as_array().map(Vec::len) {
            Some(1) => Ok(()),
            _ => Err(gaps.to_string()),
        }
    });
    writer.go(&world, 1);
    writer.end(&world);
    let found = changes(&world, &writer);
    let reason = found["gaps"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("daemon was not running"), "{found:#}");
    let told = world.run(&["changes", &writer]);
    assert!(told.stderr.contains("daemon was not running"), "{told}");
}

#[test]
fn it_can_be_switched_off() {
    let world = world();
    let config = "[workspace]\nversion_stands = \"0\"\n";
    world.write_config(config);
    commit(&world, &[("f", "0\n")]);
    let id = crate::changes::job(&world, "echo 1 > f");
    assert_eq!(shown(&changes(&world, &id)), ["+ modify f"]);
    assert!(versions(&world, "f").iter().all(|one| one["at"].is_null()));
}
