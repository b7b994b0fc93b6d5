//! Cancelling real workers with running commands: nothing stays, and what is
//! known is kept.

use convoke_scripted_model::Step;
use convoke_test_support::{codex::real_codex, wait::wait_for};

use crate::codex_world::CodexWorld;

/// Starts a worker whose command has a child in its session and one outside,
/// waits until both run, cancels it and checks what is left.
fn cancelled(sandbox: &str, how: &[&str]) {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, convoke_scripted_model::Script::default());
    world.write_config("[policy]\nmax_sandbox = \"danger-full-access\"\n");
    check_cancelled(&world, sandbox, how);
}

fn check_cancelled(world: &CodexWorld, sandbox: &str, how: &[&str]) {
    let command = "setsid sh -c 'trap \"\" TERM INT; sleep 47110815; sleep 47110815' & \
                   (sleep 47110816 &) ; sleep 47110817";
    let worker = [
        Step::Note("my last words".into()),
        Step::shell(command),
        Step::say("never said"),
    ];
    let job = world.spawn_worker(&["-s", sandbox], &worker);
    for sleep in ["sleep 47110815", "sleep 47110816", "sleep 47110817"] {
        wait_for(&format!("{sleep} to run"), || {
            let all = world.processes();
            let runs = all.iter().any(|process| process.command == sleep);
            if runs {
                Ok(())
            } else {
                Err(format!("{}; {all:#?}", world.state(&job)))
            }
        });
    }
    let cancel: Vec<&str> = ["cancel"]
        .iter()
        .chain(how)
        .chain(&[job.as_str()])
        .copied()
        .collect();
    world.ok(&cancel);
    assert_eq!(world.wait_end(&job), "cancelled");
    let left: Vec<_> = world
        .processes()
        .into_iter()
        .filter(|process| process.command.contains("4711081") || process.command.contains("codex"))
        .collect();
    assert!(
        left.is_empty(),
        "they were left when the job was over: {left:#?}"
    );
    let result = world.result(&job);
    assert_eq!(result["job"]["sandbox"], sandbox);
    assert_eq!(result["job"]["leftovers"], serde_json::json!([]));
    assert_eq!(result["finalMessage"], "my last words", "{result:#}");
    let integrity = &result["integrity"];
    assert!(integrity["headBefore"].is_string(), "{result:#}");
    assert_eq!(integrity["headBefore"], integrity["headAfter"]);
    let events = world.events(&job);
    let last = events.last().expect("events");
    assert_eq!(last["type"], "final");
    assert_eq!(last["content"]["lastMessage"], "my last words");
}

#[test]
fn graceful_within_the_sandbox() {
    cancelled("workspace-write", &[]);
}

#[test]
fn forced_within_the_sandbox() {
    cancelled("workspace-write", &["--force"]);
}

#[test]
fn graceful_with_full_access() {
    cancelled("danger-full-access", &[]);
}

#[test]
fn forced_with_full_access() {
    cancelled("danger-full-access", &["--force"]);
}

/// The program behind a launcher that does not hand signals on.
#[test]
fn forced_behind_a_launcher() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, convoke_scripted_model::Script::default());
    let launcher = world.root().join("launcher");
    let text = format!(
        "#!/bin/sh\ntrap '' INT TERM\n{} \"$@\"\nexit $?\n",
        codex.display()
    );
    fs_err::write(&launcher, text).expect("written");
    use std::os::unix::fs::PermissionsExt as _;
    let executable = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(&launcher, executable).expect("executable");
    world.write_config(&format!(
        "[policy]\nmax_sandbox = \"danger-full-access\"\n[codex]\nbinary = {:?}\n",
        launcher.display().to_string()
    ));
    check_cancelled(&world, "danger-full-access", &["--force"]);
}
