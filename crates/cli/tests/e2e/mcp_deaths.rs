//! SIGKILL of the MCP server at each step of a call: whatever it was asked was
//! done wholly or not at all, and the next client finds it.

use convoke_test_support::{environment::TestEnvironment, mcp_client::McpClient, wait::wait_for};
use serde_json::{Value, json};

use crate::{
    checks::{all_jobs, only_the_daemon_runs, whole_events},
    world::{scripted_agent, world},
};

fn scripted_world() -> TestEnvironment {
    let mut world = world();
    world.add_scripted_codex(&scripted_agent());
    world
}

/// A prompt for a job that completes when the gate is open.
fn gated(world: &TestEnvironment) -> String {
    let gate = world.root().join("gate");
    json!([{"do": "wait_file", "path": gate}, {"do": "codex", "message": "through"}]).to_string()
}

fn client(world: &TestEnvironment) -> McpClient {
    McpClient::start(world, &[], "test")
}

/// A server that kills itself at a point of a call of this tool is called, and
/// gives no answer.
fn dies_in(world: &mut TestEnvironment, point: &str, tool: &str, arguments: &Value) {
    // The daemon is there already, so that only the server knows the variable.
    world.ok(&["daemon", "start"]);
    world.set("CONVOKE_TEST_MCP_DIES_AT", format!("{point}:{tool}"));
    let mut doomed = client(world);
    world.unset("CONVOKE_TEST_MCP_DIES_AT");
    let answer = doomed.try_call(tool, arguments.clone());
    assert!(answer.is_err(), "it died: {answer:?}");
}

fn one(facts: &Value) -> String {
    facts["jobId"].as_str().expect("an id").to_owned()
}

/// Opens the gate; another client collects the job, and there is no other.
fn collect(world: &TestEnvironment, client: &mut McpClient, job: &str) {
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    let wait = json!({"jobIds": [job], "timeoutMs": 30_000});
    assert_eq!(
        client.call_ok("codex_wait_any", wait)["completedJobId"],
        job
    );
    let result = client.call_ok("codex_result", json!({"jobId": job}));
    assert_eq!(
        (&result["status"], &result["finalMessage"]),
        (&json!("done"), &json!("through"))
    );
    let jobs: Vec<Value> = all_jobs(world)
        .iter()
        .map(|job| job["jobId"].clone())
        .collect();
    assert_eq!(jobs, [job]);
    whole_events(world, job);
    only_the_daemon_runs_but(world, client);
}

/// Nothing runs but the daemon and this client's server.
fn only_the_daemon_runs_but(world: &TestEnvironment, client: &McpClient) {
    let known = [Some(client.pid()), world.daemon_pid()];
    wait_for("nothing else to run", || {
        let mut others = world.processes();
        others.retain(|process| !known.contains(&Some(process.pid)));
        others
            .is_empty()
            .then_some(())
            .ok_or_else(|| format!("{others:#?}"))
    });
}

/// Dies over the spawn of a job, which is then asked for again.
fn spawning(point: &str, accepted: usize) {
    let mut world = scripted_world();
    let arguments = json!({"prompt": gated(&world), "idempotencyKey": "one"});
    dies_in(&mut world, point, "codex_spawn", &arguments);
    assert_eq!(all_jobs(&world).len(), accepted);
    let mut second = client(&world);
    let job = one(&second.call_ok("codex_spawn", arguments));
    collect(&world, &mut second, &job);
}

#[test]
fn before_it_asks_for_a_job() {
    spawning("call_checked", 0);
}

#[test]
fn before_it_tells_of_a_job() {
    spawning("call_done", 1);
}

/// Dies over the spawn of a group.
fn spawning_a_group(point: &str, accepted: usize) {
    let mut world = scripted_world();
    let job = |n: u32| json!({"prompt": gated(&world), "label": format!("job {n}")});
    let arguments = json!({"jobs": [job(1), job(2)], "idempotencyKey": "one"});
    dies_in(&mut world, point, "codex_spawn_group", &arguments);
    assert_eq!(all_jobs(&world).len(), accepted);
    let mut second = client(&world);
    second.call_ok("codex_spawn_group", arguments);
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    let jobs = all_jobs(&world);
    assert_eq!(jobs.len(), 2, "{jobs:#?}");
    for job in &jobs {
        let job = one(job);
        assert_eq!(world.wait_end(&job), "completed");
        whole_events(&world, &job);
    }
    drop(second);
    only_the_daemon_runs(&world);
}

#[test]
fn before_it_asks_for_a_group() {
    spawning_a_group("call_checked", 0);
}

