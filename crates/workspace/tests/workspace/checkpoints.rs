//! What a checkpoint keeps, and that it changes nothing of the user's.

use std::collections::BTreeMap;

use convoke_workspace::{
    checkpoint::{self, CheckpointError, CheckpointLimits, SkipReason},
    private_repository::PrivateRepository,
    tree_diff::{self, ChangeKind},
};

use crate::scene::{Scene, git, take};

/// What is different, as letters and paths.
fn difference(repository: &PrivateRepository, from: &str, to: &str) -> Vec<String> {
    let changes = tree_diff::between(repository, from, to, true).expect("a difference");
    let shown = changes.into_iter().map(|change| {
        let letter = match change.kind {
            ChangeKind::Add => "A",
            ChangeKind::Modify => "M",
            ChangeKind::Delete => "D",
            ChangeKind::Rename => "R",
            ChangeKind::Mode => "X",
        };
        format!("{letter} {}", change.path)
    });
    shown.collect()
}

/// All files of a kept state with their content.
fn kept(repository: &PrivateRepository, tree: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = repository.folder();
    let listed = git(folder, &["ls-tree", "-r", "-z", tree]);
    let files = listed.split('\0').filter(|line| !line.is_empty());
    files
        .filter_map(|line| {
            let (what, path) = line.split_once('\t').expect("a path");
            let object = what.split(' ').nth(2).expect("an object");
            let kind = what.split(' ').nth(1).expect("a kind");
            let show = [
                "-C",
                folder.to_str().expect("UTF-8"),
                "cat-file",
                "blob",
                object,
            ];
            let output = std::process::Command::new("git").args(show).output();
            (kind == "blob").then(|| (path.to_owned(), output.expect("git runs").stdout))
        })
        .collect()
}

/// Everything of the user's repository that no checkpoint may touch: every file
/// of it, byte for byte.
fn private_parts(scene: &Scene) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![scene.path(".git")];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(
                    path.display().to_string(),
                    fs_err::read(&path).expect("read"),
                );
            }
        }
    }
    found
}

#[test]
fn tracked_untracked_and_dirty_files_are_kept() {
    let scene = Scene::repository();
    scene.write("a", "dirty\n");
    scene.write("new", "untracked\n");
    scene.remove("folder/b");
    scene.git(&["stash", "list"]);
    let before = private_parts(&scene);
    let first = scene.checkpoint();
    assert_eq!(first.skipped, []);
    let ours = scene.open();
    let files = kept(&ours, &first.tree);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, [".gitignore", "a", "new"]);
    assert_eq!(files["a"], b"dirty\n");
    drop(ours);
    assert_eq!(scene.checkpoint(), first, "nothing changed");
    assert_eq!(private_parts(&scene), before, "the repository is as it was");
    scene.write("a", "dirtier\n");
    scene.write("folder/c", "c\n");
    let second = scene.checkpoint();
    let ours = scene.open();
    assert_eq!(
        difference(&ours, &first.tree, &second.tree),
        ["M a", "A folder/c"]
    );
}

#[test]
fn staged_content_that_was_changed_again_is_kept_as_it_lies_on_disk() {
    let scene = Scene::repository();
    scene.write("a", "staged\n");
    scene.git(&["add", "a"]);
    scene.write("a", "on disk\n");
    let checkpoint = scene.checkpoint();
    let ours = scene.open();
    assert_eq!(kept(&ours, &checkpoint.tree)["a"], b"on disk\n");
    drop(ours);
    assert_eq!(scene.git(&["diff", "--cached", "--name-only"]), "a\n");
}

#[test]
fn links_modes_binaries_and_odd_names_are_kept() {
    let scene = Scene::repository();
    let before = scene.checkpoint();
    scene.set_executable("a");
    scene.link("link", "../elsewhere");
    scene.write("binary", [0, 159, 146, 150, 0, 10, 13]);
    scene.write("odd \n\t\"name\" é", "odd\n");
    scene.write("-dash", "dash\n");
    scene.write("a*b", "star\n");
    let after = scene.checkpoint();
    let ours = scene.open();
    assert_eq!(
        difference(&ours, &before.tree, &after.tree),
        [
            "A -dash",
            "X a",
            "A a*b",
            "A binary",
            "A link",
            "A odd \n\t\"name\" é"
        ]
    );
    let files = kept(&ours, &after.tree);
    assert_eq!(files["link"], b"../elsewhere");
    assert_eq!(files["binary"], [0, 159, 146, 150, 0, 10, 13]);
}

