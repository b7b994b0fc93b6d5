//! The `delegate` toolset against a real daemon: answers, artifacts, repair, attaching,
//! and what becomes of a run whose caller gives up.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use convoke_test_support::{mcp_client::McpClient, wait::wait_for};
use serde_json::{Value, json};

use crate::delegate_world::{DelegateWorld, check_whole, message, names, read};

/// Checks that an answer has the form that is published for its tool.
pub fn check_form(client: &mut McpClient, tool: &str, answer: &Value) {
    let listed = client.request("tools/list", json!({}));
    let tools = listed["tools"].as_array().expect("a list");
    let published = tools.iter().find(|listed| listed["name"] == tool);
    let schema = &published.expect("it is listed")["outputSchema"];
    let validator = jsonschema::validator_for(schema).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(answer)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{tool}: {errors:#?} {answer:#}");
}

/// The name of a run, from an answer.
pub fn run_id(answer: &Value) -> String {
    answer["run_id"].as_str().expect("a run").to_owned()
}

/// What the files of a run with one turn and one skill hold.
fn check_artifacts(world: &DelegateWorld, folder: &Path, skill: &Path) {
    let prompt = fs_err::read_to_string(folder.join("subagent_prompt.txt")).expect("read");
    assert_eq!(prompt, world.prompt(1));
    assert!(
        prompt.contains(&format!("- pdf (repo) — {}", skill.display())),
        "{prompt}"
    );
    let exec = read(folder, "codex_exec.json");
    let argv = exec["argv"].to_string();
    assert!(
        argv.contains("read-only") && argv.contains("--output-schema"),
        "{argv}"
    );
    assert!(!argv.contains("--skip-git-repo-check"), "{argv}");
    assert_eq!(exec["exit_code"], 0);
    let events = fs_err::read_to_string(folder.join("events.jsonl")).expect("read");
    assert!(
        events.lines().any(|line| line.contains("thread.started")),
        "{events}"
    );
    assert_eq!(read(folder, "request.json")["tool"], "delegate_run");
    assert_eq!(read(folder, "selected_skills.json")["mode"], "auto");
}

#[test]
fn a_run_is_answered_and_its_folder_is_whole() {
    let world = DelegateWorld::new(&[DelegateWorld::says(&message("found it"))]);
    let skill = world.work().join(".codex/skills/pdf/SKILL.md");
    fs_err::create_dir_all(skill.parent().expect("a folder")).expect("made");
    fs_err::write(
        &skill,
        "---\nname: pdf\ndescription: Merge PDF documents.\n---\n",
    )
    .expect("written");
    let mut client = world.client(&[]);
    let arguments = json!({"cwd": ".", "task": "merge the PDF documents", "extra": 1});
    let id = client.send_request(
        "tools/call",
        json!({"name": "delegate_run", "arguments": arguments, "_meta": {"progressToken": "p"}}),
    );
    let result = client.answer(id);
    assert_ne!(result["isError"], true, "{result:#}");
    let answer = result["structuredContent"].clone();
    let text = result["content"][0]["text"].as_str().expect("a text");
    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), answer);
    check_form(&mut client, "delegate_run", &answer);
    assert_eq!(answer["status"], "completed");
    assert_eq!(answer["summary"], "found it");
    assert_eq!(answer["error"], Value::Null);
    assert_eq!(answer["open_questions"], json!(["why?"]));
    assert_eq!(answer["selected_skills"][0]["name"], "pdf");
    assert_eq!(answer["selected_skills"][0]["origin"], "repo");

    let folder = check_whole(&answer);
    let meta = fs_err::metadata(&folder).expect("there");
    assert_eq!(meta.permissions().mode() & 0o777, 0o700);
    let run = run_id(&answer);
    for heard in ["notifications/message", "notifications/progress"] {
        let told = client.heard.iter().find(|told| told["method"] == heard);
        let told = told.unwrap_or_else(|| panic!("no {heard}: {:#?}", client.heard));
        assert_eq!(told["params"]["_meta"]["runId"], run.as_str());
    }
    check_artifacts(&world, &folder, &skill);

    // Later, and by any way, the answer is the same.
    let later = client.call_ok("delegate_status", json!({"run_id": run}));
    assert_eq!(later, answer);
    let listed = client.call_ok("delegate_status", json!({}));
    check_form(&mut client, "delegate_status", &listed);
    assert_eq!(listed["runs"][0]["run_id"], run.as_str());
    assert_eq!(listed["runs"][0]["status"], "completed");
    let job = world.json(&["status", answer["job_id"].as_str().expect("an id")]);
    assert_eq!(job["runId"], run.as_str());
    assert_eq!(job["state"], "completed");
    let over = client.call_ok("delegate_cancel", json!({"run_id": run}));
    assert_eq!(over, json!({"run_id": run, "success": false}));
}

