//! Jobs with a layer of their own over the live tree, and what becomes of it.

use std::{
    collections::BTreeMap,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use convoke_test_support::{
    census,
    environment::TestEnvironment,
    wait::{wait_for, wait_for_file},
};
use serde_json::{Value, json};

use crate::{
    changes::{self, read, world_of_two},
    checks::runner_pid,
    users::ordinary_world,
    world::world,
};

/// Starts a shell command as a job with a layer of its own.
fn spawn(world: &TestEnvironment, label: &str, command: &str) -> String {
    let options = ["--workspace", "overlay", "--label", label];
    let job = world.spawn_command(&options, &["sh", "-c", command]);
    let status = world.json(&["status", &job]);
    assert_eq!(status["workspace"], "overlay", "{status:#}");
    job
}

pub fn completed(world: &TestEnvironment, label: &str, command: &str) -> String {
    let job = spawn(world, label, command);
    assert_eq!(
        world.wait_end(&job),
        "completed",
        "{} {}",
        world.ok(&["status", &job]),
        world.ok(&["result", "--full", &job])
    );
    job
}

/// A job that runs `first`, waits for a gate, and runs `then`; the gate.
fn in_two_steps(world: &TestEnvironment, first: &str, then: &str) -> (String, std::path::PathBuf) {
    let (told, gate) = (world.root().join("told"), world.root().join("gate"));
    let command = format!(
        "set -e; {first}; touch {}; until test -e {}; do sleep 0.02; done; {then}",
        told.display(),
        gate.display()
    );
    let job = spawn(world, "j", &command);
    wait_for_file(&told);
    (job, gate)
}

/// Writes files and commits them. All of them are the user's.
pub fn commit(world: &TestEnvironment, files: &[(&str, &str)]) {
    for (name, _) in files {
        let folder = Path::new(name).parent().expect("a name has a parent");
        fs_err::create_dir_all(world.work().join(folder)).expect("created");
    }
    changes::commit(world, files);
    let own = fs_err::metadata(world.work()).expect("a folder");
    for name in content(&world.work()).keys() {
        std::os::unix::fs::lchown(name, Some(own.uid()), Some(own.gid())).expect("given");
    }
}

fn put(world: &TestEnvironment, name: &str, text: &str) {
    let path = world.work().join(name);
    fs_err::write(&path, text).expect("written");
    let own = fs_err::metadata(world.work()).expect("a folder");
    std::os::unix::fs::chown(&path, Some(own.uid()), Some(own.gid())).expect("given");
}

/// Paths of a list of changes with their kinds.
fn kinds(found: &Value) -> Vec<String> {
    let all = found["changes"].as_array().expect("changes");
    let shown = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("kind"), text("path"))
    };
    all.iter().map(shown).collect()
}

/// Nothing is left of layers.
fn none_left(world: &TestEnvironment) {
    let left = fs_err::read_dir(world.state_home().join("overlays")).map(|entries| {
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name != "trials").count()
    });
    assert_eq!(left.unwrap_or(0), 0);
    let trials = fs_err::read_dir(world.state_home().join("overlays/trials"));
    assert_eq!(trials.map_or(0, Iterator::count), 0);
}

/// Every file below a folder, with its mode and content.
fn content(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let meta = fs_err::symlink_metadata(&path).expect("its kind");
            let content = match meta.is_file() {
                true => fs_err::read(&path).expect("read"),
                false => Vec::new(),
            };
            if meta.is_dir() {
                folders.push(path.clone());
            }
            let name = path.display().to_string();
            found.insert(name, (meta.permissions().mode(), content));
        }
    }
    found
}

