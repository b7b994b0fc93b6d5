//! Where HEAD and the refs of a repository point, and pointing them back.

use convoke_workspace::{
    history::{self, Move, mark, moves, read, undo},
    snapshot,
};

use crate::scene::{Scene, git};

fn names(moves: &[Move]) -> Vec<&str> {
    moves.iter().map(|one| one.name.as_str()).collect()
}

#[test]
fn a_mark_stays_until_the_history_changes() {
    let scene = Scene::repository();
    let top = scene.top();
    let first = mark(&top).expect("a mark");
    scene.write("a", "another\n");
    scene.git(&["add", "."]);
    scene.git(&["status"]);
    assert_eq!(mark(&top), Some(first.clone()));
    for change in [
        &["commit", "-q", "-m", "two"][..],
        &["branch", "side"],
        &["tag", "v1"],
        &["checkout", "-q", "side"],
        &["checkout", "-q", "--detach"],
        &["reset", "-q", "--hard", "HEAD^"],
        &["pack-refs", "--all"],
        &["branch", "-D", "side"],
    ] {
        let before = mark(&top);
        scene.git(change);
        assert_ne!(mark(&top), before, "{change:?}");
    }
    scene.write("a", "stashed\n");
    let before = mark(&top);
    scene.git(&["stash", "-q"]);
    assert_ne!(mark(&top), before);
    assert_eq!(mark(&Scene::plain().top()), None);
}

#[test]
fn a_linked_work_tree_and_an_unborn_branch_have_a_mark() {
    let scene = Scene::repository();
    let linked = scene.top().with_file_name("linked");
    let path = linked.display().to_string();
    scene.git(&["worktree", "add", "-q", "-b", "side", &path]);
    let (own, common) = history::folders(&linked).expect("folders");
    assert!(own.starts_with(&common) && own != common);
    let before = mark(&linked).expect("a mark");
    git(&linked, &["commit", "-q", "--allow-empty", "-m", "two"]);
    assert_ne!(mark(&linked), Some(before));

    let unborn = Scene::plain();
    unborn.git(&["init", "-q", "-b", "main"]);
    let before = read(&unborn.top()).expect("a history");
    assert_eq!(before.branch.as_deref(), Some("refs/heads/main"));
    assert_eq!((before.head.as_deref(), before.refs.len()), (None, 0));
    assert!(mark(&unborn.top()).is_some());
    unborn.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    let after = read(&unborn.top()).expect("a history");
    assert_eq!(names(&moves(&before, &after)), ["refs/heads/main"]);
    undo(&unborn.top(), &moves(&before, &after)).expect("undone");
    assert_eq!(read(&unborn.top()).expect("a history"), before);
}

#[test]
fn moves_are_told_and_taken_back_and_files_stay() {
    let scene = Scene::repository();
    let top = scene.top();
    scene.git(&["branch", "gone"]);
    scene.write("a", "dirty\n");
    scene.git(&["stash", "-q"]);
    let before = snapshot::take(&top).expect("a snapshot").history();
    assert_eq!(before, read(&top).expect("a history"));
    scene.write("new", "of the job\n");
    scene.git(&["add", "."]);
    scene.git(&["commit", "-q", "-m", "two"]);
    let lost = scene.git(&["rev-parse", "HEAD"]);
    scene.git(&["checkout", "-q", "-b", "side"]);
    scene.git(&["branch", "-D", "gone"]);
    scene.git(&["stash", "drop", "-q"]);
    let all = moves(&before, &read(&top).expect("a history"));
    assert_eq!(
        names(&all),
        [
            "HEAD",
            "refs/heads/gone",
            "refs/heads/main",
            "refs/heads/side",
            "refs/stash"
        ]
    );
    assert_eq!(all[0].shown(), "HEAD refs/heads/main -> refs/heads/side");
    assert!(all[1].shown().ends_with(" -> (none)"), "{}", all[1].shown());
    undo(&top, &all).expect("undone");
    assert_eq!(read(&top).expect("a history"), before);
    // The work is there, not committed, and the commit is not lost.
    assert_eq!(scene.git(&["status", "--porcelain"]), "A  new\n");
    scene.git(&["cat-file", "-e", lost.trim()]);
}

#[test]
fn what_moved_on_since_is_left_as_it_is() {
    let scene = Scene::repository();
    let top = scene.top();
    let before = read(&top).expect("a history");
    scene.git(&["tag", "v1"]);
    scene.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
    let all = moves(&before, &read(&top).expect("a history"));
    scene.git(&["commit", "-q", "--allow-empty", "-m", "three"]);
    let now = read(&top).expect("a history");
    let refused = undo(&top, &all).unwrap_err();
    assert!(refused.to_string().contains("refs/heads/main"), "{refused}");
    assert_eq!(read(&top).expect("a history"), now);
}