#[test]
fn line_ends_are_kept_as_they_lie_on_disk() {
    let scene = Scene::plain();
    scene.git(&["init", "-q"]);
    scene.git(&["config", "core.autocrlf", "true"]);
    scene.write(".gitattributes", "*.txt text=auto eol=crlf\n*.id ident\n");
    scene.write("f.txt", "one\r\ntwo\r\n");
    scene.write("x.id", "$Id$\n");
    scene.git(&["add", "."]);
    scene.git(&["commit", "-q", "-m", "one"]);
    let checkpoint = scene.checkpoint();
    let ours = scene.open();
    let files = kept(&ours, &checkpoint.tree);
    assert_eq!(files["f.txt"], b"one\r\ntwo\r\n");
    assert_eq!(files["x.id"], b"$Id$\n");
}

#[test]
fn filters_do_not_run() {
    let scene = Scene::repository();
    let mark = scene.path("ignored-mark");
    scene.write(".git/info/exclude", "ignored-mark\n");
    let run = format!("touch '{}'; cat", mark.display());
    for key in ["filter.planted.clean", "filter.planted.smudge"] {
        scene.git(&["config", key, &run]);
    }
    scene.write(".gitattributes", "* filter=planted\n");
    scene.write("a", "changed\n");
    let checkpoint = scene.checkpoint();
    assert!(!mark.exists(), "a planted program ran");
    let ours = scene.open();
    assert_eq!(kept(&ours, &checkpoint.tree)["a"], b"changed\n");
}

#[test]
fn large_and_unreadable_files_are_named() {
    let scene = Scene::repository();
    scene.write("large", vec![b'x'; 2_000]);
    scene.write("small", "x");
    let limits = CheckpointLimits {
        file_bytes: 1_000,
        ..CheckpointLimits::default()
    };
    let ours = scene.open();
    let checkpoint = checkpoint::take(&ours, &limits).expect("a checkpoint");
    assert_eq!(checkpoint.skipped.len(), 1);
    let skipped = &checkpoint.skipped[0];
    assert_eq!(
        (skipped.path.as_str(), skipped.reason),
        ("large", SkipReason::Large)
    );
    assert_eq!(skipped.stamp.map(|(size, _)| size), Some(2_000));
    assert!(kept(&ours, &checkpoint.tree).contains_key("small"));
}

#[test]
fn a_plain_folder_is_kept_too() {
    let scene = Scene::plain();
    let empty = scene.checkpoint();
    scene.write("a", "a\n");
    scene.write("folder/b", "b\n");
    let full = scene.checkpoint();
    let ours = scene.open();
    assert_eq!(
        difference(&ours, &empty.tree, &full.tree),
        ["A a", "A folder/b"]
    );
}

#[test]
fn a_plain_folder_that_holds_too_much_is_not_kept() {
    let scene = Scene::plain();
    for n in 0..4 {
        scene.write(&format!("f{n}"), "x");
    }
    let limits = CheckpointLimits {
        plain_files: 3,
        ..CheckpointLimits::default()
    };
    let error = checkpoint::take(&scene.open(), &limits).unwrap_err();
    assert!(matches!(error, CheckpointError::TooLarge { .. }), "{error}");
    scene.remove("f0");
    checkpoint::take(&scene.open(), &limits).expect("a checkpoint");
}

#[test]
fn a_repository_without_a_commit_is_kept() {
    let scene = Scene::plain();
    scene.git(&["init", "-q"]);
    scene.write("a", "a\n");
    let first = scene.checkpoint();
    scene.git(&["add", "a"]);
    scene.write("b", "b\n");
    let second = scene.checkpoint();
    let ours = scene.open();
    assert_eq!(difference(&ours, &first.tree, &second.tree), ["A b"]);
}