#[test]
fn all_it_does_lies_in_its_layer_until_it_is_applied() {
    for world in [world(), ordinary_world()] {
        let files = [
            ("f", "1\n2\n3\n4\n5\n"),
            ("gone", "0\n"),
            ("script", "#!/bin/sh\n"),
            ("old/a", "a\n"),
            ("old/b", "b\n"),
            ("folder/x", "x\n"),
            ("plain", "file\n"),
            (".gitignore", "ignored\n*.o\n"),
        ];
        commit(&world, &files);
        put(&world, "f", "dirty\n2\n3\n4\n5\n");
        put(&world, "mine", "untracked\n");
        put(&world, "ignored", "kept\n");
        let before = content(&world.work());
        let job = completed(
            &world,
            "j",
            "set -e; grep -q dirty f; grep -q untracked mine; test \"$PWD\" = \"$(pwd -P)\"
             sed -i s/5/five/ f; rm gone; chmod +x script; mkdir -p new/deep; echo n > new/deep/n
             mv old/a moved; rm -r old; mkdir old; echo c > old/c
             rm -r folder; echo now a file > folder; rm plain; mkdir plain; echo p > plain/p
             ln -s f link; echo changed > ignored; echo o > x.o; mkdir shut.o; chmod 0 shut.o
             mkdir sub.o; git init -q sub.o; mkfifo pipe.o
             git -c user.name=t -c user.email=t@example.invalid commit -qam inside
             git status --porcelain > status",
        );
        assert_eq!(content(&world.work()), before, "the tree is as it was");
        let found = world.json(&["changes", &job]);
        assert_eq!(
            kinds(&found),
            [
                "modify f",
                "add folder",
                "delete folder/x",
                "delete gone",
                "add link",
                "rename moved",
                "add new/deep/n",
                "delete old/b",
                "add old/c",
                "delete plain",
                "add plain/p",
                "mode script",
                "add status"
            ],
            "{found:#}"
        );
        assert_eq!(found["complete"], true, "{found:#}");
        assert!(world.ok(&["diff", &job]).contains("+five"));
        let refused = world.run(&["rollback", &job]);
        assert!(refused.stderr.contains("convoke discard"), "{refused}");

        let head = world.git(&["rev-parse", "HEAD"]);
        let applied = world.json(&["apply", &job]);
        assert_eq!(applied["conflicts"], json!([]), "{applied:#}");
        assert_eq!(read(&world, "f"), "dirty\n2\n3\n4\nfive\n");
        assert_eq!(read(&world, "old/c"), "c\n");
        assert_eq!(read(&world, "folder"), "now a file\n");
        assert_eq!(read(&world, "plain/p"), "p\n");
        assert_eq!(read(&world, "moved"), "a\n");
        assert_eq!(read(&world, "ignored"), "kept\n");
        let work = world.work();
        for gone in ["gone", "old/a", "old/b", "x.o", "shut.o", "sub.o"] {
            assert!(!work.join(gone).exists(), "{gone}");
        }
        let link = fs_err::read_link(work.join("link")).expect("a link");
        assert_eq!(link, Path::new("f"));
        let script = fs_err::metadata(work.join("script")).expect("its mode");
        assert_eq!(script.permissions().mode() & 0o111, 0o111);
        assert_eq!(world.git(&["rev-parse", "HEAD"]), head);
        none_left(&world);
        assert!(world.ok(&["diff", &job]).contains("+five"));
        // It can be undone.
        let state = applied["checkpointId"].as_str().expect("a state");
        world.ok(&["rollback", "--to", state]);
        assert_eq!(read(&world, "f"), "dirty\n2\n3\n4\n5\n");
        assert_eq!(read(&world, "old/a"), "a\n");
    }
}

#[test]
fn what_it_has_not_written_follows_the_tree() {
    for world in [world(), ordinary_world()] {
        commit(
            &world,
            &[("f", "1\n"), ("g", "1\n"), ("own", "1\n"), ("gone", "1\n")],
        );
        // What names led to is remembered by the kernel: that nothing was there, too.
        let first = "cat f g gone own; ! cat fresh; ls; echo mine > own";
        let then = "until grep -q 2 f && grep -q 2 g && test -e fresh && ! test -e gone; \
                    do sleep 0.02; done; grep -q mine own; cat f g fresh > seen";
        let (job, gate) = in_two_steps(&world, first, then);
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").expect("mounts");
        let root = world.root().display().to_string();
        assert!(!mounts.contains(&root), "a mount is seen outside: {mounts}");
        // One file is written in place, and another one takes the place of its name.
        put(&world, "f", "2\n");
        put(&world, "next", "2\n");
        fs_err::rename(world.work().join("next"), world.work().join("g")).expect("renamed");
        put(&world, "own", "2\n");
        put(&world, "fresh", "3\n");
        fs_err::remove_file(world.work().join("gone")).expect("removed");
        fs_err::write(gate, "").expect("the gate opens");
        assert_eq!(world.wait_end(&job), "completed");
        // What others did is not the job's.
        let found = world.json(&["changes", &job]);
        assert_eq!(kinds(&found), ["modify own", "add seen"], "{found:#}");
        assert_eq!(found["baseMoved"], json!(["own"]), "{found:#}");
        assert!(world.ok(&["diff", &job]).contains("+mine"));
        let refused = world.run(&["apply", &job]);
        assert_eq!(refused.code, Some(1), "{refused}");
        assert!(refused.stdout.contains("conflict: own: "), "{refused}");
        assert!(!world.work().join("seen").exists());
        put(&world, "own", "1\n");
        world.ok(&["apply", &job]);
        assert_eq!(read(&world, "own"), "mine\n");
        assert_eq!(read(&world, "seen"), "2\n2\n3\n");
        assert_eq!(read(&world, "fresh"), "3\n");
        none_left(&world);
    }
}

