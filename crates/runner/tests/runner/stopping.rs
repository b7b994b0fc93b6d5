//! The stop ladder.

use convoke_core::runner_protocol::{Control, DaemonMessage, ExitCause, RunnerMessage, SignalName};
use serde_json::json;

use crate::kit::{Plan, settings, wait_for};

fn stubborn_tree() -> serde_json::Value {
    let stubborn = json!([{"do":"ignore","signals":["TERM","INT"]}, {"do":"stall"}]);
    json!([
        {"do":"fork","mode":"setsid","steps":stubborn},
        {"do":"fork","mode":"double_fork","hold_stdout":true,"steps":stubborn},
        {"do":"ignore","signals":["TERM","INT"]},
        {"do":"out","text":"ready"},
        {"do":"stall"},
    ])
}

#[test]
fn a_cooperative_agent_ends_on_the_first_rung() {
    for setting in settings() {
        let script = json!([{"do":"out","text":"ready"}, {"do":"stall"}]);
        let mut run = Plan::new(script)
            .setting(setting)
            .with(|spec| spec.grace_ms = 3_600_000)
            .start();
        run.wait_line("ready");
        let record = run.stop(false);
        assert_eq!(record.signal, Some(2));
        let expected = ExitCause::Stopped {
            force: false,
            reason: "test".to_owned(),
        };
        assert_eq!(record.cause, expected);
        assert_eq!(record.last_command, 1);
    }
}

#[test]
fn a_stubborn_tree_is_killed_at_the_end_of_the_ladder() {
    for setting in settings() {
        let mut run = Plan::new(stubborn_tree())
            .setting(setting)
            .with(|spec| spec.grace_ms = 200)
            .start();
        run.wait_line("ready");
        let record = run.stop(false);
        assert_eq!(record.signal, Some(9));
        let rungs: Vec<String> = run
            .controls()
            .into_iter()
            .filter_map(|control| match control {
                Control::Ladder { signal, .. } => Some(signal),
                _ => None,
            })
            .collect();
        assert_eq!(rungs, ["SIGINT", "SIGTERM", "SIGKILL"]);
    }
}

#[test]
fn force_kills_at_once_and_escalates() {
    for setting in settings() {
        let mut run = Plan::new(stubborn_tree())
            .setting(setting)
            .with(|spec| spec.grace_ms = 3_600_000)
            .start();
        run.wait_line("ready");
        let mut daemon = run.connect();
        for (id, force) in [(1, false), (2, true)] {
            daemon.send(&DaemonMessage::Stop {
                id,
                force,
                reason: format!("stop {id}"),
                grace_ms: None,
            });
        }
        let record = run.finish();
        let expected = ExitCause::Stopped {
            force: true,
            reason: "stop 1".to_owned(),
        };
        assert_eq!(record.cause, expected);
        assert_eq!(record.signal, Some(9));
    }
}

#[test]
fn stopped_processes_are_ended_too() {
    for setting in settings() {
        let script = json!([
            {"do":"fork","mode":"setsid","steps":[{"do":"kill_self","signal":"STOP"}]},
            {"do":"out","text":"ready"},
            {"do":"kill_self","signal":"STOP"},
        ]);
        let mut run = Plan::new(script)
            .setting(setting)
            .with(|spec| spec.grace_ms = 200)
            .start();
        run.wait_line("ready");
        let record = run.stop(false);
        // Continued, it takes the signals that waited.
        assert!(matches!(record.signal, Some(2 | 15)), "{record:?}");
    }
}

#[test]
fn a_stop_command_freezes_and_continue_thaws() {
    for setting in settings() {
        let script = json!([{"do":"out","text":"ready"}, {"do":"wait_file","path":"gate"},
            {"do":"out","text":"thawed"}]);
        let mut run = Plan::new(script)
            .setting(setting)
            .with(|spec| spec.limits.idle_ms = Some(3_600_000))
            .start();
        run.wait_line("ready");
        let mut daemon = run.connect();
        let Some(RunnerMessage::Hello {
            agent_pid: Some(pid),
            ..
        }) = daemon.next()
        else {
            panic!("no agent")
        };
        let state = move || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().chars().next().unwrap()
        };
        let signal = |id, signal| DaemonMessage::Signal { id, signal };
        daemon.send(&signal(1, SignalName::Stop));
        assert_eq!(daemon.answer(), Some(RunnerMessage::Done { id: 1 }));
        wait_for("the agent to freeze", || (state() == 'T').then_some(()));
        run.open_gate("gate");
        daemon.send(&signal(2, SignalName::Continue));
        let record = run.finish();
        assert_eq!(record.exit_code, Some(0));
        assert_eq!(run.stdout(), ["ready", "thawed"]);
    }
}

#[test]
fn sigterm_to_the_runner_ends_all_and_counts_as_lost() {
    let mut run = Plan::new(stubborn_tree())
        .with(|spec| spec.grace_ms = 100)
        .start();
    run.wait_line("ready");
    let pid = rustix::process::Pid::from_raw(run.identity().pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(matches!(run.finish().cause, ExitCause::Lost { .. }));
}