#[test]
fn a_merge_under_way_is_kept_and_goes_on() {
    let scene = Scene::repository();
    scene.git(&["checkout", "-q", "-b", "other"]);
    scene.write("a", "theirs\n");
    scene.git(&["commit", "-q", "-a", "-m", "theirs"]);
    scene.git(&["checkout", "-q", "main"]);
    scene.write("a", "ours\n");
    scene.git(&["commit", "-q", "-a", "-m", "ours"]);
    let merged = std::process::Command::new("git")
        .arg("-C")
        .arg(scene.top())
        .args(["merge", "-q", "other"])
        .output();
    assert!(!merged.expect("git runs").status.success(), "a conflict");
    let before = private_parts(&scene);
    let checkpoint = scene.checkpoint();
    let ours = scene.open();
    let text = kept(&ours, &checkpoint.tree)["a"].clone();
    assert!(String::from_utf8_lossy(&text).contains("<<<<<<<"));
    assert_eq!(private_parts(&scene), before);
    assert!(scene.git(&["status", "--porcelain"]).starts_with("UU a"));
}

#[test]
fn a_linked_work_tree_is_kept() {
    let scene = Scene::repository();
    let linked = scene.top().with_file_name("linked");
    scene.git(&["worktree", "add", "-q", linked.to_str().expect("UTF-8")]);
    fs_err::write(linked.join("a"), "in the other\n").expect("written");
    let ours = scene.open_for(&linked);
    let checkpoint = take(&ours);
    assert_eq!(kept(&ours, &checkpoint.tree)["a"], b"in the other\n");
    drop(ours);
    let main = scene.checkpoint();
    assert_eq!(kept(&scene.open(), &main.tree)["a"], b"a\n");
}

/// A repository with another one in it as a submodule.
fn with_submodule() -> (Scene, Scene) {
    let scene = Scene::repository();
    let inner = Scene::repository();
    let source = inner.top();
    let source = source.to_str().expect("UTF-8");
    scene.git(&["submodule", "add", "-q", source, "inner"]);
    scene.git(&["commit", "-q", "-m", "with a submodule"]);
    (scene, inner)
}

#[test]
fn files_of_a_submodule_are_kept_like_others() {
    let (scene, _inner) = with_submodule();
    let before = scene.checkpoint();
    assert_eq!(before.skipped, []);
    let ours = scene.open();
    assert_eq!(kept(&ours, &before.tree)["inner/a"], b"a\n");
    drop(ours);
    scene.write("inner/a", "changed\n");
    scene.write("inner/new", "new\n");
    scene.write("inner/ignored", "not ours\n");
    let dirty = scene.checkpoint();
    git(&scene.path("inner"), &["add", "."]);
    git(&scene.path("inner"), &["commit", "-q", "-m", "two"]);
    let committed = scene.checkpoint();
    let ours = scene.open();
    let changed = ["M inner/a", "A inner/new"];
    assert_eq!(difference(&ours, &before.tree, &dirty.tree), changed);
    assert_eq!(committed.tree, dirty.tree);
}

#[test]
fn a_repository_that_comes_later_is_kept_too() {
    let scene = Scene::repository();
    let before = scene.checkpoint();
    let inner = scene.path("vendor/inner");
    fs_err::create_dir_all(&inner).expect("made");
    git(&inner, &["init", "-q"]);
    scene.write("vendor/inner/f", "f\n");
    fs_err::create_dir_all(inner.join("deeper")).expect("made");
    git(&inner.join("deeper"), &["init", "-q"]);
    scene.write("vendor/inner/deeper/g", "g\n");
    let after = scene.checkpoint();
    let ours = scene.open();
    let changed = ["A vendor/inner/deeper/g", "A vendor/inner/f"];
    assert_eq!(difference(&ours, &before.tree, &after.tree), changed);
    drop(ours);
    scene.write("vendor/inner/f", "changed\n");
    let last = scene.checkpoint();
    let ours = scene.open();
    let changed = ["M vendor/inner/f"];
    assert_eq!(difference(&ours, &after.tree, &last.tree), changed);
}

#[test]
fn an_index_of_before_is_brought_up_to_date() {
    let (scene, _inner) = with_submodule();
    scene.checkpoint();
    // As it was when only the commit was kept.
    let ours = scene.open();
    let (folder, top) = (ours.folder().to_owned(), scene.top());
    drop(ours);
    let head = git(&scene.path("inner"), &["rev-parse", "HEAD"]);
    let in_ours = |arguments: &[&str]| {
        let folder = folder.to_str().expect("UTF-8");
        let top_text = top.to_str().expect("UTF-8");
        let place = ["--git-dir", folder, "--work-tree", top_text];
        git(&top, &[&place[..], arguments].concat())
    };
    in_ours(&["rm", "-q", "-r", "--cached", "inner"]);
    let link = format!("160000,{},inner", head.trim());
    in_ours(&["update-index", "--add", "--cacheinfo", &link]);
    let identity = folder.join("tree.json");
    let text = fs_err::read_to_string(&identity).expect("read");
    fs_err::write(&identity, text.replace(",\"nested\":true", "")).expect("written");
    let _ = fs_err::remove_file(folder.join("index.tree"));
    let after = scene.checkpoint();
    assert_eq!(kept(&scene.open(), &after.tree)["inner/a"], b"a\n");
}