#[test]
fn what_changed_beneath_as_well_is_merged_and_said() {
    let world = world();
    commit(&world, &[("f", "1\n2\n3\n4\n5\n")]);
    let (job, gate) = in_two_steps(&world, "sed -i s/5/five/ f", "true");
    put(&world, "f", "one\n2\n3\n4\n5\n");
    // While it runs its changes are read from the layer, and so are conflicts to come.
    let found = world.json(&["changes", &job]);
    assert_eq!(kinds(&found), ["modify f"], "{found:#}");
    assert_eq!(found["baseMoved"], json!(["f"]), "{found:#}");
    assert_eq!(world.json(&["conflicts"])["conflicts"], json!([]));
    put(&world, "f", "1\n2\n3\n4\nmine\n");
    let coming = world.json(&["conflicts"])["conflicts"].clone();
    assert_eq!(coming[0]["kind"], "forecast", "{coming:#}");
    put(&world, "f", "one\n2\n3\n4\n5\n");
    fs_err::write(gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    let applied = world.json(&["apply", &job]);
    assert_eq!(applied["applied"], json!(["f"]), "{applied:#}");
    let notices = applied["notices"].to_string();
    assert!(notices.contains("too since the job began: f"), "{notices}");
    assert_eq!(read(&world, "f"), "one\n2\n3\n4\nfive\n");
    let later = world.json(&["changes", &job]);
    assert_eq!(later.get("baseMoved"), None, "{later:#}");
}

#[test]
fn what_is_discarded_leaves_nothing() {
    let world = ordinary_world();
    commit(&world, &[("f", "1\n")]);
    // As module caches do, and one that its owner may not enter.
    let shut = "mkdir -p a/b c; echo new > a/b/f; chmod -R a-w a; chmod 0 c; rm f";
    let job = completed(&world, "j", shut);
    let layer = world.json(&["status", &job])["worktree"].clone();
    let layer = Path::new(layer.as_str().expect("a folder")).to_owned();
    assert!(layer.join("a/b/f").exists());
    world.ok(&["discard", &job]);
    assert!(!layer.exists());
    none_left(&world);
    assert!(world.ok(&["diff", &job]).contains("-1"));
    // Nor does one that is forgotten.
    let nothing = completed(&world, "n", "true");
    for job in [&job, &nothing] {
        world.ok(&["result", job]);
    }
    let undecided = completed(&world, "u", "rm f");
    world.ok(&["result", &undecided]);
    world.ok(&["gc", "--older-than", "1ms"]);
    wait_for("the layers of forgotten jobs to go", || {
        let left = fs_err::read_dir(world.state_home().join("overlays"));
        match left.map_or(0, Iterator::count) {
            // That of which nobody has decided, and the folder of trials.
            2 => Ok(()),
            count => Err(format!("{count} are left")),
        }
    });
    assert!(world.ok(&["diff", &undecided]).contains("-1"));
}

#[test]
fn it_outlives_the_daemon_and_its_layer_the_runner() {
    let world = ordinary_world();
    commit(&world, &[("f", "1\n")]);
    let (job, gate) = in_two_steps(&world, "echo 2 > f", "echo 3 >> f");
    world.kill_daemon();
    fs_err::write(gate, "").expect("the gate opens");
    assert_eq!(world.wait_end(&job), "completed");
    assert!(world.ok(&["diff", &job]).contains("+3"));
    world.ok(&["discard", &job]);

    for name in ["told", "gate"] {
        fs_err::remove_file(world.root().join(name)).expect("removed");
    }
    let (job, _gate) = in_two_steps(&world, "echo 2 > f; rm -rf .git", "true");
    let runner = runner_pid(&world, &job);
    world.kill_daemon();
    census::kill(runner);
    assert_eq!(world.wait_end(&job), "failed");
    assert_eq!(world.json(&["status", &job])["code"], "lost");
    assert!(world.ok(&["diff", &job]).contains("+2"));
    assert_eq!(read(&world, "f"), "1\n");
    world.ok(&["apply", &job]);
    assert_eq!(read(&world, "f"), "2\n");
    none_left(&world);
}

#[test]
fn a_daemon_that_dies_while_it_is_made_makes_it_anew() {
    let world = world();
    commit(&world, &[("f", "1\n")]);
    let variable = ("CONVOKE_TEST_DAEMON_DIES_AT", "worktree_made");
    assert!(world.run_with(&[variable], &["daemon", "start"]).success());
    let daemon = world.daemon_pid().expect("a daemon serves");
    let options = ["--workspace", "overlay"];
    let job = world.spawn_command(&options, &["sh", "-c", "echo 2 > f"]);
    wait_for("the daemon to die", || census::gone(daemon));
    world.ok(&["daemon", "start"]);
    assert_eq!(world.wait_end(&job), "completed");
    let applied = world.json(&["apply", &job]);
    assert_eq!(applied["applied"], json!(["f"]), "{applied:#}");
    none_left(&world);
}

#[test]
fn names_that_mean_something_to_the_file_system_do_not() {
    let world = ordinary_world();
    let odd = world.work().join("a,b:c\\d e");
    fs_err::create_dir(&odd).expect("created");
    if rustix::process::getuid().is_root() {
        let nobody = Some(crate::users::NOBODY);
        std::os::unix::fs::chown(&odd, nobody, nobody).expect("given");
    }
    fs_err::write(odd.join("f"), "1\n").expect("written");
    let odd = odd.display().to_string();
    let options = ["--workspace", "overlay", "--cd", &odd];
    let job = world.spawn_command(&options, &["sh", "-c", "rm -f f; echo 2 > g"]);
    assert_eq!(world.wait_end(&job), "completed");
    let found = world.json(&["changes", &job]);
    assert_eq!(
        kinds(&found),
        ["delete a,b:c\\d e/f", "add a,b:c\\d e/g"],
        "{found:#}"
    );
}

#[test]
fn who_goes_on_in_a_conversation_goes_on_in_its_layer() {
    let world = world_of_two();
    commit(&world, &[("f", "1\n")]);
    let told = world.root().join("told");
    let thread =
        json!({"type": "thread.started", "thread_id": "01a1f8ca-d597-7910-b0a5-b6f2115109ef"});
    let script = json!([
        {"do": "json", "value": thread},
        {"do": "write", "path": "first", "text": "1"},
        {"do": "write", "path": told},
        {"do": "wait_file", "path": world.root().join("never")},
    ]);
    let options = ["spawn", "-s", "workspace-write", "--workspace", "overlay"];
    let script = script.to_string();
    let job = world.ok(&[&options[..], &[&script]].concat());
    let job = job.trim();
    wait_for_file(&told);
    let next = json!([
        {"do": "wait_file", "path": "first"},
        {"do": "write", "path": "second", "text": "2"},
        {"do": "codex", "message": "done"},
    ]);
    let answer = world.json(&["interrupt", job, &next.to_string()]);
    let next = answer["newJob"]["jobId"]
        .as_str()
        .expect("a job")
        .to_owned();
    let state = world.wait_end(&next);
    assert_eq!(state, "completed", "{}", world.ok(&["status", &next]));
    let folder = |job: &str| world.json(&["status", job])["worktree"].clone();
    assert_eq!(folder(&next), folder(job));
    assert!(!world.work().join("first").exists());
    let applied = world.json(&["apply", &next]);
    assert_eq!(
        applied["applied"],
        json!(["first", "second"]),
        "{applied:#}"
    );
    none_left(&world);
}

#[test]
fn scopes_hold_and_their_folders_are_made_in_the_layer() {
    let world = world_of_two();
    commit(&world, &[("src/f", "1\n")]);
    let script = json!([
        {"do": "write", "path": "src/new/deep/g", "text": "2"},
        {"do": "codex", "message": "done"},
    ]);
    let options = [
        "spawn",
        "-s",
        "workspace-write",
        "--workspace",
        "overlay",
        "--scope",
        "src/new/deep",
    ];
    let job = world.ok(&[&options[..], &[&script.to_string()]].concat());
    let job = job.trim();
    assert_eq!(
        world.wait_end(job),
        "completed",
        "{}",
        world.ok(&["status", job])
    );
    assert!(!world.work().join("src/new").exists());
    let applied = world.json(&["apply", job]);
    assert_eq!(applied["applied"], json!(["src/new/deep/g"]), "{applied:#}");
}
