//! Attempts of a real Codex that fail for a reason that passes: the next one
//! goes on in the same conversation, with the same power, after the first is
//! gone for good.

use convoke_scripted_model::{ResponseFailed, Script, Step};
use convoke_test_support::{census, codex::real_codex, wait::wait_for};
use serde_json::Value;

use crate::{checks::whole_events, codex_world::CodexWorld};

/// Short pauses, so that a test need not wait for the usual ones.
fn impatient(codex: &std::path::Path) -> CodexWorld {
    let world = CodexWorld::unregistered(codex, Script::default());
    world.write_config("[retry]\npause = \"100ms\"\n");
    world
}

fn response_failed(code: &str, message: &str) -> Step {
    Step::ResponseFailed(ResponseFailed {
        code: code.to_owned(),
        message: message.to_owned(),
        ..ResponseFailed::default()
    })
}

/// Codes of the attempts, in order; `-` for one that did not fail.
fn codes(status: &Value) -> Vec<&str> {
    let history = status["attemptHistory"].as_array().expect("a history");
    history
        .iter()
        .map(|attempt| attempt["code"].as_str().unwrap_or("-"))
        .collect()
}

/// The command line of an attempt.
fn argv(world: &CodexWorld, job: &str, attempt: u32) -> Vec<String> {
    let spec = world
        .state_home()
        .join(format!("runners/{job}.{attempt}/spec.json"));
    let spec: Value = serde_json::from_slice(&fs_err::read(spec).expect("a spec")).expect("JSON");
    serde_json::from_value(spec["argv"].clone()).expect("words")
}

/// The second attempt continues the conversation of the first.
fn assert_resumed(world: &CodexWorld, job: &str) {
    let status = world.json(&["status", job]);
    let thread = status["thread"].as_str().expect("a conversation");
    let (first, second) = (argv(world, job, 1), argv(world, job, 2));
    let at = second.iter().position(|word| word == "resume");
    let at = at.expect("the conversation is resumed");
    assert_eq!(second[at + 1], thread);
    // Everything before, the sandbox among it, is passed again.
    assert_eq!(first[..first.len() - 1], second[..at]);
    whole_events(world, job);
}

#[test]
fn a_busy_provider_is_asked_again_in_the_same_conversation() {
    let Some(codex) = real_codex() else { return };
    let world = impatient(&codex);
    let steps = [
        Step::shell("echo once >> steps"),
        Step::http_error(503, "server_is_overloaded", "Too busy"),
        Step::say("done after all"),
    ];
    let job = world.spawn_worker(&["-s", "workspace-write"], &steps);
    let result = world.completed(&job);
    assert_eq!(result["finalMessage"], "done after all");
    assert_eq!(codes(&result["job"]), ["overloaded", "-"]);
    assert_eq!(result["job"]["attempts"], 2);
    assert_resumed(&world, &job);
    let steps = fs_err::read_to_string(world.work().join("steps")).expect("a file");
    assert_eq!(steps, "once\n", "nothing is done twice");
    let requests = world.requests_of("Work.");
    let last = requests.last().expect("requests");
    let told = last.messages("user").join("\n");
    assert!(told.contains("You were interrupted (overloaded)"), "{told}");
}

#[test]
fn a_rate_limit_parks_the_job_until_it_is_over() {
    let Some(codex) = real_codex() else { return };
    let world = impatient(&codex);
    let limit = "Rate limit reached for x. Please try again in 1.5s.";
    let steps = [
        response_failed("rate_limit_exceeded", limit),
        Step::say("went on"),
    ];
    let job = world.spawn_worker(&[], &steps);
    let parked = wait_for("the job to be parked", || {
        let status = world.json(&["status", &job]);
        let parked = status["queue"]["reason"] == "rateLimit";
        let over = status["state"] == "completed";
        (parked || over)
            .then_some(status.clone())
            .ok_or_else(|| format!("{status:#}"))
    });
    assert_eq!(parked["state"], "queued", "{parked:#}");
    assert!(parked["queue"]["until"].is_string(), "{parked:#}");
    assert_eq!(
        world.json(&["daemon", "status"])["running"],
        0,
        "it holds no slot"
    );
    let result = world.completed(&job);
    assert_eq!(result["finalMessage"], "went on");
    assert_eq!(codes(&result["job"]), ["rate_limited", "-"]);
    assert_resumed(&world, &job);
}