#[test]
fn an_answer_without_its_form_is_repaired_once() {
    let world = DelegateWorld::new(&[
        DelegateWorld::says("all done!"),
        DelegateWorld::says(&message("repaired")),
    ]);
    let mut client = world.client(&[]);
    let answer = client.call_ok("delegate_run", world.arguments("do it"));
    assert_eq!(answer["status"], "completed", "{answer:#}");
    assert_eq!(answer["summary"], "repaired");
    let folder = check_whole(&answer);
    let turns = world.turns();
    assert_eq!(turns.len(), 2);
    assert!(turns[1].contains(" resume 00000000-"), "{turns:#?}");
    assert!(world.prompt(2).contains("does not have the form"));
    let exec = read(&folder, "codex_exec.json");
    assert_eq!(exec["turns"][0]["failed_with"], "invalid_output");
    assert_eq!(exec["turns"].as_array().map(Vec::len), Some(2));
}

#[test]
fn an_answer_twice_without_its_form_is_a_failed_run() {
    let incomplete = json!({"summary": "s", "deliverables": [], "open_questions": []});
    let world = DelegateWorld::new(&[DelegateWorld::says(&incomplete.to_string())]);
    let mut client = world.client(&[]);
    let answer = client.call_ok("delegate_run", world.arguments("do it"));
    check_form(&mut client, "delegate_run", &answer);
    assert_eq!(
        (&answer["status"], &answer["code"]),
        (&json!("failed"), &json!("invalid_output"))
    );
    let error = answer["error"].as_str().expect("an error");
    assert!(
        error.contains("next_actions") && error.contains("Hint:"),
        "{error}"
    );
    assert_eq!(answer["summary"], "");
    assert_eq!(world.turns().len(), 2);
    let folder = check_whole(&answer);
    assert_eq!(read(&folder, "last_message.json"), incomplete);
}

#[test]
fn a_failed_agent_is_a_failed_run_and_is_not_repaired() {
    let world = DelegateWorld::new(&[json!([{"do": "codex", "fail": "no such model"}])]);
    let mut client = world.client(&[]);
    let answer = client.call_ok("delegate_run", world.arguments("do it"));
    check_form(&mut client, "delegate_run", &answer);
    assert_eq!(
        (&answer["status"], &answer["code"]),
        (&json!("failed"), &json!("agent_failed"))
    );
    assert_eq!(world.turns().len(), 1);
    check_whole(&answer);
}

#[test]
fn a_missing_skill_fails_before_any_agent() {
    let world = DelegateWorld::new(&[DelegateWorld::says("x")]);
    let mut client = world.client(&[]);
    let mut arguments = world.arguments("do it");
    arguments["skills_mode"] = json!("explicit");
    arguments["skills"] = json!(["nobody"]);
    let answer = client.call_ok("delegate_run", arguments);
    check_form(&mut client, "delegate_run", &answer);
    assert_eq!(answer["status"], "failed");
    let error = answer["error"].as_str().expect("an error");
    assert!(error.contains("there is no skill `nobody`"), "{error}");
    assert!(world.turns().is_empty());
    let folder = check_whole(&answer);
    assert_eq!(read(&folder, "last_message.json"), Value::Null);
    assert_eq!(read(&folder, "codex_exec.json")["argv"], json!([]));
}