#[test]
fn files_that_are_hidden_from_git_are_kept_all_the_same() {
    let scene = Scene::repository();
    scene.git(&["update-index", "--assume-unchanged", "a"]);
    scene.write("a", "hidden\n");
    let checkpoint = scene.checkpoint();
    assert_eq!(kept(&scene.open(), &checkpoint.tree)["a"], b"hidden\n");
}

#[test]
fn what_the_user_ignores_meanwhile_is_ignored() {
    let scene = Scene::repository();
    let before = scene.checkpoint();
    scene.write(".git/info/exclude", "private\n");
    scene.write("private", "x\n");
    assert_eq!(scene.checkpoint().tree, before.tree);
}

/// A tree that stays as it is long enough to be remembered as unchanged.
fn remembered(scene: &Scene) -> String {
    let ours = scene.open();
    take(&ours);
    // Stamps that are too young say nothing.
    let begun = std::time::Instant::now();
    wait_until(|| begun.elapsed() > std::time::Duration::from_millis(80));
    let first = take(&ours).tree;
    for _ in 0..4 {
        assert_eq!(take(&ours).tree, first);
    }
    // Git is not asked any more: it could not answer.
    let (head, away) = (ours.folder().join("HEAD"), ours.folder().join("HEAD.away"));
    fs_err::rename(&head, &away).expect("moved away");
    assert_eq!(take(&ours).tree, first);
    fs_err::rename(&away, &head).expect("moved back");
    first
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

#[test]
fn nothing_is_missed_in_a_tree_that_is_remembered() {
    type Act = fn(&Scene);
    let acts: [(&str, Act); 10] = [
        ("a file is changed", |s| s.write("a", "b\n")),
        ("a file of the same size", |s| s.write("folder/b", "c\n")),
        ("a file is new at the top", |s| s.write("new", "x\n")),
        ("a file is new in a folder", |s| {
            s.write("folder/new", "x\n")
        }),
        ("a file is new in an empty folder", |s| {
            s.write("empty/within/new", "x\n")
        }),
        ("a file is gone", |s| s.remove("a")),
        ("a mode is changed", |s| s.set_executable("a")),
        ("a file is moved", |s| {
            fs_err::rename(s.path("a"), s.path("folder/a")).expect("moved");
        }),
        ("what is ignored changes", |s| {
            s.write(".gitignore", "nothing\n")
        }),
        ("what is ignored besides changes", |s| {
            s.write(".git/info/exclude", "untracked\n");
        }),
    ];
    for (what, act) in acts {
        let scene = Scene::repository();
        fs_err::create_dir_all(scene.path("empty/within")).expect("created");
        scene.write("untracked", "x\n");
        let before = remembered(&scene);
        act(&scene);
        let after = scene.checkpoint();
        if what == "what is ignored besides changes" {
            // What is kept already stays.
            continue;
        }
        assert_ne!(after.tree, before, "{what}");
    }
}

#[test]
fn what_is_ignored_may_change_in_a_tree_that_is_remembered() {
    let scene = Scene::repository();
    scene.write("built/file", "x\n");
    scene.write(".gitignore", "ignored\nbuilt\n");
    let before = remembered(&scene);
    scene.write("built/file", "y\n");
    scene.write("built/other", "y\n");
    scene.write("ignored", "other\n");
    assert_eq!(scene.checkpoint().tree, before);
}

#[test]
fn files_that_are_hidden_from_git_later_changed_are_seen() {
    let scene = Scene::repository();
    scene.git(&["update-index", "--assume-unchanged", "a"]);
    scene.git(&["update-index", "--skip-worktree", "folder/b"]);
    let before = scene.checkpoint();
    scene.write("a", "hidden\n");
    scene.write("folder/b", "hidden\n");
    let after = scene.checkpoint();
    let ours = scene.open();
    assert_eq!(
        difference(&ours, &before.tree, &after.tree),
        ["M a", "M folder/b"]
    );
}

#[test]
fn pipes_are_no_hindrance() {
    let scene = Scene::repository();
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo")
            .arg(scene.path(name))
            .status();
        assert!(made.expect("mkfifo runs").success());
    };
    let before = scene.checkpoint();
    scene.remove("a");
    pipe("a");
    pipe("other");
    scene.write("new", "x\n");
    let after = scene.checkpoint();
    let ours = scene.open();
    assert_eq!(
        difference(&ours, &before.tree, &after.tree),
        ["D a", "A new"]
    );
    drop(ours);
    let plain = Scene::repository();
    fs_err::remove_file(plain.path(".git/info/exclude")).expect("removed");
    let exclude = plain.path(".git/info/exclude");
    let made = std::process::Command::new("mkfifo").arg(&exclude).status();
    assert!(made.expect("mkfifo runs").success());
    plain.checkpoint();
}