#[test]
fn before_it_tells_of_a_group() {
    spawning_a_group("call_done", 2);
}

/// Dies over a call that changes nothing: the job goes on and is collected.
fn reading(point: &str, tool: &str, more: &Value) {
    let mut world = scripted_world();
    let job = running_job(&world);
    let mut arguments = more.clone();
    if tool == "codex_wait_any" {
        arguments["jobIds"] = json!([job]);
    } else {
        arguments["jobId"] = json!(job);
    }
    dies_in(&mut world, point, tool, &arguments);
    assert_eq!(world.state(&job), "running");
    let mut second = client(&world);
    collect(&world, &mut second, &job);
}

macro_rules! dies_reading {
    ($($name:ident: $tool:literal, $more:tt;)*) => { $(
        mod $name {
            #[test]
            fn before_it_asks() {
                super::reading("call_checked", $tool, &serde_json::json!($more));
            }

            #[test]
            fn before_it_answers() {
                super::reading("call_done", $tool, &serde_json::json!($more));
            }
        }
    )* };
}

dies_reading! {
    over_a_status: "codex_status", {};
    over_events: "codex_events", {};
    over_a_result: "codex_result", {};
    over_a_wait: "codex_wait_any", {"timeoutMs": 1};
}

/// Dies over a cancel: it was asked for or not, and the next client's ends the
/// job in any case.
fn cancelling(point: &str, is_asked: bool) {
    let mut world = scripted_world();
    let job = running_job(&world);
    dies_in(&mut world, point, "codex_cancel", &json!({"jobId": job}));
    if is_asked {
        assert_eq!(world.wait_end(&job), "cancelled");
    } else {
        assert_eq!(world.state(&job), "running");
    }
    let mut second = client(&world);
    second.call_ok("codex_cancel", json!({"jobId": job, "force": true}));
    assert_eq!(world.wait_end(&job), "cancelled");
    whole_events(&world, &job);
    drop(second);
    only_the_daemon_runs(&world);
}

fn running_job(world: &TestEnvironment) -> String {
    let job = one(&client(world).call_ok("codex_spawn", json!({"prompt": gated(world)})));
    world.wait_state(&job, &["running"]);
    job
}

#[test]
fn before_it_asks_for_a_cancel() {
    cancelling("call_checked", false);
}

#[test]
fn before_it_tells_of_a_cancel() {
    cancelling("call_done", true);
}

/// Dies over an interrupt: the job goes on, or is ended and followed by one
/// other (whose prompt is no script any more, so that it may end as it likes).
fn interrupting(point: &str, first: &str, followers: usize) {
    let mut world = scripted_world();
    let job = running_job(&world);
    let next = json!([{"do": "codex", "message": "instead"}]).to_string();
    let arguments = json!({"jobId": job, "newPrompt": next});
    dies_in(&mut world, point, "codex_interrupt", &arguments);
    let mut jobs: Vec<String> = all_jobs(&world).iter().map(one).collect();
    jobs.retain(|other| *other != job);
    jobs.insert(0, job);
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    assert_eq!(world.wait_end(&jobs[0]), first);
    assert_eq!(jobs.len(), 1 + followers, "{jobs:?}");
    for job in &jobs {
        world.wait_end(job);
        whole_events(&world, job);
    }
    only_the_daemon_runs(&world);
}

#[test]
fn before_it_asks_for_an_interrupt() {
    interrupting("call_checked", "completed", 0);
}

#[test]
fn before_it_tells_of_an_interrupt() {
    interrupting("call_done", "cancelled", 1);
}

/// Dies over a call that waits for its job to end: what was asked for is done,
/// and found by the next client.
#[test]
fn before_it_tells_of_a_job_it_waited_for() {
    let mut world = scripted_world();
    fs_err::write(world.root().join("gate"), "").expect("the gate opens");
    let arguments = json!({"prompt": gated(&world)});
    dies_in(&mut world, "call_done", "codex", &arguments);
    let jobs = all_jobs(&world);
    assert_eq!(jobs.len(), 1, "{jobs:#?}");
    let mut second = client(&world);
    collect(&world, &mut second, &one(&jobs[0]));
}

#[test]
fn before_it_asks_for_a_job_to_wait_for() {
    let mut world = scripted_world();
    let arguments = json!({"prompt": gated(&world)});
    dies_in(&mut world, "call_checked", "codex", &arguments);
    assert_eq!(all_jobs(&world), Vec::<Value>::new());
    only_the_daemon_runs(&world);
}
