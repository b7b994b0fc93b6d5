//! Secrets of a job's environment are written nowhere but where they must be,
//! and not longer than they must be.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use convoke_test_support::{
    environment::TestEnvironment, files, mcp_client::McpClient, wait::wait_for,
};
use serde_json::{Value, json};

use crate::{
    checks::{messages, secrets_are_gone, whole_events},
    world::{spawn_scripted, world},
};

/// The files below a folder that hold some bytes.
fn holders(folder: &Path, needle: &str) -> Vec<PathBuf> {
    let needle = needle.as_bytes();
    files::below(folder)
        .into_iter()
        .filter(|path| {
            fs_err::read(path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|at| at == needle))
        })
        .collect()
}

/// No file below a folder holds the secret.
pub fn assert_nowhere(folder: &Path, secret: &str) {
    assert_eq!(holders(folder, secret), Vec::<PathBuf>::new());
}

const KEY: &str = "sk-longest-of-keys-0123456789";
const TOKEN: &str = "token with \"quotes\" and \\backslash";
const PROXY_PASSWORD: &str = "hunter2hunter2";

/// A world whose user has secrets in the environment.
fn secret_world() -> TestEnvironment {
    let mut world = world();
    world.set("CODEX_API_KEY", KEY);
    world.set(
        "HTTPS_PROXY",
        format!("http://me:{PROXY_PASSWORD}@proxy.invalid:1"),
    );
    world
}

/// How the secrets may stand in a file: as they are, or escaped in JSON.
fn spellings() -> Vec<String> {
    let escaped = Value::from(TOKEN).to_string();
    vec![
        KEY.to_owned(),
        TOKEN.to_owned(),
        escaped[1..escaped.len() - 1].to_owned(),
        PROXY_PASSWORD.to_owned(),
    ]
}

/// Prints the environment, also to stderr and as JSON, in whole and in
/// pieces, and far beyond one read.
fn teller(gate: &Path) -> Value {
    json!([
        {"do": "print_env"},
        {"do": "run", "argv": ["sh", "-c", "printenv >&2; printf '%s' \"$CODEX_API_KEY\"; printf ' is the key\\n'"]},
        {"do": "out", "size": 70_000, "newline": false},
        {"do": "run", "argv": ["sh", "-c", "printf '%s\\n' \"$CODEX_API_KEY\""]},
        {"do": "out", "text": "ready"},
        {"do": "wait_file", "path": gate},
        {"do": "run", "argv": ["sh", "-c", "printf '%s at the end, without a line feed' \"$MY_TOKEN\""]},
        {"do": "exit", "code": 3},
    ])
}

fn start_teller(world: &TestEnvironment) -> String {
    let gate = world.root().join("gate");
    let token = format!("MY_TOKEN={TOKEN}");
    let job = spawn_scripted(world, &["--env", &token], &teller(&gate));
    wait_for("the agent to have told", || {
        let events = world.events(&job);
        let told = messages(&events).contains(&"ready");
        told.then_some(()).ok_or_else(|| format!("{events:#?}"))
    });
    job
}

/// Nothing that is shown of a job holds a secret.
fn assert_not_shown(world: &TestEnvironment, job: &str) {
    let mut client = McpClient::start(world, &[], "reader");
    let shown = [
        world.run(&["events", job]).stdout,
        world.run(&["--format", "json", "events", job]).stdout,
        world.run(&["result", "--full", job]).stdout,
        world
            .run(&["--format", "json", "result", "--full", job])
            .stdout,
        world.run(&["--format", "json", "status", job]).stdout,
        world.run(&["--format", "json", "ps"]).stdout,
        world.run(&["daemon", "logs"]).stdout,
        world.run(&["config", "show"]).stdout,
        client
            .call("codex_result", json!({"jobId": job, "view": "full"}))
            .to_string(),
        client
            .call("codex_events", json!({"jobId": job}))
            .to_string(),
    ];
    for text in shown {
        for secret in spellings() {
            assert!(!text.contains(&secret), "{secret} is shown in {text}");
        }
    }
}

#[test]
fn while_a_job_runs_only_its_environment_and_journal_hold_them() {
    let world = secret_world();
    let job = start_teller(&world);
    assert_not_shown(&world, &job);
    let allowed = [
        world.state_home().join(format!("jobs/{job}/env.json")),
        world.state_home().join(format!("runners/{job}.1/journal")),
    ];
    for secret in spellings() {
        for path in holders(&world.state_home(), &secret) {
            assert!(allowed.contains(&path), "{} holds {secret}", path.display());
        }
    }
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "failed");
}

