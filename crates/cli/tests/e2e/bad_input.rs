//! Bad input and bad surroundings: nothing changes, and the error says what is
//! wrong and what to do.

use std::os::unix::fs::PermissionsExt;

use convoke_test_support::{
    environment::{Ran, TestEnvironment},
    mcp_client::McpClient,
};
use serde_json::{Value, json};

use crate::{
    checks::all_jobs,
    users::ordinary_world,
    world::{add_codex_stand_in, world},
};

/// Runs a command, which must be refused, and answers its error.
fn refused(world: &TestEnvironment, arguments: &[&str], exit_code: i32, code: &str) -> Value {
    let all: Vec<&str> = ["--format", "json"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let ran = world.run(&all);
    assert_eq!(ran.code, Some(exit_code), "{arguments:?}: {ran}");
    assert_eq!(ran.stdout, "", "{arguments:?}");
    let error = error_of(&ran);
    assert_eq!(error["code"], code, "{arguments:?}: {ran}");
    error
}

fn error_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stderr).unwrap_or_else(|_| panic!("no JSON: {ran}"))
}

fn assert_says(error: &Value, words: &[&str]) {
    for word in words {
        let said = error["message"].as_str().expect("a message");
        assert!(said.contains(word), "{word} is missing: {error:#}");
    }
    let hint = error["hint"].as_str();
    assert!(hint.is_some_and(|hint| !hint.is_empty()), "{error:#}");
}

#[test]
fn folders() {
    let world = world();
    fs_err::write(world.work().join("file"), "").expect("a file");
    fs_err::os::unix::fs::symlink("nowhere", world.work().join("dangling")).expect("a link");
    for (folder, word) in [
        ("/no/such/folder", "does not exist"),
        ("no-such-folder", "does not exist"),
        ("dangling", "does not exist"),
        ("file", "not a folder"),
    ] {
        let error = refused(
            &world,
            &["spawn", "-C", folder, "--", "true"],
            2,
            "invalid_argument",
        );
        assert_says(&error, &["workingDirectory", folder, word]);
    }
    assert_eq!(all_jobs(&world), Vec::<Value>::new());
}

#[test]
fn a_folder_that_may_not_be_entered() {
    let world = ordinary_world();
    let closed = world.root().join("closed");
    fs_err::create_dir_all(closed.join("in")).expect("folders");
    fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).expect("closed");
    let inner = closed.join("in");
    let inner = inner.to_str().expect("UTF-8");
    let error = refused(
        &world,
        &["spawn", "-C", inner, "--", "true"],
        2,
        "invalid_argument",
    );
    assert_says(&error, &["workingDirectory", inner]);
    fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).expect("open");
}

#[test]
fn prompts_and_words() {
    let mut world = world();
    add_codex_stand_in(&mut world);
    for arguments in [
        &["spawn", ""][..],
        &["spawn", "  \n "],
        &["spawn"],
        &["spawn", "--sandbox", "lots", "go"],
        &["spawn", "--access", "rw", "go"],
        &["spawn", "--effort", "huge", "go"],
        &["spawn", "--timeout", "soon", "go"],
        &["spawn", "--output-limit", "much", "go"],
        &["spawn", "--label", "", "go"],
        &["spawn", "--env", "NOVALUE", "--", "true"],
        &["spawn", "--env", "=x", "--", "true"],
        &["spawn", "--output-schema", "no-such-file", "go"],
        &["spawn", "--file", "no-such-file"],
        &["spawn", "--priority", "high", "go"],
        &["ps", "--state", "sleeping"],
        &["ps", "--since", "yesterday-ish"],
        &["wait"],
        &["cancel"],
    ] {
        let all: Vec<&str> = ["--format", "json"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let ran = world.run(&all);
        assert!(
            [Some(1), Some(2)].contains(&ran.code),
            "{arguments:?}: {ran}"
        );
        assert_eq!(ran.stdout, "", "{arguments:?}");
        let error = error_of(&ran);
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{ran}"
        );
    }
    assert_eq!(all_jobs(&world), Vec::<Value>::new());
}

#[test]
fn names_of_jobs() {
    let world = world();
    let one = world.spawn_command(&[], &["true"]);
    let two = world.spawn_command(&["--label", "twin"], &["true"]);
    let three = world.spawn_command(&["--label", "twin"], &["true"]);
    for job in [&one, &two, &three] {
        assert_eq!(world.wait_end(job), "completed");
    }
    for command in ["status", "events", "result", "wait", "cancel"] {
        let error = refused(&world, &[command, "nobody"], 4, "unknown_job");
        assert_says(&error, &["Unknown jobId: nobody"]);
        assert!(
            error["hint"]
                .to_string()
                .contains(&world.state_home().display().to_string()),
            "{error:#}"
        );
        refused(&world, &[command, ""], 4, "unknown_job");
    }
    // Every id begins with `j`: so little of one is no name.
    refused(&world, &["status", "j"], 4, "unknown_job");
    assert_eq!(world.json(&["status", &one[..8]])["jobId"], one.as_str());
    // Of several with one label, the newest is meant.
    assert_eq!(world.json(&["status", "twin"])["jobId"], three.as_str());
    // Path-like and odd names are names like others.
    for name in ["..", "../jobs", "wait", "a/b", "%2e", "ä", "a b?c#d"] {
        refused(&world, &["status", name], 4, "unknown_job");
    }
    let named = world.spawn_command(&["--label", "wait"], &["true"]);
    assert_eq!(world.wait_end(&named), "completed");
    assert_eq!(world.json(&["status", "wait"])["jobId"], named.as_str());
    assert_eq!(
        world.json(&["result", "wait"])["job"]["jobId"],
        named.as_str()
    );
}