#[test]
fn bad_arguments_start_nothing() {
    let world = DelegateWorld::new(&[DelegateWorld::says("x")]);
    let mut client = world.client(&[]);
    let cwd = world.work();
    for (arguments, told) in [
        (json!({"task": "t"}), "`cwd`"),
        (json!({"cwd": cwd, "task": ""}), "`task`"),
        (json!({"cwd": "/nowhere", "task": "t"}), "/nowhere"),
        (
            json!({"cwd": cwd, "task": "t", "max_skills": 0}),
            "`max_skills`",
        ),
        (
            json!({"cwd": cwd, "task": "t", "reasoning_effort": "huge"}),
            "xhigh",
        ),
        (
            json!({"cwd": cwd, "task": "t", "sandbox": "danger-full-access"}),
            "max_sandbox",
        ),
    ] {
        let answer = client.call("delegate_run", arguments.clone());
        assert_eq!(answer["isError"], true, "{arguments}: {answer:#}");
        let facts = &answer["structuredContent"];
        check_form(&mut client, "delegate_run", facts);
        assert!(facts.to_string().contains(told), "{told}: {facts:#}");
    }
    let unknown = client.call(
        "delegate_status",
        json!({"run_id": "2026-01-31_080000123_0123456789ab"}),
    );
    assert_eq!(unknown["structuredContent"]["code"], "unknown_run");
    assert!(world.turns().is_empty() && world.run_folders().is_empty());
}

#[test]
fn a_conversation_is_continued_without_a_task() {
    let world = DelegateWorld::new(&[DelegateWorld::says(&message("once"))]);
    let mut client = world.client(&[]);
    let first = client.call_ok("delegate_run", world.arguments("do it"));
    let thread = first["subagent_thread_id"].as_str().expect("a thread");
    let arguments = json!({"cwd": world.work(), "thread_id": thread, "sandbox": "workspace-write"});
    let second = client.call_ok("delegate_resume", arguments);
    check_form(&mut client, "delegate_resume", &second);
    assert_eq!(second["status"], "completed");
    assert_ne!(second["run_id"], first["run_id"]);
    assert_eq!(second["selected_skills"], json!([]));
    let folder = check_whole(&second);
    let turn = &world.turns()[1];
    assert!(turn.contains(&format!(" resume {thread}")), "{turn}");
    assert!(turn.contains("-s workspace-write"), "{turn}");
    assert!(
        world
            .prompt(2)
            .contains(&format!("Continued thread: {thread}"))
    );
    assert!(world.prompt(2).contains("return the updated result"));
    assert_eq!(read(&folder, "request.json")["tool"], "delegate_resume");
}

#[test]
fn a_call_that_ends_first_says_how_to_go_on_and_its_repetition_attaches() {
    let world = DelegateWorld::new(&[DelegateWorld::gated(&message("late"))]);
    let mut hasty = world.client(&["--max-wait", "1"]);
    let ended = hasty.call("delegate_run", world.arguments("do it"));
    assert_eq!(ended["isError"], true, "{ended:#}");
    let facts = ended["structuredContent"].clone();
    check_form(&mut hasty, "delegate_run", &facts);
    assert_eq!(facts["code"], "still_running");
    let run = run_id(&facts);
    let running = hasty.call_ok("delegate_status", json!({"run_id": run}));
    check_form(&mut hasty, "delegate_status", &running);
    assert_eq!(running["status"], "running");
    // Other arguments are another run.
    let other = hasty.call("delegate_run", world.arguments("do something else"));
    assert_ne!(run_id(&other["structuredContent"]), run);

    let mut patient = world.client(&[]);
    let params = json!({"name": "delegate_run", "arguments": world.arguments("do it")});
    let id = patient.send_request("tools/call", params);
    world.open_gate();
    let answer = patient.answer(id)["structuredContent"].clone();
    assert_eq!(
        (run_id(&answer), &answer["summary"]),
        (run.clone(), &json!("late"))
    );
    check_whole(&answer);
    // It was delivered, so the same arguments mean new work.
    let again = patient.call_ok("delegate_run", world.arguments("do it"));
    assert_ne!(run_id(&again), run);
}

/// Equal calls at once are one run.
#[test]
fn equal_calls_at_once_are_one_run() {
    let world = DelegateWorld::new(&[DelegateWorld::gated(&message("once"))]);
    let call = || {
        let mut client = world.client(&["--max-wait", "0"]);
        run_id(&client.call("delegate_run", world.arguments("do it"))["structuredContent"])
    };
    let runs: Vec<String> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(call)).collect();
        calls
            .into_iter()
            .map(|call| call.join().expect("it answers"))
            .collect()
    });
    assert!(runs.iter().all(|run| *run == runs[0]), "{runs:#?}");
    world.open_gate();
    let wait = json!({"run_id": runs[0], "wait_ms": 20_000});
    let answer = world.client(&[]).call_ok("delegate_status", wait);
    assert_eq!(answer["summary"], "once", "{answer:#}");
    assert_eq!((world.turns().len(), world.run_folders().len()), (1, 1));
}

