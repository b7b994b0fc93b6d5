//! Every tool called by a headless Codex with its default configuration: none
//! needs an approval, and each answer makes sense against a real daemon.

use std::collections::BTreeSet;

use convoke_scripted_model::{Script, Step};
use convoke_test_support::{codex::real_codex, mcp_client::McpClient};
use serde_json::{Value, json};

use crate::codex_world::{CodexWorld, Coordinated, prompt, shell_until, spawn, tool, wait_any};

const ONE_JOB: [&str; 11] = [
    "ping",
    "help",
    "codex_spawn",
    "codex_status",
    "codex_wait_any",
    "codex_result",
    "codex_events",
    "codex_jobs",
    "codex_changes",
    "codex_conflicts",
    "codex_rollback",
];
const GROUP: [&str; 3] = ["codex_spawn_group", "codex_cancel", "codex_interrupt"];
const SYNCHRONOUS: [&str; 2] = ["codex", "listSessions"];
const REVIEW: [&str; 1] = ["review"];
const RECONCILE: [&str; 1] = ["codex_reconcile"];
/// Called by the tests of working trees.
const APPLY: [&str; 2] = ["codex_apply", "codex_discard"];

/// Checks that these tools were called and none of their calls was refused.
fn check_called(done: &Coordinated, tools: &[&str]) {
    for tool in tools {
        for call in done.calls_of(tool) {
            assert_eq!(call.status, "completed", "{call:#?}");
            assert_eq!(call.error, Value::Null, "{call:#?}");
        }
        done.ok(tool);
    }
}

#[test]
fn the_tests_here_call_all_tools_there_are() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let mut client = McpClient::start(&world, &[], "test");
    let listed = client.request("tools/list", json!({}));
    let listed: BTreeSet<String> = listed["tools"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name").to_owned())
        .collect();
    let called: BTreeSet<String> = [
        &ONE_JOB[..],
        &GROUP,
        &SYNCHRONOUS,
        &REVIEW,
        &RECONCILE,
        &APPLY,
    ]
    .concat()
    .iter()
    .map(|name| (*name).to_owned())
    .collect();
    assert_eq!(listed, called);
    assert_eq!(called.len(), 20);
}