#[test]
fn an_index_in_parts_is_no_hindrance() {
    let scene = Scene::repository();
    scene.git(&["config", "core.splitIndex", "true"]);
    scene.git(&["update-index", "--split-index"]);
    scene.write("a", "changed\n");
    let checkpoint = scene.checkpoint();
    let ours = scene.open();
    assert_eq!(kept(&ours, &checkpoint.tree).len(), 3);
}

#[test]
fn nothing_of_it_is_lost_when_the_user_cleans_up() {
    let scene = Scene::repository();
    scene.write("a", "staged only\n");
    scene.git(&["add", "a"]);
    let checkpoint = scene.checkpoint();
    scene.git(&["checkout", "-q", "--orphan", "empty"]);
    scene.git(&["reset", "-q", "--hard"]);
    scene.git(&["branch", "-q", "-D", "main"]);
    scene.git(&["reflog", "expire", "--expire=now", "--all"]);
    scene.git(&["gc", "-q", "--prune=now"]);
    let ours = scene.open();
    assert!(checkpoint::is_whole(&ours, &checkpoint.tree).expect("an answer"));
    let files = kept(&ours, &checkpoint.tree);
    assert_eq!(files["a"], b"staged only\n");
    assert_eq!(files["folder/b"], b"b\n");
}

#[test]
fn a_missing_object_is_noticed() {
    let scene = Scene::repository();
    scene.write("a", "only here\n");
    let checkpoint = scene.checkpoint();
    let ours = scene.open();
    assert!(checkpoint::is_whole(&ours, &checkpoint.tree).expect("an answer"));
    let object = git(&scene.top(), &["hash-object", "a"]);
    let (folder, file) = object.trim().split_at(2);
    let path = ours.folder().join("objects").join(folder).join(file);
    fs_err::remove_file(path).expect("removed");
    assert!(!checkpoint::is_whole(&ours, &checkpoint.tree).expect("an answer"));
}

#[test]
fn an_index_that_cannot_be_read_is_made_anew() {
    let scene = Scene::repository();
    let before = scene.checkpoint();
    fs_err::write(scene.open().folder().join("index"), "no index").expect("damaged");
    assert_eq!(scene.checkpoint(), before);
}

#[test]
fn a_git_that_was_killed_leaves_nothing_in_the_way() {
    let scene = Scene::repository();
    let ours = scene.open();
    let lock = ours.folder().join("index.lock");
    fs_err::write(&lock, "").expect("left");
    drop(ours);
    scene.write("a", "changed\n");
    let checkpoint = scene.checkpoint();
    assert_eq!(kept(&scene.open(), &checkpoint.tree)["a"], b"changed\n");
}

#[test]
fn a_file_in_place_of_a_folder_and_the_other_way_round() {
    let scene = Scene::repository();
    let before = scene.checkpoint();
    scene.remove("folder/b");
    fs_err::remove_dir(scene.path("folder")).expect("removed");
    scene.write("folder", "a file now\n");
    scene.remove("a");
    scene.write("a/inner", "a folder now\n");
    let after = scene.checkpoint();
    let ours = scene.open();
    assert_eq!(
        difference(&ours, &before.tree, &after.tree),
        ["D a", "A a/inner", "A folder", "D folder/b"]
    );
}