#[test]
fn an_answer_that_nobody_got_is_given_to_the_same_call() {
    let world = DelegateWorld::new(&[DelegateWorld::gated(&message("alone"))]);
    let mut client = world.client(&[]);
    let params = json!({"name": "delegate_run", "arguments": world.arguments("do it")});
    let id = client.send_request("tools/call", params);
    wait_for("the run to be at work", || match world.turns().len() {
        1 => Ok(()),
        turns => Err(format!("{turns} turns")),
    });
    // The caller's time-out: the run goes on.
    client.notify("notifications/cancelled", json!({"requestId": id}));
    world.open_gate();
    let listed = client.call_ok("delegate_status", json!({}));
    let run = run_id(&listed["runs"][0]);
    let job = listed["runs"][0]["job_id"]
        .as_str()
        .expect("a job")
        .to_owned();
    assert_eq!(world.wait_end(&job), "completed");
    let answer = client.call_ok("delegate_run", world.arguments("do it"));
    assert_eq!(
        (run_id(&answer), &answer["summary"]),
        (run, &json!("alone"))
    );
    assert_eq!(world.turns().len(), 1);
}

#[test]
fn a_run_is_stopped_and_answered_as_cancelled() {
    let world = DelegateWorld::new(&[DelegateWorld::gated(&message("never"))]);
    let mut client = world.client(&[]);
    let params = json!({"name": "delegate_run", "arguments": world.arguments("do it")});
    let id = client.send_request("tools/call", params);
    wait_for("the run to be at work", || match world.turns().len() {
        1 => Ok(()),
        turns => Err(format!("{turns} turns")),
    });
    let mut other = world.client(&[]);
    let run = run_id(&other.call_ok("delegate_status", json!({}))["runs"][0]);
    let stopped = other.call_ok("delegate_cancel", json!({"run_id": run}));
    assert_eq!(stopped, json!({"run_id": run, "success": true}));
    let answer = client.answer(id)["structuredContent"].clone();
    check_form(&mut client, "delegate_run", &answer);
    assert_eq!(answer["status"], "cancelled", "{answer:#}");
    assert_eq!(run_id(&answer), run);
    check_whole(&answer);
}

#[test]
fn no_secret_lies_in_the_folder_of_a_run() {
    let secret = "hush-hush-hush-0123";
    let mut world = DelegateWorld::new(&[json!([
        {"do": "print_env"},
        {"do": "err", "text": format!("key {secret}")},
        {"do": "codex", "message": message(secret)},
    ])]);
    world.set("CODEX_API_KEY", secret);
    let mut client = world.client(&[]);
    let answer = client.call_ok(
        "delegate_run",
        world.arguments(&format!("use {secret} twice")),
    );
    assert_eq!(answer["status"], "completed", "{answer:#}");
    assert_eq!(answer["summary"], "[masked]");
    // What the agent was told is not masked.
    assert!(world.prompt(1).contains(secret));
    let folder = check_whole(&answer);
    for name in names(&folder) {
        let text = fs_err::read_to_string(folder.join(&name)).expect("read");
        assert!(!text.contains(secret), "{name}: {text}");
    }
    let stderr = fs_err::read_to_string(folder.join("stderr.log")).expect("read");
    assert!(stderr.contains("key [masked]"), "{stderr}");
    crate::secrets::assert_nowhere(&world.state_home(), secret);
}

#[test]
fn the_command_line_runs_with_artifacts_too() {
    let world = DelegateWorld::new(&[DelegateWorld::says(&message("by hand"))]);
    let answer = world.json(&["run", "--artifacts", "do it"]);
    assert_eq!(
        (&answer["status"], &answer["summary"]),
        (&json!("completed"), &json!("by hand"))
    );
    check_whole(&answer);
    let ran = world.run(&["run", "--artifacts", "--role", "critic", "do it"]);
    assert!(ran.success(), "{ran}");
    assert!(
        ran.stdout.contains("by hand") && ran.stdout.contains("completed in "),
        "{ran}"
    );
    assert!(world.prompt(2).contains("You are a critic"));
    let refused = world.run(&["run", "--artifacts", "--label", "x", "do it"]);
    assert!(
        !refused.success() && refused.stderr.contains("--artifacts"),
        "{refused}"
    );
    let run = run_id(&answer);
    let result = world.json(&["result", &run]);
    assert_eq!(result["job"]["runId"], run.as_str());
}
