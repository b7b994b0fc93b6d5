//! A runner that dies at each named point leaves a folder recovery can read, and,
//! in a namespace, no process.

use convoke_core::runner_protocol::{ContainmentPolicy, paths};
use convoke_runner::sweep;
use serde_json::json;

use crate::kit::{PATIENCE, Plan, settings};

#[test]
fn at_every_point() {
    // Point, whether runner.json is there, whether exit.json is.
    let points = [
        ("runner_locked", false, false),
        ("runner_identified", true, false),
        ("runner_contained", true, false),
        ("agent_started", true, false),
        ("agent_exited", true, false),
        ("before_exit_record", true, false),
        ("after_exit_record", true, true),
    ];
    for setting in settings() {
        for (point, identity, exit) in points {
            let script = json!([{"do":"fork","mode":"double_fork","steps":[{"do":"stall"}]}]);
            let mut run = Plan::new(script).setting(setting).hook(point).start();
            assert!(!run.wait(), "{point}");
            let has = |name: &str| run.folder.join(name).exists();
            assert_eq!(has(paths::IDENTITY), identity, "{point}");
            assert_eq!(has(paths::EXIT), exit, "{point}");
            if setting.policy == ContainmentPolicy::NoNamespaces {
                let left = sweep::kill_and_wait(&run.marked(), PATIENCE);
                assert_eq!(left, [], "{point}");
            }
            run.wait_clean();
            run.records();
        }
    }
}

#[test]
fn a_runner_and_its_ancestry_are_recognised() {
    let mut run = Plan::new(json!([{"do":"out","text":"ready"},{"do":"stall"}])).start();
    run.wait_line("ready");
    let identity = run.identity();
    assert_eq!(
        sweep::runner_folder_of(identity.pid).as_deref(),
        Some(&*run.folder)
    );
    assert_eq!(
        sweep::process_start_time(identity.pid),
        Some(identity.start_time)
    );
    assert_eq!(sweep::boot_id(), identity.boot_id);
    let agent = &run.marked()[0];
    assert!(sweep::ancestors(agent.pid).contains(&identity.pid));
    assert!(sweep::runner_folder_of(agent.pid).is_none());
    run.stop(true);
}
