//! Every tool of the toolset `delegate` called by a headless Codex with its default
//! configuration, with real Codex workers.

use convoke_scripted_model::{Script, Step};
use convoke_test_support::{codex::real_codex, mcp_client::McpClient};
use serde_json::json;

use crate::{
    codex_world::{CodexWorld, SERVER, registration, tool},
    delegate_world::{check_whole, message, read},
};

/// A world in which the toolset is registered as recommended.
fn delegate_world(codex: &std::path::Path, script: Script) -> CodexWorld {
    let world = CodexWorld::with_script(codex, script);
    let registered = registration(SERVER, &world.program());
    let args = "args = [\"mcp\", \"--tools\", \"delegate\"]";
    world.configure(&registered.replace("args = [\"mcp\"]", args));
    world
}

#[test]
fn every_tool_is_called_from_a_headless_codex() {
    let Some(codex) = real_codex() else { return };
    // The second conversation is the first one, continued.
    let turns = vec![
        Step::shell("cat README.md"),
        Step::say(message("the facts are found")),
        Step::say(message("and once more")),
    ];
    let script = Script::default().with("Find the facts", turns);
    let world = delegate_world(&codex, script);
    let skill = world.work().join(".agents/skills/facts/SKILL.md");
    fs_err::create_dir_all(skill.parent().expect("a folder")).expect("made");
    fs_err::write(
        &skill,
        "---\nname: facts\ndescription: How facts are found.\n---\n",
    )
    .expect("written");
    let steps = [
        tool(
            "delegate_run",
            json!({"cwd": ".", "task": "Find the facts"}),
        )
        .named("run"),
        tool(
            "delegate_status",
            json!({"run_id": "${run.run_id}", "wait_ms": 1_000}),
        ),
        tool(
            "delegate_resume",
            json!({"cwd": ".", "thread_id": "${run.subagent_thread_id}"}),
        ),
        tool("delegate_cancel", json!({"run_id": "${run.run_id}"})),
        Step::say("delegated"),
    ];
    let done = world.coordinate("read-only", &steps).well();
    for call in &done.calls {
        assert_eq!(
            (call.status.as_str(), call.error.is_null()),
            ("completed", true),
            "{call:#?}"
        );
    }
    assert_eq!(done.calls.len(), 4);
    let first = done.answer("delegate_run");
    assert_eq!(first["status"], "completed", "{first:#}");
    assert_eq!(first["summary"], "the facts are found");
    assert_eq!(first["selected_skills"][0]["name"], "facts");
    assert_eq!(done.answer("delegate_status"), first);
    let folder = check_whole(first);
    let events = fs_err::read_to_string(folder.join("events.jsonl")).expect("read");
    assert!(events.contains("turn.completed"), "{events}");
    let second = done.answer("delegate_resume");
    assert_eq!(second["summary"], "and once more", "{second:#}");
    assert_eq!(second["subagent_thread_id"], first["subagent_thread_id"]);
    check_whole(second);
    assert_eq!(done.answer("delegate_cancel")["success"], false);
}

#[test]
fn a_real_worker_repairs_its_answer() {
    let Some(codex) = real_codex() else { return };
    let turns = vec![Step::say("Here they are!"), Step::say(message("repaired"))];
    let script = Script::default().with("Find the facts", turns);
    let world = delegate_world(&codex, script);
    let steps = [
        tool(
            "delegate_run",
            json!({"cwd": ".", "task": "Find the facts", "skills_mode": "none"}),
        ),
        Step::say("delegated"),
    ];
    let done = world.coordinate("workspace-write", &steps).well();
    let answer = done.answer("delegate_run");
    assert_eq!(answer["status"], "completed", "{answer:#}");
    assert_eq!(answer["summary"], "repaired");
    let folder = check_whole(answer);
    let turns = read(&folder, "codex_exec.json")["turns"].clone();
    assert_eq!(turns.as_array().map(Vec::len), Some(2), "{turns:#}");
}

/// The worker may write no more than its caller, whatever it asks for.
#[test]
fn a_run_has_no_more_power_than_its_caller() {
    let Some(codex) = real_codex() else { return };
    let world = delegate_world(&codex, Script::default());
    let arguments = json!({"cwd": ".", "task": "write", "sandbox": "workspace-write"});
    let steps = [tool("delegate_run", arguments), Step::say("asked")];
    let done = world.coordinate("read-only", &steps).well();
    let call = done.call("delegate_run");
    assert_eq!(call.facts["code"], "power_exceeded", "{call:#?}");
}

/// Outside of git the agent refuses unless the call says that it is fine; the answer names
/// the argument.
#[test]
fn a_folder_outside_of_git_is_for_who_says_so() {
    let Some(codex) = real_codex() else { return };
    let script = Script::default().with("Find the facts", vec![Step::say(message("found"))]);
    let world = delegate_world(&codex, script);
    let plain = world.root().join("plain");
    fs_err::create_dir(&plain).expect("made");
    let mut client = McpClient::start(&world, &["--tools", "delegate"], "test");
    let mut arguments = json!({"cwd": plain, "task": "Find the facts"});
    let refused = client.call_ok("delegate_run", arguments.clone());
    assert_eq!(refused["status"], "failed", "{refused:#}");
    let error = refused["error"].as_str().expect("an error");
    assert!(error.contains("`skip_git_repo_check`"), "{error}");
    arguments["skip_git_repo_check"] = json!(true);
    let answer = client.call_ok("delegate_run", arguments);
    assert_eq!(answer["status"], "completed", "{answer:#}");
}
