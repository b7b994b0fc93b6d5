//! Starting the daemon: small shell programs take its place and announce a
//! server that the test already runs.

use std::ffi::OsString;

use convoke_api::error::RequestCode;
use convoke_client::{Client, Launcher, inside_job};

use super::server::{Count, Home, plain};

fn shell(script: String) -> Launcher {
    Launcher {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        environment: vec![(OsString::from("MARK"), OsString::from("yes"))],
    }
}

/// What announces the server in the shell.
fn announce(home: &Home) -> String {
    format!(
        "printf '%s' '{}' > '{}'",
        home.address("s"),
        home.file().display()
    )
}

#[tokio::test]
async fn a_new_request_starts_the_daemon_once() {
    if inside_job().is_some() {
        return;
    }
    let home = Home::new();
    let count = Count::default();
    home.serve("s", plain(count.clone()));
    let log = home.path().join("log");
    let script = format!(
        "echo \"$MARK ${{HOME-none}}\" >> '{log}'; ps -o pid=,sid= -p $$ >> '{log}'; {announce}; echo ready",
        log = log.display(),
        announce = announce(&home)
    );
    let client = Client::new(home.path().to_owned(), Some(shell(script)));
    let (one, two) = tokio::join!(client.config(), client.config());
    one.expect("answered");
    two.expect("answered");
    assert_eq!(count.get(), 2);
    let log = fs_err::read_to_string(log).expect("written");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "one start: {log}");
    assert_eq!(lines[0], "yes none", "only the environment given");
    let ids: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(ids[0], ids[1], "in its own session");
}

#[tokio::test]
async fn the_loser_of_two_starts_finds_the_winner() {
    if inside_job().is_some() {
        return;
    }
    let home = Home::new();
    home.serve("s", plain(Count::default()));
    // The winner listens only after the loser has said that it is there.
    let gate = home.path().join("gate");
    let script = format!("echo busy; : > '{}'", gate.display());
    let announced = (home.file(), home.address("s"));
    tokio::spawn(async move {
        while !gate.exists() {
            tokio::task::yield_now().await;
        }
        fs_err::write(announced.0, announced.1).expect("written");
    });
    let client = Client::new(home.path().to_owned(), Some(shell(script)));
    client.config().await.expect("answered");
}

#[tokio::test]
async fn a_daemon_that_does_not_start_says_why() {
    if inside_job().is_some() {
        return;
    }
    let home = Home::new();
    let script = r#"echo 'error {"code":"newer_state","message":"written by a newer version","hint":"update"}'"#;
    let client = Client::new(home.path().to_owned(), Some(shell(script.into())));
    let error = client.config().await.expect_err("refused").to_api_error();
    assert_eq!(error.code, RequestCode::NewerState);

    let client = Client::new(home.path().to_owned(), Some(shell("exit 7".into())));
    let error = client.config().await.expect_err("ended").to_api_error();
    assert_eq!(error.code, RequestCode::DaemonUnavailable);
    assert!(error.message.contains('7'), "{error:?}");

    let mut missing = shell(String::new());
    missing.program = home.path().join("missing");
    let client = Client::new(home.path().to_owned(), Some(missing));
    let error = client
        .config()
        .await
        .expect_err("no program")
        .to_api_error();
    assert_eq!(error.code, RequestCode::DaemonUnavailable);
}

#[tokio::test]
async fn what_may_not_start_does_not() {
    let home = Home::new();
    let log = home.path().join("log");
    let script = format!(": > '{}'; echo ready", log.display());
    let client = Client::new(home.path().to_owned(), Some(shell(script)));
    client
        .without_start()
        .config()
        .await
        .expect_err("no daemon");
    client.daemon().await.expect_err("no daemon");
    client
        .stop_daemon(&Default::default())
        .await
        .expect_err("no daemon");
    assert!(!log.exists());
}
