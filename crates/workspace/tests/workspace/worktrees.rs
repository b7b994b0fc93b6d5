//! Working trees of their own, and bringing back what was done in them.

use std::path::PathBuf;

use convoke_workspace::{
    apply::{self, Sides},
    checkpoint::{self, Checkpoint},
    private_repository::{Edge, PrivateRepository},
    worktree,
};

use crate::scene::{Entry, Scene, files_in, git, take};

/// A scene with a working tree of its own beside it.
struct Own {
    scene: Scene,
    base: Checkpoint,
    top: PathBuf,
}

impl Own {
    fn of(scene: Scene) -> Self {
        let top = scene.top().with_file_name("own").join("tree");
        let ours = scene.open();
        let base = take(&ours);
        let view = ours.view(&top, "j1").expect("a view");
        worktree::create(&scene.top(), &view, &base).expect("created");
        assert_eq!(take(&view), base);
        drop((ours, view));
        Self { scene, base, top }
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.top.join(name), text).expect("written");
    }

    fn result(&self, ours: &PrivateRepository) -> Checkpoint {
        take(&ours.view(&self.top, "j1").expect("a view"))
    }

    /// What would come of applying it, and what did.
    fn apply(&self) -> (apply::Applied, apply::Applied) {
        let ours = self.scene.open();
        let (theirs, now) = (self.result(&ours), take(&ours));
        let sides = Sides {
            base: &self.base,
            theirs: &theirs,
            ours: &now,
        };
        let planned = apply::plan(&ours, sides).expect("a plan");
        assert_eq!(take(&ours), now, "a plan writes nothing");
        match planned.conflicts.is_empty() {
            true => (planned, apply::write(&ours, sides).expect("applied")),
            false => (planned.clone(), planned),
        }
    }
}

/// A scene with every kind of change that is not committed.
fn dirty() -> Scene {
    let scene = Scene::repository();
    for name in ["changed", "staged", "gone", "mode"] {
        scene.write(name, "0\n");
    }
    scene.git(&["add", "."]);
    scene.git(&["commit", "-q", "-m", "two"]);
    scene.write("changed", "1\r\n");
    scene.write("staged", "1\n");
    scene.git(&["add", "staged"]);
    scene.remove("gone");
    scene.set_executable("mode");
    scene.write("new/file", b"\x00\xffbinary");
    scene.link("link", "nowhere");
    scene
}

#[test]
fn it_holds_what_the_tree_holds_and_the_tree_stays_as_it_is() {
    let scene = dirty();
    let state = |scene: &Scene| {
        let index = fs_err::read(scene.path(".git/index")).expect("an index");
        let refs = scene.git(&["for-each-ref"]);
        let reflog = fs_err::read(scene.path(".git/logs/HEAD")).expect("a reflog");
        (scene.files(), index, refs, reflog)
    };
    let before = state(&scene);
    let own = Own::of(scene);
    assert_eq!(state(&own.scene), before);
    let mut files = files_in(&own.top);
    files.remove(".git");
    assert_eq!(files, own.scene.files());
    assert!(!own.top.join("ignored").exists());
    // What was staged is not staged here.
    let status = git(&own.top, &["status", "--porcelain"]);
    let expected = " M changed\n D gone\n M mode\n M staged\n?? link\n?? new/\n";
    assert_eq!(status, expected);
    let head = |folder| git(folder, &["rev-parse", "HEAD"]);
    assert_eq!(head(&own.top), head(&own.scene.top()));

    worktree::remove(&own.scene.top(), &own.top).expect("removed");
    assert!(!own.top.exists());
    assert_eq!(own.scene.git(&["worktree", "list"]).lines().count(), 1);
    worktree::remove(&own.scene.top(), &own.top).expect("nothing to remove");
}

#[test]
fn without_a_commit_or_without_git_it_is_a_plain_folder() {
    let unborn = Scene::plain();
    unborn.git(&["init", "-q"]);
    for scene in [unborn, Scene::plain()] {
        scene.write("a/b", "1\n");
        let own = Own::of(scene);
        let file = Entry::File {
            content: b"1\n".to_vec(),
            executable: false,
        };
        assert_eq!(files_in(&own.top), [("a/b".to_owned(), file)].into());
        own.write("a/b", "2\n");
        let (_, done) = own.apply();
        assert_eq!(done.applied, ["a/b"]);
        let text = fs_err::read_to_string(own.scene.path("a/b")).expect("read");
        assert_eq!(text, "2\n");
        worktree::remove(&own.scene.top(), &own.top).expect("removed");
        assert!(!own.top.exists());
    }
}

