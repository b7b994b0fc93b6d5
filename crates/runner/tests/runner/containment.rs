//! What each rung holds together, and what it must not change for the agent.

use convoke_core::runner_protocol::{ContainmentPolicy, Rung};
use convoke_runner::sweep;
use serde_json::json;

use crate::kit::{PATIENCE, Plan, settings, wait_for};

fn tree() -> serde_json::Value {
    let stubborn = json!([{"do":"ignore","signals":["TERM","INT","HUP"]}, {"do":"stall"}]);
    json!([
        {"do":"fork","mode":"group","steps":stubborn},
        {"do":"fork","mode":"setsid","steps":stubborn},
        {"do":"fork","mode":"double_fork","steps":stubborn},
        {"do":"fork","mode":"double_fork","hold_stdout":true,"steps":stubborn},
    ])
}

#[test]
fn background_processes_end_with_the_agent() {
    for setting in settings() {
        let mut script = tree().as_array().unwrap().clone();
        script.push(json!({"do":"out","text":"bye"}));
        script.push(json!({"do":"exit","code":7}));
        let mut run = Plan::new(script.into()).setting(setting).start();
        let record = run.finish();
        assert_eq!(record.exit_code, Some(7), "{setting:?}");
        assert_eq!(run.stdout(), ["bye"]);
        assert_eq!(record.output_bytes, 4);
    }
}

#[test]
fn the_rung_is_the_best_one_allowed_and_says_why_not_better() {
    for setting in settings() {
        let mut run = Plan::new(json!([])).setting(setting).start();
        let containment = run.finish().containment;
        match (setting.policy, containment.rung) {
            (ContainmentPolicy::Best, Rung::PidNamespace) => {
                assert_eq!(containment.detail, "");
            }
            (ContainmentPolicy::Best, rung) => {
                eprintln!("no namespace here: {rung:?} {}", containment.detail);
                assert!(!containment.detail.is_empty());
            }
            (ContainmentPolicy::NoNamespaces, rung) => assert_ne!(rung, Rung::PidNamespace),
        }
    }
}

#[test]
fn a_killed_runner_takes_its_namespace_along() {
    for setting in settings() {
        let mut script = tree().as_array().unwrap().clone();
        script.push(json!({"do":"out","text":"ready"}));
        script.push(json!({"do":"stall"}));
        let mut run = Plan::new(script.into()).setting(setting).start();
        run.wait_line("ready");
        let rung = match run.connect().next() {
            Some(convoke_core::runner_protocol::RunnerMessage::Hello {
                containment,
                agent_pid: Some(_),
                ..
            }) => containment.rung,
            other => panic!("{other:?}"),
        };
        wait_for("the whole tree", || (run.marked().len() == 5).then_some(()));
        run.child.kill().unwrap();
        assert!(!run.wait());
        match rung {
            Rung::PidNamespace => run.wait_clean(),
            // The agent dies with the runner; recovery finds the rest.
            _ => wait_for("the agent to go", || {
                (run.marked().len() == 4).then_some(())
            }),
        }
        assert!(run.exit().is_none());
    }
}

#[test]
fn the_agent_gets_its_own_environment_and_no_new_power() {
    for setting in settings() {
        let script = json!([{"do":"print_env"}, {"do":"print_ids"},
            {"do":"run","argv":["ls","-l","/proc/self/fd"]}]);
        let mut run = Plan::new(script).setting(setting).start();
        let record = run.finish();
        let id = format!("CONVOKE_RUNNER_ID={}", run.spec.runner_id);
        let lines = run.stdout();
        assert_eq!(
            lines[..4],
            ["CONVOKE_JOB_ID=job", &id, "OWN=yes", "PATH=/usr/bin:/bin"]
        );
        let ids = &lines[4];
        let user = setting
            .user
            .unwrap_or_else(|| rustix::process::getuid().as_raw());
        assert!(ids.contains(&format!(" uid {user} ")), "{ids}");
        if user != 0 {
            assert!(ids.ends_with("caps 0000000000000000"), "{ids}");
        }
        if record.containment.rung == Rung::PidNamespace {
            assert!(ids.starts_with("pid 2 ppid 1 "), "{ids}");
        }
        let open = lines.iter().filter(|line| line.contains(" -> ")).count();
        assert_eq!(
            open, 4,
            "only stdin, stdout, stderr and ls's own: {lines:?}"
        );
    }
}

#[test]
fn a_daemon_started_below_an_agent_is_left_alone() {
    // Holds the lock of a daemon and carries no mark, as a daemon does.
    let daemon = "exec 9>daemon.lock; flock 9; echo $$ >pid.tmp; mv pid.tmp pid; exec sleep 600";
    let script = json!([
        {"do":"fork","mode":"double_fork","clear_env":true,
            "steps":[{"do":"run","argv":["/bin/sh","-c",daemon]}]},
        {"do":"wait_file","path":"pid"},
    ]);
    let mut run = Plan::new(script)
        .with(|spec| spec.containment = ContainmentPolicy::NoNamespaces)
        .start();
    run.finish();
    let pid = std::fs::read_to_string(run.work("pid")).unwrap();
    let pid = pid.trim().parse().unwrap();
    let start_time = sweep::process_start_time(pid).expect("it lives on");
    let daemon = sweep::ProcessRef {
        pid,
        start_time,
        command: String::new(),
    };
    assert!(sweep::is_alive(&daemon));
    assert_eq!(sweep::kill_and_wait(&[daemon], PATIENCE), []);
}