#[test]
fn needs() {
    let world = world();
    refused(
        &world,
        &["spawn", "--needs", "nobody", "--", "true"],
        4,
        "unknown_job",
    );
    assert_eq!(all_jobs(&world), Vec::<Value>::new());
}

#[test]
fn cursors() {
    let world = world();
    let job = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&job), "completed");
    let mut client = McpClient::start(&world, &[], "test");
    for cursor in [
        "nonsense",
        "-1",
        "99999999999",
        "3",
        "1e3",
        "18446744073709551616",
    ] {
        let answer = client.call("codex_events", json!({"jobId": job, "cursor": cursor}));
        assert_eq!(answer["isError"], true, "{cursor}: {answer}");
        assert!(
            answer.to_string().contains("bad_cursor"),
            "{cursor}: {answer}"
        );
    }
    let answer = client.call("codex_jobs", json!({"cursor": "nonsense"}));
    assert_eq!(answer["isError"], true, "{answer}");
    let whole = client.call_ok("codex_events", json!({"jobId": job}));
    assert_eq!(whole["done"], true);
}

#[test]
fn an_idempotency_key_for_something_else() {
    let world = world();
    let first = world.ok(&["spawn", "--idempotency-key", "k", "--", "true"]);
    assert_eq!(
        world.ok(&["spawn", "--idempotency-key", "k", "--", "true"]),
        first
    );
    refused(
        &world,
        &["spawn", "--idempotency-key", "k", "--", "false"],
        5,
        "idempotency_conflict",
    );
    assert_eq!(all_jobs(&world).len(), 1);
}

#[test]
fn configuration() {
    let world = world();
    let job = world.spawn_command(&[], &["true"]);
    assert_eq!(world.wait_end(&job), "completed");
    for (text, named) in [
        ("[limits]\nwriter = 3\n", "writer"),
        ("[limit]\nwriters = 3\n", "limit"),
        ("[limits]\nwriters = 0\n", "limits.writers"),
        ("[limits]\nwriters = \"many\"\n", "writers"),
        ("[limits]\nwall = \"soon\"\n", "limits.wall"),
        ("[limits]\noutput = \"big\"\n", "limits.output"),
        ("[policy]\nmax_sandbox = \"all\"\n", "policy.max_sandbox"),
        ("[limits\n", "line 1"),
    ] {
        world.write_config(text);
        let error = refused(&world, &["spawn", "--", "true"], 5, "config_invalid");
        assert_says(&error, &[named, "config.toml"]);
        // What is there can still be read.
        assert_eq!(world.json(&["status", &job])["state"], "completed");
        assert_eq!(all_jobs(&world).len(), 1);
    }
    // A daemon that starts with it says the same.
    world.ok(&["daemon", "stop"]);
    let error = refused(&world, &["spawn", "--", "true"], 5, "config_invalid");
    assert_says(&error, &["config.toml"]);
    world.write_config("");
    assert_eq!(all_jobs(&world).len(), 1);
}

#[test]
fn a_variable_of_the_daemon() {
    let world = world();
    let all = ["--format", "json", "spawn", "--", "true"];
    let ran = world.run_with(&[("CONVOKE_K_WRITE", "many")], &all);
    assert_eq!(ran.code, Some(5), "{ran}");
    let error = error_of(&ran);
    assert_eq!(error["code"], "config_invalid");
    assert_says(&error, &["CONVOKE_K_WRITE", "many"]);
}

#[test]
fn no_codex() {
    let mut world = world();
    let empty = world.root().join("empty");
    fs_err::create_dir(&empty).expect("a folder");
    world.set("PATH", empty.display().to_string());
    let error = refused(&world, &["spawn", "go"], 5, "agent_missing");
    assert_says(&error, &["codex", empty.to_str().expect("UTF-8")]);
    world.write_config("[codex]\nbinary = \"/no/such/codex\"\n");
    let error = refused(&world, &["spawn", "go"], 5, "agent_missing");
    assert_says(&error, &["codex.binary", "/no/such/codex"]);
    assert_eq!(all_jobs(&world), Vec::<Value>::new());
}

#[test]
fn a_program_that_is_not_there() {
    let world = world();
    fs_err::write(world.work().join("plain"), "text").expect("a file");
    for program in ["no-such-program", "./no/such", "./plain"] {
        let job = world.spawn_command(&[], &[program]);
        assert_eq!(world.wait_end(&job), "failed");
        let status = world.json(&["status", &job]);
        assert_eq!(status["code"], "agent_missing", "{status:#}");
        assert!(
            status["message"].to_string().contains(program),
            "{status:#}"
        );
    }
}

#[test]
fn a_working_folder_that_goes() {
    let world = world();
    world.write_config("[limits]\nwriters = 1\n");
    let gate = world.root().join("gate");
    let script = json!([{"do": "wait_file", "path": gate}]);
    let first = crate::world::spawn_scripted(&world, &[], &script);
    let gone = world.work().join("gone");
    fs_err::create_dir(&gone).expect("a folder");
    let second = world.spawn_command(&["-C", gone.to_str().expect("UTF-8")], &["true"]);
    fs_err::remove_dir(&gone).expect("it goes");
    fs_err::write(&gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&first), "completed");
    assert_eq!(world.wait_end(&second), "failed");
    assert_eq!(world.json(&["status", &second])["code"], "workspace");
}