#[test]
fn one_that_is_half_made_or_half_gone_is_made_anew() {
    let own = Own::of(dirty());
    fs_err::remove_file(own.top.join(".git")).expect("removed");
    fs_err::write(own.top.join("left"), "over").expect("written");
    let ours = own.scene.open();
    let view = ours.view(&own.top, "j1").expect("a view");
    worktree::create(&own.scene.top(), &view, &own.base).expect("created");
    assert_eq!(take(&view), own.base);
    assert!(!own.top.join("left").exists());
    fs_err::remove_dir_all(&own.top).expect("removed");
    worktree::create(&own.scene.top(), &view, &own.base).expect("created");
    assert_eq!(take(&view), own.base);
    fs_err::remove_dir_all(&own.top).expect("removed");
    worktree::remove(&own.scene.top(), &own.top).expect("removed");
    assert_eq!(own.scene.git(&["worktree", "list"]).lines().count(), 1);
}

/// What only the index of its own tree holds may be collected meanwhile.
#[test]
fn a_state_of_it_is_whole_also_after_others_were_forgotten() {
    let own = Own::of(Scene::repository());
    own.write("new", "only here\n");
    let ours = own.scene.open();
    let early = own.result(&ours);
    let keep = |writer: &str| {
        let state = take(&ours);
        ours.keep(writer, (Edge::Before, 1), 1, state)
            .expect("kept");
    };
    keep("j8");
    keep("j9");
    assert_eq!(ours.forget(|writer| writer != "j9").expect("forgotten"), 1);
    let late = own.result(&ours);
    assert_eq!(late, early);
    assert!(checkpoint::is_whole(&ours, &late.tree).expect("looked at"));
}

#[test]
fn our_own_folders_are_no_part_of_a_tree_they_lie_in() {
    for scene in [Scene::repository(), Scene::plain()] {
        scene.write("f", "1\n");
        let folder = scene.path(".local/state #1/trees");
        let ours = PrivateRepository::open(&folder, &scene.top()).expect("it opens");
        let first = take(&ours);
        ours.keep("j1", (Edge::Before, 1), 1, first.clone())
            .expect("kept");
        assert_eq!(take(&ours).tree, first.tree);
        let names = git(
            ours.folder(),
            &["ls-tree", "-r", "--name-only", &first.tree],
        );
        assert!(names.contains("f\n") && !names.contains("state"), "{names}");
    }
}

#[test]
fn changes_are_merged_with_what_was_edited_since() {
    let scene = Scene::repository();
    scene.write("lines", "1\n2\n3\n4\n5\n");
    scene.write("both", "same\n");
    scene.write("gone", "0\n");
    let own = Own::of(scene);
    own.write("lines", "one\n2\n3\n4\n5\n");
    own.write("both", "now\n");
    own.write("new", "1\n");
    fs_err::remove_file(own.top.join("gone")).expect("removed");
    own.scene.write("lines", "1\n2\n3\n4\nfive\n");
    own.scene.write("both", "now\n");
    own.scene.write("mine", "1\n");
    let (planned, done) = own.apply();
    assert_eq!(planned, done);
    assert_eq!(done.applied, ["both", "gone", "lines", "new"]);
    let read = |name: &str| fs_err::read_to_string(own.scene.path(name)).expect("read");
    assert_eq!(read("lines"), "one\n2\n3\n4\nfive\n");
    assert_eq!((&*read("new"), &*read("mine")), ("1\n", "1\n"));
    assert!(!own.scene.path("gone").exists());
}

#[test]
fn one_conflict_keeps_everything_from_being_written() {
    let scene = Scene::repository();
    scene.write("lines", "1\n2\n3\n");
    scene.write("gone", "0\n");
    let own = Own::of(scene);
    own.write("lines", "theirs\n2\n3\n");
    own.write("fine", "1\n");
    own.write("came", "theirs\n");
    fs_err::remove_file(own.top.join("gone")).expect("removed");
    own.scene.write("lines", "ours\n2\n3\n");
    own.scene.write("came", "ours\n");
    own.scene.write("gone", "edited\n");
    let before = own.scene.files();
    let (planned, _) = own.apply();
    let paths: Vec<&str> = planned.conflicts.iter().map(|one| &*one.path).collect();
    assert_eq!(paths, ["came", "gone", "lines"], "{planned:#?}");
    let lines = &planned.conflicts[2];
    assert_eq!((lines.theirs[0].start, lines.ours[0].start), (1, 1));
    assert_eq!(own.scene.files(), before);
}