#[test]
fn a_lost_runner_leaves_an_agent_that_goes_on() {
    let Some(codex) = real_codex() else { return };
    let world = impatient(&codex);
    let steps = [
        Step::shell("echo once >> steps"),
        Step::hang(),
        Step::say("went on"),
    ];
    let job = world.spawn_worker(&[], &steps);
    wait_for("the agent to wait for its second answer", || {
        let asked = world.requests_of("Work.").len();
        (asked == 2)
            .then_some(())
            .ok_or_else(|| format!("{asked} requests"))
    });
    let runner = world
        .state_home()
        .join(format!("runners/{job}.1/runner.json"));
    let runner: Value =
        serde_json::from_slice(&fs_err::read(runner).expect("there")).expect("JSON");
    let pid = i32::try_from(runner["pid"].as_i64().expect("a number")).expect("a process id");
    census::kill(pid);
    let result = world.completed(&job);
    assert_eq!(result["finalMessage"], "went on");
    assert_eq!(codes(&result["job"]), ["lost", "-"]);
    assert_resumed(&world, &job);
}

#[test]
fn what_does_not_pass_is_not_repeated() {
    let Some(codex) = real_codex() else { return };
    let world = impatient(&codex);
    let refused = Step::http_error(401, "invalid_api_key", "Incorrect API key provided");
    let faults = [
        (refused, "auth"),
        (
            response_failed("insufficient_quota", "You exceeded your current quota"),
            "quota",
        ),
        (
            response_failed("context_length_exceeded", "Too long"),
            "context_window",
        ),
    ];
    for (fault, code) in faults {
        let job = world.spawn_worker(&["-s", "read-only"], &[fault]);
        let status = world.failed(&job, code);
        assert_eq!(codes(&status), [code]);
    }
    let busy = Step::http_error(503, "server_is_overloaded", "Too busy");
    let job = world.spawn_worker(&["--max-attempts", "1"], &[busy]);
    assert_eq!(codes(&world.failed(&job, "overloaded")), ["overloaded"]);
}

#[test]
fn attempts_come_to_an_end() {
    let Some(codex) = real_codex() else { return };
    let world = impatient(&codex);
    let busy = || Step::http_error(503, "server_is_overloaded", "Too busy");
    let job = world.spawn_worker(&["--max-attempts", "2"], &[busy(), busy(), busy()]);
    let status = world.failed(&job, "overloaded");
    assert_eq!(codes(&status), ["overloaded", "overloaded"]);
    whole_events(&world, &job);
}

#[test]
fn a_provider_out_of_reach_ends_by_the_idle_limit_and_is_named() {
    let Some(codex) = real_codex() else { return };
    let world = impatient(&codex);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = format!("http://{}/v1", listener.local_addr().expect("an address"));
    drop(listener);
    let address = format!("model_providers.scripted.base_url=\"{address}\"");
    // It says again and again that it reconnects, which is no sign of life.
    let options = [
        "-c",
        &address,
        "--idle-timeout",
        "2s",
        "--max-attempts",
        "1",
    ];
    let job = world.spawn_worker(&options, &[Step::say("never said")]);
    let status = world.failed(&job, "network");
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains("`idle`"), "{message}");
}

#[test]
fn a_job_that_waits_for_its_next_attempt_can_be_cancelled() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    world.write_config("[retry]\npause = \"1h\"\nlongest_pause = \"1h\"\n");
    let busy = Step::http_error(503, "server_is_overloaded", "Too busy");
    let job = world.spawn_worker(&[], &[busy]);
    wait_for("the job to wait", || {
        let status = world.json(&["status", &job]);
        let waits = status["queue"]["reason"] == "backOff";
        waits.then_some(()).ok_or_else(|| format!("{status:#}"))
    });
    world.kill_daemon();
    // The pause outlives the daemon.
    assert_eq!(world.json(&["status", &job])["queue"]["reason"], "backOff");
    world.ok(&["cancel", &job]);
    assert_eq!(world.wait_end(&job), "cancelled");
    whole_events(&world, &job);
}
