//! What an answer of a run promises: its proof, its size, its folder, its order of
//! settings, and that it outlives its job.

use convoke_test_support::wait::wait_for;
use serde_json::json;

use crate::{
    delegate_runs::{check_form, run_id},
    delegate_world::{DelegateWorld, check_whole, message, read},
};

#[test]
fn a_long_summary_is_cut_in_the_answer_and_whole_in_the_folder() {
    let summary = "ü".repeat(20_000);
    let world = DelegateWorld::new(&[DelegateWorld::says(&message(&summary))]);
    let mut client = world.client(&[]);
    let answer = client.call_ok("delegate_run", world.arguments("do it"));
    check_form(&mut client, "delegate_run", &answer);
    assert_eq!(answer["truncated"], true);
    assert_eq!(answer["summary"].as_str().map(str::len), Some(24 * 1024));
    let folder = answer["run_dir"].as_str().expect("a folder");
    let kept = read(folder.as_ref(), "last_message.json");
    assert_eq!(kept["summary"], summary.as_str());
}

/// The folder lies in the Codex home of whoever asks, not in the daemon's, and equal work
/// in another home is other work.
#[test]
fn the_folder_lies_in_the_requesters_codex_home() {
    let mut world = DelegateWorld::new(&[DelegateWorld::gated(&message("here"))]);
    let mut first = world.client(&["--max-wait", "0"]);
    let one = first.call("delegate_run", world.arguments("do it"))["structuredContent"].clone();
    let other = world.root().join("other");
    world.set("CODEX_HOME", other.display().to_string());
    let mut second = world.client(&["--max-wait", "0"]);
    let two = second.call("delegate_run", world.arguments("do it"))["structuredContent"].clone();
    assert_ne!(run_id(&one), run_id(&two));
    let folder = two["run_dir"].as_str().expect("a folder");
    assert!(
        folder.starts_with(other.to_str().expect("UTF-8")),
        "{folder}"
    );
    world.open_gate();
    for run in [&one, &two] {
        let arguments = json!({"run_id": run_id(run), "wait_ms": 20_000});
        let mut client = world.client(&[]);
        let answer = client.call_ok("delegate_status", arguments);
        assert_eq!(answer["status"], "completed", "{answer:#}");
        check_whole(&answer);
    }
}

#[test]
fn what_is_claimed_and_what_was_seen_are_told_apart() {
    let claims = json!({
        "summary": "s",
        "deliverables": [
            {"path": "made.txt", "description": "made"},
            {"path": "old.txt", "description": "left as it was"},
            {"path": "nowhere.txt", "description": "never written"},
        ],
        "open_questions": [],
        "next_actions": [],
    });
    let world = DelegateWorld::new(&[]);
    let work = world.work();
    fs_err::write(work.join("old.txt"), "old").expect("written");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "old"]);
    world.plays(&[json!([
        {"do": "write", "path": work.join("made.txt"), "text": "new"},
        {"do": "codex", "message": claims.to_string()},
    ])]);
    let mut client = world.client(&[]);
    let mut arguments = world.arguments("do it");
    arguments["sandbox"] = json!("workspace-write");
    let answer = client.call_ok("delegate_run", arguments);
    check_form(&mut client, "delegate_run", &answer);
    let seen = |path: &str, exists: bool, observed: bool| json!({"path": path, "exists": exists, "observed": observed});
    assert_eq!(
        answer["proof"],
        json!({
            "claimed": ["made.txt", "old.txt", "nowhere.txt"],
            "checked": [
                seen("made.txt", true, true),
                seen("old.txt", true, false),
                seen("nowhere.txt", false, false),
            ],
            "verified": [],
        })
    );
    // It is the state right after the end, also later.
    fs_err::remove_file(work.join("made.txt")).expect("deleted");
    let later = client.call_ok("delegate_status", json!({"run_id": run_id(&answer)}));
    assert_eq!(later, answer);
    check_whole(&answer);
}

#[test]
fn the_answer_outlives_its_job() {
    let world = DelegateWorld::new(&[DelegateWorld::says(&message("kept"))]);
    let mut client = world.client(&[]);
    let answer = client.call_ok("delegate_run", world.arguments("do it"));
    let job = answer["job_id"].as_str().expect("a job").to_owned();
    wait_for("the job to be forgotten", || {
        world.ok(&["gc", "--older-than", "1ms"]);
        match world.run(&["status", &job]).success() {
            false => Ok(()),
            true => Err("it is there".to_owned()),
        }
    });
    let later = client.call_ok("delegate_status", json!({"run_id": run_id(&answer)}));
    assert_eq!(later, answer);
}

/// Model first, then settings, then effort: the last one wins in Codex.
#[test]
fn settings_stand_in_their_order() {
    let mut world = DelegateWorld::new(&[DelegateWorld::says(&message("x"))]);
    world.set("CODEX_DELEGATE_REASONING_EFFORT", "high");
    let mut client = world.client(&[]);
    let mut arguments = world.arguments("do it");
    arguments["model"] = json!("m-1");
    arguments["config_overrides"] = json!(["model_verbosity=low", "a.b=1"]);
    client.call_ok("delegate_run", arguments.clone());
    let turn = world.turns()[0].clone();
    let at = |part: &str| turn.find(part).unwrap_or_else(|| panic!("{part}: {turn}"));
    let order = [
        at("-m m-1"),
        at("-c model_verbosity=low"),
        at("-c a.b=1"),
        at("-c model_reasoning_effort=\"high\""),
    ];
    assert!(order.is_sorted(), "{turn}");
    arguments["reasoning_effort"] = json!("low");
    arguments["skip_git_repo_check"] = json!(true);
    client.call_ok("delegate_run", arguments);
    let turn = world.turns()[1].clone();
    assert!(turn.contains("model_reasoning_effort=\"low\""), "{turn}");
    assert!(turn.contains("--skip-git-repo-check"), "{turn}");
}

/// There are never two writers in one conversation.
#[test]
fn a_continued_conversation_waits_for_the_turn_before() {
    let world = DelegateWorld::new(&[
        DelegateWorld::says(&message("one")),
        DelegateWorld::gated(&message("two")),
    ]);
    let mut client = world.client(&["--max-wait", "0"]);
    let first = client.call("delegate_run", world.arguments("do it"));
    let run = run_id(&first["structuredContent"]);
    let mut patient = world.client(&[]);
    let wait = json!({"run_id": run, "wait_ms": 20_000});
    let first = patient.call_ok("delegate_status", wait);
    let resume = |task: &str| json!({"cwd": world.work(), "thread_id": first["subagent_thread_id"], "task": task});
    client.call("delegate_resume", resume("second"));
    let third = client.call("delegate_resume", resume("third"));
    let third = run_id(&third["structuredContent"]);
    let job = world.json(&["status", &third]);
    assert_eq!(job["state"], "queued", "{job:#}");
    wait_for("the second turn to be at work", || {
        match world.turns().len() {
            2 => Ok(()),
            turns => Err(format!("{turns} turns")),
        }
    });
    world.open_gate();
    let wait = json!({"run_id": third, "wait_ms": 20_000});
    assert_eq!(
        patient.call_ok("delegate_status", wait)["status"],
        "completed"
    );
    assert!(world.prompt(3).contains("third"));
}