#[test]
fn after_a_job_nothing_holds_them() {
    let world = secret_world();
    let job = start_teller(&world);
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "failed");
    whole_events(&world, &job);
    secrets_are_gone(&world, &job);
    assert_not_shown(&world, &job);
    let shown = world.ok(&["--format", "json", "events", &job]);
    assert!(shown.contains("CODEX_API_KEY=[masked]"), "{shown}");
    assert!(shown.contains("MY_TOKEN=[masked]"), "{shown}");
    assert!(
        shown.contains("http://me:[masked]@proxy.invalid:1"),
        "{shown}"
    );
    for secret in spellings() {
        assert_nowhere(&world.state_home(), &secret);
    }
    // What the daemon keeps in memory does not come back with the next start.
    world.kill_daemon();
    assert_not_shown(&world, &job);
    for secret in spellings() {
        assert_nowhere(&world.state_home(), &secret);
    }
}

#[test]
fn a_daemon_that_dies_leaves_none_behind() {
    let world = secret_world();
    let job = start_teller(&world);
    world.kill_daemon();
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "failed");
    secrets_are_gone(&world, &job);
    assert_not_shown(&world, &job);
    for secret in spellings() {
        assert_nowhere(&world.state_home(), &secret);
    }
}

#[test]
fn only_the_user_may_read_the_state_home() {
    let world = secret_world();
    let job = start_teller(&world);
    let long = world.spawn_command(&[], &["sh", "-c", "yes | head -c 100000 | tr -d '\\n'"]);
    assert_eq!(world.wait_end(&long), "completed");
    // Makes artifacts of contents that are cut.
    let mut client = McpClient::start(&world, &[], "reader");
    client.call_ok("codex_events", json!({"jobId": long}));
    client.call_ok("codex_result", json!({"jobId": long, "view": "full"}));
    world.kill_daemon();
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "failed");
    // The daemon still settles the job: what it deletes meanwhile has none.
    let mode = |path: &Path| {
        let meta = fs_err::symlink_metadata(path).ok()?;
        Some(meta.permissions().mode() & 0o777)
    };
    let home = world.state_home();
    assert_eq!(mode(&home), Some(0o700));
    let all = files::below(&home);
    assert!(
        all.iter().any(|path| path
            .parent()
            .is_some_and(|folder| folder.ends_with("artifacts"))),
        "{all:#?}"
    );
    for path in &all {
        let Some(of_file) = mode(path) else {
            continue;
        };
        // Objects are written once, and those of the user's repository are linked.
        let is_object = path.starts_with(home.join("trees")) && of_file & 0o333 == 0;
        assert!(
            of_file == 0o600 || is_object,
            "{of_file:o} {}",
            path.display()
        );
        for folder in path
            .ancestors()
            .skip(1)
            .take_while(|folder| *folder != home)
        {
            if let Some(of_folder) = mode(folder) {
                assert_eq!(of_folder, 0o700, "{}", folder.display());
            }
        }
    }
}

#[test]
fn a_secret_in_a_command_line_reaches_the_program_and_nobody_else() {
    let world = secret_world();
    let (right, gate) = (world.root().join("right"), world.root().join("gate"));
    let script = format!(
        "test \"$1\" = \"$CODEX_API_KEY\" && touch '{}'; while ! test -e '{}'; do sleep 0.05; done",
        right.display(),
        gate.display()
    );
    let job = world.spawn_command(&[], &["sh", "-c", &script, "x", KEY]);
    wait_for("the program to have its argument", || {
        right
            .exists()
            .then_some(())
            .ok_or_else(|| world.state(&job))
    });
    let holders = holders(&world.state_home(), KEY);
    let allowed = |path: &PathBuf| path.ends_with("env.json") || path.ends_with("spec.json");
    assert!(holders.iter().all(allowed), "{holders:?}");
    assert_not_shown(&world, &job);
    fs_err::write(&gate, "").expect("the gate opens");
    world.wait_end(&job);
    wait_for("the secrets to be removed", || {
        let left = self::holders(&world.state_home(), KEY);
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    });
}