#[test]
fn what_two_did_is_brought_together() {
    let Some(codex) = real_codex() else { return };
    let bring = [
        Step::shell("printf 'one and two\\n' > shared.txt"),
        Step::say("both kept\n\nmodifiedFiles:\n- shared.txt"),
    ];
    // The new job's prompt is made of other things than a script.
    let worker = |text: &str| {
        let write = format!("echo {text} > shared.txt");
        let said = "done\n\nmodifiedFiles:\n- shared.txt";
        vec![Step::shell(write), Step::say(said)]
    };
    let script = Script::default()
        .with("Bring together what they did", bring.to_vec())
        .with("Write one.", worker("one"))
        .with("Write two.", worker("two"));
    let world = CodexWorld::with_script(&codex, script);
    let spawn = |name: &str| {
        let arguments = json!({"prompt": format!("Write {name}."), "label": name});
        tool("codex_spawn", arguments).named(name)
    };
    let steps = [
        spawn("one"),
        wait_any("first", &["${one.jobId}"]),
        spawn("two"),
        wait_any("second", &["${two.jobId}"]),
        tool("codex_reconcile", json!({"jobIds": ["one", "two"]})).named("both"),
        wait_any("third", &["${both.jobId}"]),
        Step::say("brought together"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    check_called(&done, &RECONCILE);
    let started = done.answer("codex_reconcile");
    assert_eq!(started["files"], json!(["shared.txt"]), "{started:#}");
    let job = started["jobId"].as_str().expect("an id");
    world.completed(job);
    let text = fs_err::read_to_string(world.work().join("shared.txt")).expect("read");
    assert_eq!(text, "one and two\n");
}

#[test]
fn one_job_from_spawn_to_result() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let worker = [
        Step::shell("echo from-worker; echo made > made.txt"),
        Step::say("All done.\n\nmodifiedFiles:\n- made.txt"),
    ];
    let page = |cursor: &str, size: u32| {
        let arguments = json!({"jobId": "${one.jobId}", "cursor": cursor, "maxEvents": size});
        tool("codex_events", arguments).named("page")
    };
    let result = |view: Value| {
        tool(
            "codex_result",
            json!({"jobId": "${one.jobId}", "view": view}),
        )
    };
    let steps = [
        tool("ping", json!({"message": "hello"})),
        tool("help", json!({})),
        spawn("one", &worker),
        page("0", 1),
        wait_any("waited", &["${one.jobId}"]),
        page("${page.nextCursor}", 2).until_equals("done", true, 40),
        tool("codex_status", json!({"jobId": "${one.jobId}"})),
        result(json!("finalMessage")),
        result(json!("full")),
        tool("codex_jobs", json!({"mine": true})),
        tool("codex_changes", json!({"jobId": "${one.jobId}"})),
        tool("codex_conflicts", json!({})),
        tool("codex_rollback", json!({"jobId": "${one.jobId}"})),
        Step::say("finished ${waited.completedJobId}"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    check_called(&done, &ONE_JOB);
    assert_eq!(done.answer("ping")["message"], "hello");
    assert!(done.ok("help").text.contains("codex_wait_any"));
    assert_eq!(
        done.answer("codex_changes")["changes"][0]["path"],
        "made.txt"
    );
    assert_eq!(
        done.answer("codex_rollback")["restored"],
        json!(["made.txt"])
    );
    check_facts(&done);
    check_pages(&world, &done);
}

fn check_facts(done: &Coordinated) {
    let spawned = done.answer("codex_spawn");
    let job = spawned["jobId"].as_str().expect("an id");
    assert_eq!(spawned["status"], "running");
    assert_eq!(spawned["sandbox"], "workspace-write");
    assert_eq!(done.said.as_deref(), Some(&*format!("finished {job}")));
    let status = done.answer("codex_status");
    assert_eq!(
        (&status["status"], &status["exitCode"]),
        (&json!("done"), &json!(0))
    );
    assert!(status["finishedAt"].is_string());
    let results = done.calls_of("codex_result");
    let [default, full] = results.as_slice() else {
        panic!("{results:#?}")
    };
    assert_eq!(default.text, "All done.\n\nmodifiedFiles:\n- made.txt");
    assert_eq!(default.facts["finalMessage"], default.text.as_str());
    let files = json!({"claimed": ["made.txt"], "observed": ["made.txt"]});
    assert_eq!(default.facts["modifiedFiles"], files);
    assert!(default.facts.get("stdoutTail").is_none());
    assert!(
        full.facts["stdoutTail"]
            .as_str()
            .is_some_and(|tail| tail.contains("turn.completed"))
    );
    let integrity = &full.facts["integrity"];
    assert!(integrity["headBefore"].is_string());
    assert_eq!(integrity["headBefore"], integrity["headAfter"]);
    let jobs = done.answer("codex_jobs")["jobs"]
        .as_array()
        .expect("a list");
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0]["jobId"], job);
    assert_eq!(jobs[0]["agent"], "codex");
}

/// The pages together are all events once; only the last says it is the end.
fn check_pages(world: &CodexWorld, done: &Coordinated) {
    let pages = done.calls_of("codex_events");
    assert_eq!(pages[0].facts["events"].as_array().map(Vec::len), Some(1));
    let last = pages.len() - 1;
    assert!(last >= 2);
    for (number, page) in pages.iter().enumerate() {
        assert_eq!(page.facts["done"], number == last, "{page:#?}");
    }
    let all: Vec<&Value> = pages
        .iter()
        .flat_map(|page| page.facts["events"].as_array().expect("a list"))
        .collect();
    let job = done.answer("codex_spawn")["jobId"].as_str().expect("an id");
    assert_eq!(all.len(), world.events(job).len());
    assert_eq!(all[0]["content"]["kind"], "queued");
    let kinds: Vec<&str> = all
        .iter()
        .map(|event| event["type"].as_str().expect("a type"))
        .collect();
    assert!(kinds.contains(&"tool_call") && kinds.contains(&"tool_result"));
    let end = all.last().expect("an event");
    assert_eq!(end["type"], "final");
    assert_eq!(end["content"]["status"], "done");
    assert_eq!(end["content"]["exitCode"], 0);
    assert!(
        end["content"]["lastMessage"]
            .as_str()
            .is_some_and(|text| text.starts_with("All done."))
    );
}

#[test]
fn groups_are_started_cancelled_and_interrupted() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let quick = prompt("Worker quick.", &[Step::say("quick is done")]);
    let long = prompt("Worker long.", &[Step::hang()]);
    let begun = [
        Step::shell("echo first-output; touch begun"),
        Step::hang(),
        Step::say("never"),
    ];
    let jobs = json!([
        {"prompt": quick, "label": "quick"},
        {"prompt": long, "label": "long"},
        {"prompt": prompt("Worker begun.", &begun), "label": "begun", "sandbox": "workspace-write"},
        {"prompt": "   ", "label": "empty"},
    ]);
    let group = json!({"jobs": jobs, "defaults": {"sandbox": "read-only"}, "includeHandshake": true, "handshakeMaxEvents": 3});
    let again = prompt("Second turn.", &[Step::say("second turn is done")]);
    let interrupt = json!({"jobId": "${group.results.2.jobId}", "newPrompt": again, "waitMs": 20_000,
        "includeEventTail": true, "tailMaxEvents": 5});
    let steps = [
        tool("codex_spawn_group", group).named("group"),
        wait_any("waited", &["${group.results.0.jobId}"]),
        tool("codex_cancel", json!({"jobId": "${group.results.1.jobId}"})),
        wait_any("cancelled", &["${group.results.1.jobId}"]),
        tool("codex_cancel", json!({"jobId": "${group.results.1.jobId}"})),
        shell_until("[ -e begun ]"),
        tool("codex_interrupt", interrupt).named("new"),
        wait_any("went_on", &["${new.newJobId}"]),
        tool("codex_result", json!({"jobId": "${new.newJobId}"})),
        Step::say("done"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    check_called(&done, &GROUP);
    check_group(done.answer("codex_spawn_group"));
    let cancels = done.calls_of("codex_cancel");
    assert_eq!(cancels[0].facts["success"], true);
    assert_eq!(cancels[1].facts["success"], false, "it is over by then");
    assert_eq!(cancels[1].facts["status"], "canceled");
    check_interrupted(&world, &done);
}

fn check_group(answer: &Value) {
    let results = answer["results"].as_array().expect("a list");
    assert_eq!(results.len(), 4);
    for (result, label) in results.iter().zip(["quick", "long", "begun"]) {
        assert_eq!(result["label"], label);
        assert_eq!(result["status"], "running");
        let events = result["handshake"]["events"].as_array().expect("events");
        assert!((1..=3).contains(&events.len()), "{result:#}");
    }
    assert_eq!(
        results[0]["sandbox"], "read-only",
        "the default of the group"
    );
    assert_eq!(
        results[2]["sandbox"], "workspace-write",
        "the job's own word"
    );
    assert_eq!(results[3]["code"], "invalid_argument");
    assert_eq!(results[3]["label"], "empty");
    assert!(results[3].get("jobId").is_none());
}

fn check_interrupted(world: &CodexWorld, done: &Coordinated) {
    let facts = done.answer("codex_interrupt");
    assert_eq!(facts["previousStatus"], "running");
    assert_eq!(facts["currentStatus"], "canceled");
    assert_eq!(facts["respawned"], true);
    assert!(
        facts["eventTail"]
            .as_array()
            .is_some_and(|tail| !tail.is_empty())
    );
    assert_eq!(done.ok("codex_result").text, "second turn is done");
    let requests = world.requests_of("Second turn.");
    let users = requests[0].messages("user").join("\n");
    assert!(
        users.contains("Worker begun."),
        "the same conversation: {users}"
    );
    let outputs: Vec<String> = requests[0]
        .tool_outputs()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        outputs.iter().any(|output| output.contains("first-output")),
        "{outputs:?}"
    );
    assert_eq!(
        requests[0].thread_id(),
        world.requests_of("Worker begun.")[0].thread_id()
    );
}

#[test]
fn conversations_are_kept_and_started_over() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::new(&codex);
    let turn = |number: u32, more: Value| {
        let words = format!("Turn {number} of the conversation.");
        let answer = format!("answer {number}");
        let mut arguments =
            json!({"prompt": prompt(&words, &[Step::say(answer)]), "sessionId": "talk"});
        let all = arguments.as_object_mut().expect("an object");
        all.extend(more.as_object().cloned().unwrap_or_default());
        tool("codex", arguments)
    };
    let steps = [
        turn(1, json!({})),
        turn(2, json!({})),
        tool("listSessions", json!({})),
        turn(3, json!({"resetSession": true})),
        tool("listSessions", json!({})),
        Step::say("done"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    check_called(&done, &SYNCHRONOUS);
    let texts: Vec<&str> = done
        .calls_of("codex")
        .iter()
        .map(|call| call.text.as_str())
        .collect();
    assert_eq!(texts, ["answer 1", "answer 2", "answer 3"]);
    assert!(
        done.calls_of("codex")
            .iter()
            .all(|call| call.facts["sessionId"] == "talk")
    );
    let second = &world.requests_of("Turn 2")[0];
    assert!(second.messages("user").join("\n").contains("Turn 1"));
    assert!(second.messages("assistant").contains(&"answer 1"));
    let third = &world.requests_of("Turn 3")[0];
    assert!(
        !third.messages("user").join("\n").contains("Turn 1"),
        "started over"
    );
    let counts: Vec<&Value> = done
        .calls_of("listSessions")
        .iter()
        .map(|call| &call.facts["sessions"][0]["turnCount"])
        .collect();
    assert_eq!(counts, [&json!(2), &json!(1)]);
}

#[test]
fn uncommitted_changes_are_reviewed() {
    let Some(codex) = real_codex() else { return };
    let verdict = json!({"findings": [], "overall_correctness": "patch is correct",
        "overall_explanation": "Nothing to complain about.", "overall_confidence_score": 0.9});
    let script = Script::default().with("", vec![Step::say(verdict.to_string())]);
    let world = CodexWorld::with_script(&codex, script);
    fs_err::write(world.work().join("new.txt"), "new\n").expect("written");
    let steps = [
        tool("review", json!({"uncommitted": true})),
        Step::say("done"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    check_called(&done, &REVIEW);
    let review = done.ok("review");
    assert!(
        review.text.contains("Nothing to complain about."),
        "{review:#?}"
    );
    let status = world.json(&["status", review.facts["jobId"].as_str().expect("an id")]);
    assert_eq!(status["sandbox"], "read-only");
    let both = [
        tool("review", json!({"uncommitted": true, "base": "main"})),
        Step::say("done"),
    ];
    let refused = world.coordinate("workspace-write", &both).well();
    let refused = refused.call("review");
    assert_eq!(refused.facts["code"], "invalid_argument");
    assert!(
        refused.text.contains("uncommitted and base"),
        "{refused:#?}"
    );
}
