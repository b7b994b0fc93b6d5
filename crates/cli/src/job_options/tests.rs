//! From the command line to the request.

use clap::Parser;

use super::*;

#[derive(Parser)]
#[command(name = "convoke")]
struct Probe {
    #[command(flatten)]
    options: JobOptions,
}

fn request(arguments: &[&str]) -> JobRequest {
    parse(arguments).into_request().unwrap()
}

fn parse(arguments: &[&str]) -> JobOptions {
    let all = std::iter::once("convoke").chain(arguments.iter().copied());
    Probe::try_parse_from(all).unwrap().options
}

fn refused(arguments: &[&str]) -> clap::error::ErrorKind {
    let all = std::iter::once("convoke").chain(arguments.iter().copied());
    match Probe::try_parse_from(all) {
        Ok(_) => panic!("{arguments:?} was accepted"),
        Err(error) => error.kind(),
    }
}

#[test]
fn a_plain_prompt() {
    let expected = JobRequest {
        prompt: Some("fix the tests".into()),
        ..JobRequest::default()
    };
    assert_eq!(request(&["fix the tests"]), expected);
}

#[test]
fn a_command() {
    let request = request(&["-l", "build", "--", "make", "-j2", "--", "all"]);
    assert_eq!(request.prompt, None);
    assert_eq!(request.label.as_deref(), Some("build"));
    let argv: Vec<String> = ["make", "-j2", "--", "all"].map(str::to_owned).into();
    assert_eq!(request.argv, Some(argv));
}

#[test]
fn reviews() {
    let request = request(&["--review-base", "main"]);
    assert_eq!(request.prompt, None);
    assert_eq!(request.review.unwrap().base.as_deref(), Some("main"));
    let conflict = clap::error::ErrorKind::ArgumentConflict;
    assert_eq!(refused(&["--review-base", "main", "prompt"]), conflict);
    assert_eq!(
        refused(&["--review-base", "a", "--review-commit", "b"]),
        conflict
    );
}

#[test]
fn every_option() {
    let line = "--model gpt --effort high --sandbox read-only --full-auto --access write \
        --cd /repo --profile fast -c a.b=1 --config c=x=y --add-dir /one --add-dir /two \
        --mcp-servers docs,tickets --no-host-skills --timeout 30m --idle-timeout none \
        --first-event-timeout 90s --output-limit 10MiB --env A=1 --env B=x=y --needs j1,j2 \
        --needs j3 --priority -2 --session main --reset-session --idempotency-key k \
        --label nightly go";
    let options = parse(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(options.idempotency_key.as_deref(), Some("k"));
    let request = options.into_request().unwrap();
    insta::assert_json_snapshot!(request, @r#"
    {
      "prompt": "go",
      "label": "nightly",
      "model": "gpt",
      "reasoningEffort": "high",
      "sandbox": "read-only",
      "fullAuto": true,
      "access": "write",
      "workingDirectory": "/repo",
      "profile": "fast",
      "configOverrides": [
        "a.b=1",
        "c=x=y"
      ],
      "addDirs": [
        "/one",
        "/two"
      ],
      "mcpServers": [
        "docs",
        "tickets"
      ],
      "hostSkills": false,
      "timeoutMs": 1800000,
      "idleTimeoutMs": 0,
      "firstEventTimeoutMs": 90000,
      "outputLimitBytes": 10485760,
      "env": {
        "A": "1",
        "B": "x=y"
      },
      "needs": [
        "j1",
        "j2",
        "j3"
      ],
      "priority": -2,
      "session": "main",
      "resetSession": true
    }
    "#);
}

#[test]
fn relative_folders_are_relative_to_us() {
    let request = request(&["-C", "sub", "go"]);
    let expected = std::env::current_dir().unwrap().join("sub");
    assert_eq!(request.working_directory.as_deref(), expected.to_str());
}

#[test]
fn wrong_values() {
    use clap::error::ErrorKind::{InvalidValue, MissingRequiredArgument, ValueValidation};
    assert_eq!(refused(&["--timeout", "30", "go"]), ValueValidation);
    assert_eq!(refused(&["--env", "novalue", "go"]), ValueValidation);
    assert_eq!(refused(&["--sandbox", "none", "go"]), InvalidValue);
    assert_eq!(refused(&["--reset-session", "go"]), MissingRequiredArgument);
    let conflict = clap::error::ErrorKind::ArgumentConflict;
    assert_eq!(refused(&["--file", "f", "go"]), conflict);
    assert_eq!(refused(&["go", "--", "make"]), conflict);
}

#[test]
fn mcp_servers_in_words() {
    assert_eq!(
        request(&["--mcp-servers", "none", "go"]).mcp_servers,
        Some(McpServers::None)
    );
    assert_eq!(
        request(&["--mcp-servers", "inherit", "go"]).mcp_servers,
        Some(McpServers::Inherit)
    );
}
