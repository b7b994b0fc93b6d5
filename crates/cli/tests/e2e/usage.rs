//! Wrong command lines, and output that needs no daemon.

use crate::world::world;

#[test]
fn wrong_command_lines_end_with_2() {
    let world = world();
    for arguments in [
        &["frobnicate"][..],
        &["run", "--timeout", "30", "go"],
        &["spawn", ""],
        &["wait"],
    ] {
        let ran = world.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:#?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(
            ran.stderr.starts_with("error: "),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn programs_get_errors_as_json() {
    let world = world();
    let ran = world.run(&["--format", "json", "spawn", "--sandbox", "lots", "go"]);
    assert_eq!(ran.code, Some(2));
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("JSON");
    assert_eq!(error["code"], "invalid_argument");
    assert_eq!(error["retryable"], false);
}

#[test]
fn help_and_completions_go_to_stdout() {
    let world = world();
    assert!(world.ok(&["--help"]).contains("Exit codes:"));
    assert!(world.ok(&["completions", "bash"]).contains("_convoke()"));
    assert!(world.ok(&["daemon", "unit"]).contains("KillMode=process"));
    assert!(!world.state_home().exists(), "nothing was made");
}
