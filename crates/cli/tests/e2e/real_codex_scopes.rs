//! A real Codex that may write in some folders only.

use convoke_scripted_model::{Script, Step};
use convoke_test_support::codex::real_codex;
use serde_json::json;

use crate::codex_world::{CodexWorld, shell_until};

/// A shell command that tells whether it could write a file, by another one in the
/// folder that it may write.
fn try_to_write(path: &str) -> Step {
    Step::shell(format!(
        "if echo x > {path}; then echo yes; else echo no; fi 2>/dev/null >> a/told"
    ))
}

#[test]
fn a_worker_writes_in_its_scope_and_the_temp_folders_only() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    for folder in ["a", "b"] {
        fs_err::create_dir(world.work().join(folder)).expect("created");
    }
    fs_err::write(world.work().join("b/f"), "old\n").expect("written");
    let outside = world.root().join("outside");
    let port = world.model.base_url();
    let port = port.rsplit(':').next().unwrap_or_default();
    let port = port.split('/').next().unwrap_or_default();
    let steps = [
        try_to_write("a/f"),
        try_to_write("new/er/f"),
        try_to_write("/tmp/scope-test-$$"),
        try_to_write("b/f"),
        try_to_write("top"),
        try_to_write(".git/config"),
        // The same bounds on the network as without a scope.
        Step::shell(format!(
            "if (exec 3<>/dev/tcp/127.0.0.1/{port}); then echo yes; else echo no; fi 2>/dev/null >> a/told"
        )),
        Step::patch("*** Begin Patch\n*** Add File: a/patched\n+new\n*** End Patch"),
        Step::patch("*** Begin Patch\n*** Update File: b/f\n@@\n-old\n+new\n*** End Patch"),
        Step::shell("rm -f /tmp/scope-test-*"),
        Step::say("done"),
    ];
    let options = [
        "-s",
        "workspace-write",
        "--scope",
        "a",
        "--scope",
        "new/er",
        "--scope-read",
        "b",
    ];
    let job = world.spawn_worker(&options, &steps);
    let result = world.completed(&job);
    let told = fs_err::read_to_string(world.work().join("a/told")).expect("told");
    assert_eq!(told, "yes\nyes\nyes\nno\nno\nno\nno\n", "{outside:?}");
    assert!(world.work().join("a/patched").exists());
    assert!(world.work().join("new/er/f").exists());
    let kept = fs_err::read_to_string(world.work().join("b/f")).expect("read");
    assert_eq!(kept, "old\n");
    assert_eq!(
        result["job"]["violations"][0]["rule"],
        json!(null),
        "{result:#}"
    );
    let requests = world.requests_of("Work.");
    let prompt = requests[0].messages("user").join("\n");
    assert!(prompt.contains("- a\n- new/er\n"), "{prompt}");
    assert!(
        prompt.contains("What you need to read is in:\n- b\n"),
        "{prompt}"
    );
}

#[test]
fn a_later_turn_of_a_conversation_is_held_to_its_scope_too() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    for folder in ["a", "b"] {
        fs_err::create_dir(world.work().join(folder)).expect("created");
    }
    let turn = |scope: &str, text: &str| {
        let write = |folder: &str| Step::shell(format!("echo {text} > {folder}/{text}"));
        let options = ["-s", "workspace-write", "--session", "s", "--scope", scope];
        let job = world.spawn_worker(&options, &[write("a"), write("b"), Step::say("done")]);
        world.completed(&job)["job"]["thread"].clone()
    };
    assert_eq!(turn("a", "one"), turn("b", "two"));
    let there = |path: &str| world.work().join(path).exists();
    assert_eq!(
        ["a/one", "b/one", "a/two", "b/two"].map(there),
        [true, false, false, true]
    );
}

/// Two workers at once, each in its folder, and a person in a third one: whose
/// changes are whose is certain, although nobody told of them.
#[test]
fn by_their_scopes_it_is_known_who_wrote_what() {
    let Some(codex) = real_codex() else { return };
    let world = CodexWorld::unregistered(&codex, Script::default());
    for folder in ["a", "b"] {
        fs_err::create_dir(world.work().join(folder)).expect("created");
        fs_err::write(world.work().join(folder).join("f"), "0\n").expect("written");
    }
    let gate = world.root().join("gate");
    let worker = |folder: &str| {
        world.spawn_worker(
            &["-s", "workspace-write", "--scope", folder],
            &[
                Step::shell(format!("echo 1 > {folder}/f; touch {folder}/there")),
                shell_until(&format!("test -e {}", gate.display())),
                Step::say("done"),
            ],
        )
    };
    let jobs = [worker("a"), worker("b")];
    for folder in ["a", "b"] {
        convoke_test_support::wait::wait_for_file(&world.work().join(folder).join("there"));
    }
    fs_err::write(world.work().join("mine"), "by hand\n").expect("written");
    fs_err::write(gate, "").expect("the gate opens");
    for job in &jobs {
        world.completed(job);
    }
    for (job, folder) in jobs.iter().zip(["a", "b"]) {
        let found = world.json(&["changes", job]);
        let changes = found["changes"].as_array().expect("changes");
        let paths: Vec<&str> = changes.iter().filter_map(|c| c["path"].as_str()).collect();
        assert_eq!(
            paths,
            [format!("{folder}/f"), format!("{folder}/there")],
            "{found:#}"
        );
        for change in changes {
            assert_eq!(change["attribution"], "job", "{found:#}");
        }
        let outside = found["outside"].as_array().expect("paths");
        assert!(outside.contains(&json!("mine")), "{found:#}");
    }
    let conflicts = world.json(&["conflicts"]);
    assert_eq!(conflicts["conflicts"], json!([]), "{conflicts:#}");
}
