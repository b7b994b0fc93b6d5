//! Runners that hold their agent until they are told to start it.

use convoke_core::runner_protocol::{Control, DaemonMessage, ExitCause, Rung, RunnerMessage};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::kit::{Daemon, Plan, Run, Setting, settings, wait_for};

fn holding(setting: Setting) -> Run {
    Plan::new(json!([{"do": "out", "text": "ran"}]))
        .setting(setting)
        .with(|spec| spec.hold = true)
        .start()
}

/// A connection, and whether the runner says that it holds its agent.
fn greeted(run: &Run) -> (Daemon, bool) {
    let mut daemon = run.connect();
    match daemon.answer() {
        Some(RunnerMessage::Hello { held, .. }) => (daemon, held),
        other => panic!("{other:?}"),
    }
}

fn started(run: &Run) -> usize {
    let is_start = |control: &&Control| matches!(control, Control::AgentStarted { .. });
    run.controls().iter().filter(is_start).count()
}

#[test]
fn a_held_agent_starts_once_when_told() {
    for setting in settings() {
        let mut run = holding(setting);
        let (mut daemon, held) = greeted(&run);
        assert!(held);
        wait_for("the container", || {
            let contained = |control: &Control| matches!(control, Control::Contained { .. });
            run.controls().iter().any(contained).then_some(())
        });
        assert_eq!(started(&run), 0);
        daemon.send(&DaemonMessage::Go { id: 1 });
        daemon.send(&DaemonMessage::Go { id: 1 });
        daemon.send(&DaemonMessage::Go { id: 2 });
        let record = run.finish();
        assert_eq!(
            (record.cause, record.exit_code),
            (ExitCause::Exited, Some(0))
        );
        assert_eq!(run.stdout(), ["ran"]);
        assert_eq!(started(&run), 1);
    }
}

#[test]
fn a_held_agent_never_starts_when_stopped() {
    for setting in settings() {
        for force in [false, true] {
            let mut run = holding(setting);
            let record = run.stop(force);
            assert!(matches!(record.cause, ExitCause::Stopped { .. }));
            assert!(!record.started);
            assert_eq!((record.exit_code, record.signal), (None, None));
            assert_eq!(started(&run), 0);
        }
    }
}

#[test]
fn nobody_tells_and_the_runner_ends() {
    let mut run = Plan::new(json!([]))
        .with(|spec| {
            spec.hold = true;
            spec.orphan_ttl_ms = Some(50);
        })
        .start();
    let record = run.finish();
    assert_eq!(record.cause, ExitCause::Orphaned);
    assert!(!record.started);
}

/// What may happen to it is for example the choice of the kernel when memory is
/// short.
#[cfg(target_os = "linux")]
#[test]
fn its_namespace_is_gone_when_it_is_told() {
    for setting in settings() {
        let mut run = holding(setting);
        let (mut daemon, held) = greeted(&run);
        assert!(held);
        let rung = wait_for("the container", || {
            run.controls().iter().find_map(|control| match control {
                Control::Contained { rung, .. } => Some(*rung),
                _ => None,
            })
        });
        if rung == Rung::PidNamespace {
            let runner = run.identity().pid;
            let children = format!("/proc/{runner}/task/{runner}/children");
            let children = std::fs::read_to_string(children).expect("its children");
            for init in children.split_whitespace() {
                let init = init.parse().ok().and_then(Pid::from_raw);
                kill_process(init.expect("a process"), Signal::KILL).expect("killed");
            }
        }
        daemon.send(&DaemonMessage::Go { id: 1 });
        let record = run.finish();
        if rung == Rung::PidNamespace {
            assert!(matches!(record.cause, ExitCause::Lost { .. }), "{record:?}");
            assert!(!record.started);
        }
        assert!(started(&run) <= 1);
    }
}
