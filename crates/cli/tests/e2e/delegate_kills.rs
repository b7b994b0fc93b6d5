//! SIGKILL between every two steps of a run: it is carried out once, answered, and its
//! folder is whole.

use convoke_test_support::{census, wait::wait_for};
use serde_json::{Value, json};

use crate::{
    checks::{all_jobs, only_the_daemon_runs, runner_pid},
    delegate_world::{DelegateWorld, check_whole, message},
};

/// Asks until there is an answer: by the same call, as a client does, or by the run's
/// name once it is known.
fn answer(world: &DelegateWorld) -> Value {
    let mut client = world.client(&[]);
    let mut run: Option<String> = None;
    wait_for("the run to be answered", || {
        let called = match &run {
            None => client.try_call("delegate_run", world.arguments("do it"))?,
            Some(run) => {
                client.try_call("delegate_status", json!({"run_id": run, "wait_ms": 20_000}))?
            }
        };
        let facts = &called["structuredContent"];
        if let Some(known) = facts["run_id"].as_str() {
            run = Some(known.to_owned());
        }
        match facts["timing"].is_object() {
            true => Ok(facts.clone()),
            false => Err(called.to_string()),
        }
    })
}

fn daemon_dies_at(point: &str) {
    let world = DelegateWorld::new(&[DelegateWorld::says(&message("survived"))]);
    let started = world.run_with(
        &[("CONVOKE_TEST_DAEMON_DIES_AT", point)],
        &["daemon", "start"],
    );
    assert!(started.success(), "{started}");
    let daemon = world.daemon_pid().expect("a daemon serves");
    let answer = answer(&world);
    wait_for(&format!("the daemon to die at {point}"), || {
        census::gone(daemon)
    });
    assert_eq!(
        (&answer["status"], &answer["summary"]),
        (&json!("completed"), &json!("survived"))
    );
    // An answer can come before the folder is whole; the next daemon completes it.
    world.ok(&["daemon", "start"]);
    wait_for("the folder to be whole", || {
        let names =
            crate::delegate_world::names(answer["run_dir"].as_str().expect("a folder").as_ref());
        match names == crate::delegate_world::ARTIFACTS {
            true => Ok(()),
            false => Err(format!("{names:?}")),
        }
    });
    let run = &answer["run_id"];
    let later = world
        .client(&[])
        .call_ok("delegate_status", json!({"run_id": run}));
    check_whole(&later);
    assert_eq!(all_jobs(&world).len(), 1, "exactly one job");
    assert_eq!(world.run_folders().len(), 1, "exactly one folder");
    assert_eq!(world.turns().len(), 1, "the agent ran once");
    only_the_daemon_runs(&world);
}

macro_rules! daemon_dies {
    ($($name:ident: $point:literal;)*) => {
        mod the_daemon_dies { $(
            #[test]
            fn $name() {
                super::daemon_dies_at($point);
            }
        )* }
    };
}

daemon_dies! {
    before_the_acceptance: "before_accept_commit";
    after_the_acceptance: "after_accept_commit";
    with_the_run_accepted: "run_accepted";
    with_the_folder_begun: "run_folder_begun";
    with_the_runner_folder_made: "runner_folder_created";
    with_the_spec_written: "spec_written";
    with_the_runner_started: "runner_spawned";
    with_the_agent_let_go: "go_sent";
    before_the_verdict: "before_verdict";
    with_the_end_committed: "committed:job.ended";
    with_half_of_the_folder: "run_folder_half";
    with_the_result_written: "run_result_written";
    before_the_secrets_go: "before_scrub";
    with_the_secrets_gone: "secrets_removed";
}

/// The client of the MCP server is gone, and the server with it: the run goes on, and the
/// same call from a new server of the same owner gets its answer.
#[test]
fn the_mcp_server_dies() {
    let world = DelegateWorld::new(&[DelegateWorld::gated(&message("survived"))]);
    let mut client = world.client(&[]);
    let params = json!({"name": "delegate_run", "arguments": world.arguments("do it")});
    client.send_request("tools/call", params);
    wait_for("the run to be at work", || match world.turns().len() {
        1 => Ok(()),
        turns => Err(format!("{turns} turns")),
    });
    census::kill(client.pid());
    drop(client);
    world.open_gate();
    let answer = answer(&world);
    assert_eq!(answer["summary"], "survived", "{answer:#}");
    assert_eq!(world.turns().len(), 1);
    check_whole(&answer);
}

/// The runner is gone, and the agent with it: the run goes on in its conversation.
#[test]
fn the_runner_dies() {
    let thread = "00000000-0000-7000-8000-000000000001";
    let world = DelegateWorld::new(&[
        json!([
            {"do": "json", "value": {"type": "thread.started", "thread_id": thread}},
            {"do": "stall"},
        ]),
        DelegateWorld::says(&message("survived")),
    ]);
    world.write_config("[retry]\npause = \"100ms\"\n");
    let mut client = world.client(&[]);
    let params = json!({"name": "delegate_run", "arguments": world.arguments("do it")});
    let id = client.send_request("tools/call", params);
    let job = wait_for("the conversation to be known", || {
        let listed = all_jobs(&world);
        let job = listed.first().ok_or("no job")?;
        match job["thread"].as_str() {
            Some(_) => Ok(job["jobId"].as_str().expect("an id").to_owned()),
            None => Err(job.to_string()),
        }
    });
    census::kill(runner_pid(&world, &job));
    let answer = client.answer(id)["structuredContent"].clone();
    assert_eq!(answer["summary"], "survived", "{answer:#}");
    assert!(world.turns()[1].contains(&format!(" resume {thread}")));
    let folder = check_whole(&answer);
    let turns = crate::delegate_world::read(&folder, "codex_exec.json")["turns"].clone();
    assert_eq!(turns[0]["failed_with"], "lost", "{turns:#}");
}

#[test]
fn the_daemon_dies_between_the_two_turns() {
    let world = DelegateWorld::new(&[
        DelegateWorld::says("not yet"),
        DelegateWorld::says(&message("repaired")),
    ]);
    let point = [("CONVOKE_TEST_DAEMON_DIES_AT", "committed:job.requeued")];
    assert!(world.run_with(&point, &["daemon", "start"]).success());
    let daemon = world.daemon_pid().expect("a daemon serves");
    let answer = answer(&world);
    wait_for("the daemon to die", || census::gone(daemon));
    assert_eq!(
        (&answer["status"], &answer["summary"]),
        (&json!("completed"), &json!("repaired"))
    );
    assert_eq!(world.turns().len(), 2);
    check_whole(&answer);
}
