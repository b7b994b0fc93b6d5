//! Processes that nobody but root can end: named, and in the way of other
//! writers until they are gone or a person lets go of them.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use convoke_scripted_model::{Script, Step};
use convoke_test_support::{census, codex::real_codex};

use crate::{checks::whole_events, codex_world::CodexWorld, users::NOBODY};

/// A world of an ordinary user, and a program there that runs as root.
fn world_with_roots_program() -> Option<(CodexWorld, PathBuf)> {
    let codex = real_codex()?;
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can make a program that runs as root");
        return None;
    }
    let mut world = CodexWorld::unregistered(&codex, Script::default());
    world.write_config("[policy]\nmax_sandbox = \"danger-full-access\"\n[limits]\nwriters = 1\n");
    world.environment().become_user(NOBODY);
    let program = world.root().join("as-root");
    fs_err::copy("/usr/bin/setpriv", &program).expect("a program");
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).expect("its mode");
    Some((world, program))
}

/// A job that is over and has left a process of root, and the process.
fn left(world: &CodexWorld, program: &Path, sandbox: &str) -> (String, Option<i32>) {
    let command = format!(
        "setsid {} --reuid 0 sleep 47110818 & echo started",
        program.display()
    );
    let worker = [Step::shell(&command), Step::say("done")];
    let job = world.spawn_worker(&["-s", sandbox], &worker);
    assert_eq!(world.wait_end(&job), "completed");
    (job, roots_process(world))
}

fn roots_process(world: &CodexWorld) -> Option<i32> {
    let all = world.processes();
    let ours = |process: &&census::Process| process.command.contains("47110818");
    all.iter().find(ours).map(|process| process.pid)
}

/// A writer that waits for the place in the tree, and why.
fn waiting(world: &CodexWorld, left: &str) -> String {
    let job = world.spawn_command(&[], &["true"]);
    let status = world.json(&["status", &job]);
    assert_eq!(status["state"], "queued", "{status:#}");
    let why = status["queue"]["message"].as_str().expect("words");
    assert!(why.contains(&format!("convoke release {left}")), "{why}");
    job
}

#[test]
fn they_hold_a_place_in_the_tree_until_they_are_gone() {
    let Some((world, program)) = world_with_roots_program() else {
        return;
    };
    let (job, pid) = left(&world, &program, "danger-full-access");
    let pid = pid.expect("the process is left");
    let status = world.json(&["status", &job]);
    let named = status["leftovers"][0].as_str().expect("a process");
    assert!(named.starts_with(&pid.to_string()), "{status:#}");
    assert_eq!(status["holdsTree"], true, "{status:#}");
    let next = waiting(&world, &job);
    world.kill_daemon();
    assert_eq!(world.state(&next), "queued", "a new daemon knows of it");
    assert!(world.ok(&["gc", "--max-size", "1"]).contains("stays"));
    census::kill(pid);
    assert_eq!(world.wait_end(&next), "completed");
    assert_eq!(world.json(&["status", &job])["holdsTree"], false);
    whole_events(&world, &job);
}

#[test]
fn they_are_known_when_the_database_is_lost() {
    let Some((world, program)) = world_with_roots_program() else {
        return;
    };
    let (job, pid) = left(&world, &program, "danger-full-access");
    let pid = pid.expect("the process is left");
    world.kill_daemon();
    for part in ["", "-wal", "-shm"] {
        let path = world.state_home().join(format!("convoke.db{part}"));
        if path.exists() {
            fs_err::write(path, "no database").expect("damaged");
        }
    }
    let next = waiting(&world, &job);
    census::kill(pid);
    assert_eq!(world.wait_end(&next), "completed");
}

#[test]
fn a_person_can_let_go_of_them() {
    let Some((world, program)) = world_with_roots_program() else {
        return;
    };
    let (job, pid) = left(&world, &program, "danger-full-access");
    let next = waiting(&world, &job);
    assert_eq!(world.run(&["release", &next]).code, Some(2), "it is queued");
    world.ok(&["release", &job]);
    assert_eq!(world.wait_end(&next), "completed");
    assert_eq!(world.json(&["release", &job])["released"], false);
    world.kill_daemon();
    assert_eq!(world.json(&["status", &job])["holdsTree"], false);
    census::kill(pid.expect("it is untouched"));
}

#[test]
fn within_a_namespace_nothing_is_left() {
    let Some((world, program)) = world_with_roots_program() else {
        return;
    };
    let (job, pid) = left(&world, &program, "workspace-write");
    assert_eq!(pid, None);
    let status = world.json(&["status", &job]);
    assert_eq!(status["leftovers"], serde_json::json!([]), "{status:#}");
    assert_eq!(status["holdsTree"], false, "{status:#}");
}
