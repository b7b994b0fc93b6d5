//! Agents that cannot be started, and runners that must not start one.

use std::fs;

use convoke_core::runner_protocol::{ExitCause, ExitRecord, StartFailure, paths};
use serde_json::json;

use crate::kit::{Plan, Run, settings};

fn failure(record: &ExitRecord) -> StartFailure {
    assert!(!record.started);
    assert_eq!((record.exit_code, record.signal), (None, None));
    match &record.cause {
        ExitCause::StartFailed { kind, message } => {
            assert!(!message.is_empty());
            *kind
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_fault_has_its_kind() {
    for setting in settings() {
        let plan = || Plan::new(json!([])).setting(setting);
        let fails = |plan: Plan| failure(&plan.start().finish());
        let missing = plan().with(|spec| spec.argv = vec!["no-such-program".into()]);
        assert_eq!(fails(missing), StartFailure::NotFound);
        let missing = plan().with(|spec| spec.argv = vec!["/no/such/program".into()]);
        assert_eq!(fails(missing), StartFailure::NotFound);
        let forbidden = plan().with(|spec| spec.argv = vec!["/etc/passwd".into()]);
        assert_eq!(fails(forbidden), StartFailure::Permission);
        let cwd = plan().with(|spec| spec.cwd = "/no/such/folder".into());
        assert_eq!(fails(cwd), StartFailure::Cwd);
        let env = plan().with(|spec| spec.env_file = "/no/such/file".into());
        assert_eq!(fails(env), StartFailure::Env);
        let zero = plan().with(|spec| spec.argv.push("a\0b".into()));
        assert_eq!(fails(zero), StartFailure::Other);
    }
}

#[test]
fn programs_are_looked_up_in_the_jobs_path() {
    let mut run = Plan::new(json!([]))
        .with(|spec| spec.argv = ["sh", "-c", "exit 5"].map(String::from).to_vec())
        .start();
    let record = run.finish();
    assert!(record.started);
    assert_eq!(record.exit_code, Some(5));
}

#[test]
fn a_bad_spec_is_said_in_the_exit_record() {
    let plan = Plan::new(json!([])).with(|spec| spec.version = 99);
    let record = plan.start().finish();
    assert_eq!(failure(&record), StartFailure::Other);
}

#[test]
fn a_runner_that_finds_an_end_starts_nothing() {
    for name in [paths::EXIT, paths::IDENTITY] {
        let plan = Plan::new(json!([{"do":"write","path":"ran"}]));
        fs::write(plan.folder.join(name), "{}").unwrap();
        let mut run = plan.start();
        assert!(!run.wait());
        assert!(!run.work("ran").exists());
        assert_eq!(fs::read(run.folder.join(name)).unwrap(), b"{}");
    }
}

fn ends_at_the_next_look(change: impl FnOnce(&Run)) {
    let script = json!([{"do":"out","text":"ready"}, {"do":"stall"}]);
    let mut run = Plan::new(script).start();
    run.wait_line("ready");
    change(&run);
    // At most ten seconds later.
    assert!(!run.wait());
    run.assert_clean();
}

#[test]
fn a_vanished_folder_ends_the_agent() {
    ends_at_the_next_look(|run| {
        fs::rename(&run.folder, run.home.path().join("gone")).unwrap();
    });
}

#[test]
fn a_superseded_runner_ends_its_agent_and_writes_nothing() {
    ends_at_the_next_look(|run| {
        fs::write(run.folder.join(paths::EXIT), "{}").unwrap();
    });
}
