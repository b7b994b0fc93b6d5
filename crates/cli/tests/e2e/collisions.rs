//! A corpus of what two or three writers, and the user, do to one working tree at
//! the same time, with what is known of it: no collision is missed, none is made up,
//! and no version of a file is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::{Duration, Instant},
};

use convoke_test_support::{environment::TestEnvironment, wait::wait_for};
use serde_json::{Value, json};

use crate::{
    changes::{changes, commit, world_of_two},
    conflicts::{Stepping, conflicts},
};

/// Ten numbered lines.
const TEN: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";

/// One thing that happens: who does it, and the command.
#[derive(Clone, Copy)]
enum Act {
    /// A writer's command, of which its agent tells no file.
    Runs(&'static str, &'static str),
    /// A writer's patch, of which its agent tells the file.
    Patches(&'static str, &'static str, &'static str),
    /// The user does it while no writer has a command at work.
    User(&'static str),
    /// A writer ends; those that are not named end last.
    Ends(&'static str),
}
use Act::{Ends, Patches, Runs, User};

/// What happens, and what is true of it.
struct Case {
    files: &'static [(&'static str, &'static str)],
    acts: &'static [Act],
    /// Each path that collides, with the two writers.
    collide: &'static [(&'static str, [&'static str; 2])],
    /// Paths that the user changed.
    outside: &'static [&'static str],
}

/// Two files of ten lines, and nothing that happens to them.
const PLAIN: Case = Case {
    files: &[("f", TEN), ("g", TEN)],
    acts: &[],
    collide: &[],
    outside: &[],
};

fn play(case: &Case) {
    let world = world_of_two();
    commit(&world, case.files);
    let writers = writers(case);
    let workers: BTreeMap<&str, Stepping> = writers
        .iter()
        .map(|name| {
            (
                *name,
                Stepping::start(&world, name, &steps(&world, case, name)),
            )
        })
        .collect();
    let mut contents = Vec::new();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut live = writers.clone();
    for act in case.acts {
        match act {
            Runs(who, _) | Patches(who, ..) => {
                let nth = done.entry(who).or_default();
                workers[who].go(&world, *nth);
                *nth += 1;
            }
            User(command) => {
                in_quiet();
                shell(&world, command);
                in_quiet();
            }
            Ends(who) => {
                workers[who].end(&world);
                live.remove(who);
            }
        }
        // A version stands until it is kept.
        contents.extend(kept_versions(&world));
    }
    for who in live {
        workers[who].end(&world);
    }
    let jobs: BTreeMap<&str, String> = workers
        .iter()
        .map(|(name, worker)| (*name, worker.job.clone()))
        .collect();
    check_collisions(&world, case, &jobs);
    check_attribution(&world, case, &jobs);
    check_versions(&world, &contents);
}

fn writers(case: &Case) -> BTreeSet<&'static str> {
    let who = case.acts.iter().filter_map(|act| match act {
        Runs(who, _) | Patches(who, ..) | Ends(who) => Some(*who),
        User(_) => None,
    });
    who.collect()
}

/// What a writer does, step by step, and as what its agent tells of it.
fn steps(world: &TestEnvironment, case: &Case, name: &str) -> Vec<(Value, Value)> {
    let run = |command: &str| json!({"do": "run", "argv": ["sh", "-c", command]});
    let mut steps = Vec::new();
    for act in case.acts {
        let item = match act {
            Runs(who, command) if *who == name => {
                json!({"type": "command_execution", "command": command})
            }
            Patches(who, path, _) if *who == name => json!({"type": "file_change",
                "changes": [{"path": world.work().join(path), "kind": "update"}]}),
            _ => continue,
        };
        let (Runs(_, command) | Patches(_, _, command)) = act else {
            continue;
        };
        steps.push((item, run(command)));
    }
    steps
}

/// Lets so much time go by that no command counts as at work.
fn in_quiet() {
    let since = Instant::now();
    wait_for("no command to be at work", || {
        match since.elapsed() > Duration::from_millis(300) {
            true => Ok(()),
            false => Err("one may be".to_owned()),
        }
    });
}

fn shell(world: &TestEnvironment, command: &str) {
    let done = Command::new("sh")
        .args(["-c", command])
        .current_dir(world.work())
        .status();
    assert!(done.expect("a shell").success(), "{command}");
}

/// The present content of each file that is not ignored, once it is on record.
fn kept_versions(world: &TestEnvironment) -> Vec<(String, String)> {
    let listed = world.git(&[
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    let files = paths.filter(|path| {
        fs_err::symlink_metadata(world.work().join(path)).is_ok_and(|meta| meta.is_file())
    });
    let files: BTreeSet<String> = files.map(str::to_owned).collect();
    let now: Vec<(String, String)> = files
        .into_iter()
        .map(|path| {
            let object = world.git(&["hash-object", "--no-filters", "--", &path]);
            (path, object.trim().to_owned())
        })
        .collect();
    for (path, object) in &now {
        wait_for("the version to be kept", || {
            let all = all_versions(world, path);
            // What was committed has no time; what changed since has one.
            let is_seen = all.last().is_some_and(|last| {
                last["versionId"] == **object && (all.len() == 1 || !last["at"].is_null())
            });
            match is_seen {
                true => Ok(()),
                false => Err(format!("{path} {object}: {all:?}")),
            }
        });
    }
    now
}

fn all_versions(world: &TestEnvironment, path: &str) -> Vec<Value> {
    let found = world.json(&["versions", "--", path]);
    found["versions"].as_array().expect("versions").clone()
}

/// Names of the versions of a file that are kept.
fn versions(world: &TestEnvironment, path: &str) -> BTreeSet<String> {
    all_versions(world, path)
        .iter()
        .filter_map(|one| one["versionId"].as_str().map(str::to_owned))
        .collect()
}

fn check_collisions(world: &TestEnvironment, case: &Case, jobs: &BTreeMap<&str, String>) {
    let name = |job: &Value| {
        let found = jobs.iter().find(|(_, id)| job == id.as_str());
        *found.expect("one of the writers").0
    };
    let found = conflicts(world, &[]);
    let told: BTreeSet<(String, BTreeSet<&str>)> = found
        .iter()
        .map(|one| {
            let ids = one["jobIds"].as_array().expect("jobs");
            let path = one["path"].as_str().expect("a path").to_owned();
            (path, ids.iter().map(name).collect())
        })
        .collect();
    let true_ones: BTreeSet<(String, BTreeSet<&str>)> = case
        .collide
        .iter()
        .map(|(path, pair)| ((*path).to_owned(), BTreeSet::from(*pair)))
        .collect();
    assert_eq!(told, true_ones, "{found:#?}");
    let guessed: Vec<&Value> = found
        .iter()
        .filter(|one| one["kind"] == "possible")
        .collect();
    assert!(guessed.is_empty(), "{guessed:#?}");
}

fn check_attribution(world: &TestEnvironment, case: &Case, jobs: &BTreeMap<&str, String>) {
    let collides = |path: &str| case.collide.iter().any(|(one, _)| *one == path);
    for job in jobs.values() {
        let found = changes(world, job);
        for path in case.outside {
            let is_its = found["changes"].as_array().expect("changes").iter();
            let mut is_its = is_its.filter(|change| change["path"] == *path);
            let certain = is_its.any(|change| change["attribution"] == "job");
            assert!(!certain, "{path} is the user's: {found:#}");
        }
        for change in found["changes"].as_array().expect("changes") {
            let path = change["path"].as_str().expect("a path");
            let is_plain = !collides(path) && !case.outside.contains(&path);
            let old = change["oldPath"].as_str().is_some_and(collides);
            if is_plain && !old {
                assert_eq!(change["attribution"], "job", "{found:#}");
            }
        }
    }
}

fn check_versions(world: &TestEnvironment, contents: &[(String, String)]) {
    let paths: BTreeSet<&String> = contents.iter().map(|(path, _)| path).collect();
    for path in paths {
        let kept = versions(world, path);
        let all = contents.iter().filter(|(one, _)| one == path);
        for (_, object) in all {
            assert!(kept.contains(object), "{path} {object}: {kept:?}");
        }
    }
}

macro_rules! corpus {
    ($($name:ident: {
        $(files: $files:expr,)?
        acts: $acts:expr,
        $(collide: $collide:expr,)?
        $(outside: $outside:expr,)?
    })*) => {$(
        #[test]
        fn $name() {
            play(&Case {
                acts: &$acts,
                $(files: &$files,)?
                $(collide: &$collide,)?
                $(outside: &$outside,)?
                ..PLAIN
            });
        }
    )*};
}

corpus! {
    // Files of their own.
    two_files: {
        acts: [Runs("a", "echo a >> f"), Runs("b", "echo b >> g")],
    }
    three_files: {
        files: [("f", TEN), ("g", TEN), ("h", TEN)],
        acts: [Runs("a", "echo a >> f"), Runs("b", "echo b >> g"), Runs("c", "echo c >> h")],
    }
    new_files_beside_each_other: {
        acts: [Runs("a", "mkdir -p new && echo a > new/a"), Runs("b", "mkdir -p new && echo b > new/b")],
    }
    the_same_file_after_the_other_ended: {
        acts: [Runs("a", "echo a >> g"), Ends("a"), Runs("b", "echo b >> f")],
    }
    one_deletes_what_the_other_never_touches: {
        acts: [Runs("a", "rm f"), Runs("b", "echo b >> g")],
    }
    moves_of_their_own: {
        acts: [Runs("a", "mv f f2"), Runs("b", "mv g g2")],
    }
    patches_of_their_own: {
        acts: [Patches("a", "f", "echo a >> f"), Patches("b", "g", "echo b >> g"), Patches("a", "f", "echo a >> f")],
    }
    a_folder_moved_beside_an_edit: {
        files: [("d/x", TEN), ("d/y", TEN), ("f", TEN)],
        acts: [Runs("a", "mv d e"), Runs("b", "echo b >> f")],
    }
    the_same_name_in_two_folders: {
        files: [("d/f", TEN), ("e/f", TEN)],
        acts: [Runs("a", "echo a >> d/f"), Runs("b", "echo b >> e/f")],
    }
    names_that_need_care: {
        files: [("with space", TEN), ("naïve.txt", TEN)],
        acts: [Runs("a", "echo a >> 'with space'"), Runs("b", "echo b >> naïve.txt"), Runs("a", "echo x > '-x'")],
    }

    // The same file.
    lines_apart: {
        acts: [Runs("a", "sed -i '1s/.*/a/' f"), Runs("b", "sed -i '10s/.*/b/' f")],
        collide: [("f", ["a", "b"])],
    }
    the_same_line: {
        acts: [Runs("a", "sed -i '5s/.*/a/' f"), Runs("b", "sed -i '5s/.*/b/' f")],
        collide: [("f", ["a", "b"])],
    }
    lines_side_by_side: {
        acts: [Runs("a", "sed -i '5s/.*/a/' f"), Runs("b", "sed -i '6s/.*/b/' f")],
        collide: [("f", ["a", "b"])],
    }
    both_append: {
        acts: [Runs("a", "echo a >> f"), Runs("b", "echo b >> f"), Runs("a", "echo a2 >> f")],
        collide: [("f", ["a", "b"])],
    }
    one_puts_lines_in_and_the_other_takes_some_out: {
        acts: [Runs("a", "sed -i '2i new' f"), Runs("b", "sed -i '8,9d' f")],
        collide: [("f", ["a", "b"])],
    }
    three_in_one_file: {
        acts: [Runs("a", "sed -i '1s/.*/a/' f"), Runs("b", "sed -i '5s/.*/b/' f"), Runs("c", "sed -i '10s/.*/c/' f")],
        collide: [("f", ["a", "b"]), ("f", ["a", "c"]), ("f", ["b", "c"])],
    }
    two_of_three_in_one_file: {
        acts: [Runs("a", "echo a >> f"), Runs("b", "echo b >> g"), Runs("c", "echo c >> f")],
        collide: [("f", ["a", "c"])],
    }
    a_patch_and_a_command: {
        acts: [Patches("a", "f", "sed -i '1s/.*/a/' f"), Runs("b", "sed -i '9s/.*/b/' f")],
        collide: [("f", ["a", "b"])],
    }
    two_patches: {
        acts: [Patches("a", "f", "sed -i '1s/.*/a/' f"), Patches("b", "f", "sed -i '9s/.*/b/' f")],
        collide: [("f", ["a", "b"])],
    }
    in_turns: {
        acts: [Runs("a", "echo a1 >> f"), Runs("b", "echo b1 >> f"), Runs("a", "echo a2 >> f"), Runs("b", "echo b2 >> f")],
        collide: [("f", ["a", "b"])],
    }
    two_files_both: {
        acts: [Runs("a", "echo a >> f; echo a >> g"), Runs("b", "echo b >> f; echo b >> g")],
        collide: [("f", ["a", "b"]), ("g", ["a", "b"])],
    }
    one_ended_before_the_other_wrote: {
        acts: [Runs("a", "echo a >> f"), Ends("a"), Runs("b", "echo b >> f")],
        collide: [("f", ["a", "b"])],
    }

    // Nothing is left of it.
    written_over_as_a_whole: {
        acts: [Runs("a", "sed -i '1s/.*/a/' f"), Runs("b", "printf 'b\\n' > f")],
        collide: [("f", ["a", "b"])],
    }
    put_back_as_it_was: {
        acts: [Runs("a", "sed -i '1s/.*/a/' f"), Runs("b", "git show HEAD:f > f")],
        collide: [("f", ["a", "b"])],
    }
    deleted_after_an_edit: {
        acts: [Runs("a", "echo a >> f"), Runs("b", "rm f")],
        collide: [("f", ["a", "b"])],
    }
    edited_after_it_was_deleted: {
        acts: [Runs("a", "rm f"), Runs("b", "printf 'b\\n' > f")],
        collide: [("f", ["a", "b"])],
    }
    made_by_both: {
        acts: [Runs("a", "echo a > new"), Runs("b", "echo b > new")],
        collide: [("new", ["a", "b"])],
    }
    made_and_deleted_by_the_other: {
        acts: [Runs("a", "echo a > new"), Runs("b", "rm new")],
        collide: [("new", ["a", "b"])],
    }
    saved_by_way_of_another_file: {
        acts: [Runs("a", "echo a > f.tmp && mv f.tmp f"), Runs("b", "echo b > f.new && mv f.new f")],
        collide: [("f", ["a", "b"])],
    }

    // Moves.
    moved_after_an_edit: {
        acts: [Runs("a", "echo a >> f"), Runs("b", "mv f moved")],
        collide: [("f", ["a", "b"])],
    }
    edited_where_it_was_moved_to: {
        acts: [Runs("a", "mv f moved"), Runs("b", "echo b >> moved")],
        collide: [("moved", ["a", "b"])],
    }
    edited_under_its_old_name: {
        acts: [Runs("a", "mv f moved"), Runs("b", "printf 'b\\n' > f")],
        collide: [("f", ["a", "b"])],
    }
    a_folder_moved_after_an_edit_in_it: {
        files: [("d/x", TEN), ("d/y", TEN)],
        acts: [Runs("a", "echo a >> d/x"), Runs("b", "mv d e")],
        collide: [("d/x", ["a", "b"])],
    }
    an_edit_in_a_folder_that_was_moved: {
        files: [("d/x", TEN), ("d/y", TEN)],
        acts: [Runs("a", "mv d e"), Runs("b", "echo b >> e/x")],
        collide: [("e/x", ["a", "b"])],
    }
    moved_by_both_in_turn: {
        acts: [Runs("a", "mv f one"), Runs("b", "mv one two")],
        collide: [("one", ["a", "b"])],
    }

    // Other things than lines.
    a_mode_and_an_edit: {
        acts: [Runs("a", "chmod +x f"), Runs("b", "echo b >> f")],
        collide: [("f", ["a", "b"])],
    }
    modes_of_two_files: {
        acts: [Runs("a", "chmod +x f"), Runs("b", "chmod +x g")],
    }
    only_blanks: {
        acts: [Runs("a", "sed -i 's/^/ /' f"), Runs("b", "sed -i '3s/$/ b/' f")],
        collide: [("f", ["a", "b"])],
    }
    ends_of_lines: {
        acts: [Runs("a", "sed -i 's/$/\\r/' f"), Runs("b", "sed -i '3s/.*/b/' f")],
        collide: [("f", ["a", "b"])],
    }
    bytes: {
        acts: [Runs("a", "printf '\\000\\001a' > f"), Runs("b", "printf '\\000\\002b' > f")],
        collide: [("f", ["a", "b"])],
    }
    a_file_made_a_folder: {
        acts: [Runs("a", "echo a >> f"), Runs("b", "rm f && mkdir f && echo b > f/x")],
        collide: [("f", ["a", "b"])],
    }
    a_file_made_a_link: {
        acts: [Runs("a", "echo a >> f"), Runs("b", "ln -sf g f")],
        collide: [("f", ["a", "b"])],
    }
    touched_and_not_changed: {
        acts: [Runs("a", "echo a >> f"), Runs("b", "touch f; cat f > /dev/null")],
    }
    the_same_text_twice: {
        acts: [Runs("a", "printf 'x\\n' > new"), Runs("b", "printf 'x\\n' > new")],
    }

    // Tools that touch much.
    a_formatter_after_an_edit: {
        files: [("f", TEN), ("g", TEN), ("h", TEN)],
        acts: [Runs("a", "echo a >> f"), Runs("b", "sed -i 's/^/  /' f g h")],
        collide: [("f", ["a", "b"])],
    }
    a_formatter_that_changes_nothing: {
        acts: [Runs("a", "echo a >> f"), Runs("b", "for x in f g; do cp $x $x.tmp && mv $x.tmp $x; done")],
    }
    generated_files: {
        files: [("f", TEN), ("g", TEN), (".gitignore", "out/\n*.o\n")],
        acts: [
            Runs("a", "mkdir -p out && echo a > out/x && echo a > f.o && echo a >> f"),
            Runs("b", "mkdir -p out && echo b > out/x && echo b > f.o && echo b >> g"),
        ],
    }

    // The user.
    the_user_edits_another_file: {
        acts: [Runs("a", "echo a >> f"), User("echo user >> g"), Runs("a", "echo a >> f")],
        outside: ["g"],
    }
    the_user_edits_while_two_work: {
        files: [("f", TEN), ("g", TEN), ("h", TEN)],
        acts: [Runs("a", "echo a >> f"), User("echo user >> h"), Runs("b", "echo b >> g")],
        outside: ["h"],
    }
    the_user_edits_the_same_file: {
        acts: [Runs("a", "sed -i '1s/.*/a/' f"), User("sed -i '9s/.*/user/' f"), Runs("b", "echo b >> g")],
        outside: ["f"],
    }
    the_user_edits_between_two_writers: {
        acts: [Runs("a", "sed -i '1s/.*/a/' f"), User("sed -i '5s/.*/user/' f"), Runs("b", "sed -i '9s/.*/b/' f")],
        collide: [("f", ["a", "b"])],
        outside: ["f"],
    }
    the_user_deletes_and_makes: {
        acts: [Runs("a", "echo a >> f"), User("rm g; echo user > made"), Runs("b", "echo b > other")],
        outside: ["g", "made"],
    }
}
