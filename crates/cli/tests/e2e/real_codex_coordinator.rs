//! A real Codex that coordinates real workers, and what becomes of the workers
//! when the coordinator, its MCP server or the daemon is gone.

use std::process::Child;

use convoke_scripted_model::Step;
use convoke_test_support::{
    census,
    codex::real_codex,
    environment::Ran,
    wait::{wait_for, wait_for_file},
};
use serde_json::{Value, json};

use crate::codex_world::{CodexWorld, Coordinated, shell_until, spawn, spawn_with, tool, wait_any};

/// A worker that tells when it begins and goes on when the gate is open.
fn gated() -> Vec<Step> {
    vec![
        Step::shell("echo before; touch begun"),
        shell_until("[ -e gate ]"),
        Step::say("went through the gate"),
    ]
}

fn open_gate(world: &CodexWorld) {
    fs_err::write(world.work().join("gate"), "").expect("the gate opens");
}

#[test]
fn three_workers_at_once_one_of_them_cancelled() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    // Each of the three goes on only when all three run.
    let meets = |own: &str| {
        shell_until(&format!(
            "touch {own}; [ -e meets1 ] && [ -e meets2 ] && [ -e meets3 ]"
        ))
    };
    let steps = [
        spawn("one", &[meets("meets1"), Step::say("one met the others")]),
        spawn("two", &[meets("meets2"), Step::say("two met the others")]),
        spawn(
            "three",
            &[
                meets("meets3"),
                Step::Note("still at it".into()),
                Step::shell("sleep 600"),
            ],
        ),
        wait_any("first", &["${one.jobId}", "${three.jobId}"]),
        tool("codex_result", json!({"jobId": "${first.completedJobId}"})),
        wait_any("second", &["${two.jobId}", "${three.jobId}"]),
        tool("codex_result", json!({"jobId": "${second.completedJobId}"})),
        tool("codex_cancel", json!({"jobId": "${three.jobId}"})),
        wait_any("third", &["${three.jobId}"]),
        tool("codex_status", json!({"jobId": "${three.jobId}"})),
        Step::say("all over"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    for spawned in done.calls_of("codex_spawn") {
        assert_eq!(spawned.facts["status"], "running", "{spawned:#?}");
        assert!(spawned.facts.get("queue").is_none(), "{spawned:#?}");
    }
    let texts: Vec<&str> = done
        .calls_of("codex_result")
        .iter()
        .map(|call| call.text.as_str())
        .collect();
    assert_eq!(texts, ["one met the others", "two met the others"]);
    assert_eq!(done.answer("codex_cancel")["success"], true);
    assert_eq!(done.answer("codex_status")["status"], "canceled");
    world.wait_no_process("sleep 600");
}

/// A session that has started the gated worker and waits for the model.
fn session_at_work(world: &CodexWorld) -> Child {
    let steps = [
        spawn("gated", &gated()),
        Step::hang(),
        Step::say("never said"),
    ];
    let session = world.start_coordinator(&["-s", "workspace-write"], &steps);
    wait_for_file(&world.work().join("begun"));
    session
}

/// A new session finds the job of another one and collects its result.
fn collect(world: &CodexWorld) -> Coordinated {
    let steps = [
        tool("codex_jobs", json!({"mine": true})),
        tool("codex_jobs", json!({"mine": false})).named("all"),
        wait_any("waited", &["${all.jobs.0.jobId}"]),
        tool("codex_result", json!({"jobId": "${waited.completedJobId}"})),
        Step::say("collected"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    let lists = done.calls_of("codex_jobs");
    assert_eq!(lists[0].facts["jobs"], json!([]), "another session's");
    assert_eq!(lists[1].facts["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(done.ok("codex_result").text, "went through the gate");
    done
}

#[test]
fn jobs_survive_the_killed_session() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let session = session_at_work(&world);
    kill_group(&session);
    let ran = Ran::ended(session, "the killed codex");
    assert_eq!(ran.code, None, "{ran}");
    world.wait_no_process("convoke mcp");
    assert_eq!(world.json(&["ps"])["jobs"][0]["state"], "running");
    open_gate(&world);
    collect(&world);
}

#[test]
fn jobs_survive_the_end_of_the_session() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let steps = [spawn("gated", &gated()), Step::say("I leave")];
    world.coordinate("workspace-write", &steps).well();
    world.wait_no_process("convoke mcp");
    wait_for_file(&world.work().join("begun"));
    open_gate(&world);
    collect(&world);
}

#[test]
fn jobs_survive_the_killed_mcp_server() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let session = session_at_work(&world);
    let server = wait_for("the MCP server", || {
        let mut all = world.processes().into_iter();
        all.find(|process| process.command.ends_with("convoke mcp"))
            .ok_or_else(|| "none".to_owned())
    });
    census::kill(server.pid);
    wait_for("its end", || census::gone(server.pid));
    open_gate(&world);
    let job = world.json(&["ps", "--all"])["jobs"][0]["jobId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let result = world.completed(&job);
    assert_eq!(result["finalMessage"], "went through the gate");
    check_events(&world, &job);
    kill_group(&session);
    let _ = Ran::ended(session, "the killed codex");
}

#[test]
fn jobs_survive_the_killed_daemon() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    // The session lives on and finds the daemon that comes after.
    let steps = [
        spawn("gated", &gated()),
        shell_until("[ -e gate ]"),
        wait_any("waited", &["${gated.jobId}"]),
        tool("codex_result", json!({"jobId": "${gated.jobId}"})),
        tool(
            "codex_events",
            json!({"jobId": "${gated.jobId}", "maxEvents": 2000}),
        ),
        Step::say("collected"),
    ];
    let session = world.start_coordinator(&["-s", "workspace-write"], &steps);
    wait_for_file(&world.work().join("begun"));
    world.kill_daemon();
    open_gate(&world);
    let done = Coordinated::of(&Ran::ended(session, "codex exec")).well();
    assert_eq!(done.ok("codex_result").text, "went through the gate");
    let job = done.answer("codex_spawn")["jobId"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(done.answer("codex_events")["done"], true);
    check_events(&world, &job);
    assert_eq!(
        world.json(&["ps", "--all"])["jobs"][0]["jobId"],
        job.as_str()
    );
}

/// The events are complete: none twice, none missing, the end last.
fn check_events(world: &CodexWorld, job: &str) {
    let events = world.events(job);
    let seqs: Vec<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!(count("tool_call"), 2, "{events:#?}");
    assert_eq!(count("tool_result"), 2, "{events:#?}");
    assert_eq!(count("message"), 1, "{events:#?}");
    assert_eq!(count("final"), 1, "{events:#?}");
    assert_eq!(
        events.last().map(|event| &event["type"]),
        Some(&Value::from("final"))
    );
}

/// Kills launcher and program at once.
fn kill_group(session: &Child) {
    let pid = rustix::process::Pid::from_child(session);
    rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).expect("killed");
}

#[test]
fn a_chain_hands_results_down() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let steps = [
        spawn("base", &[Step::say("the answer is 42")]),
        spawn_with(
            "next",
            &[Step::say("built on it")],
            json!({"needs": ["${base.jobId}"]}),
        ),
        wait_any("waited", &["${next.jobId}"]),
        tool("codex_result", json!({"jobId": "${next.jobId}"})),
        Step::say("done"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    assert_eq!(done.ok("codex_result").text, "built on it");
    let request = &world.requests_of("<needed_results>")[0];
    let users = request.messages("user").join("\n");
    assert!(
        users.contains("the answer is 42") && users.contains("label=\"base\""),
        "{users}"
    );
}
