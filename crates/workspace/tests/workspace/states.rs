//! Kept states over time.

use convoke_workspace::{checkpoint::is_whole, private_repository::Edge};

use crate::scene::{Scene, take};

#[test]
fn they_are_kept_in_order_and_named_after_their_writers() {
    let scene = Scene::repository();
    let ours = scene.open();
    let is_open = |writer: &str| ours.is_open(writer).expect("an answer");
    assert!(!is_open("j1"));
    for (writer, edge, nth, id) in [
        ("j1", Edge::Before, 1, "j1.before"),
        ("j2", Edge::Before, 1, "j2.before"),
        ("j1", Edge::After, 1, "j1.after"),
        ("j1", Edge::Before, 2, "j1.before-2"),
        ("j1.rollback-1", Edge::Before, 1, "j1.rollback-1.before"),
    ] {
        assert_eq!(
            ours.keep(writer, (edge, nth), 1, take(&ours))
                .expect("kept"),
            id
        );
        assert_eq!(is_open(writer), edge == Edge::Before);
    }
    assert!(is_open("j1") && is_open("j2"));
    let ids: Vec<_> = ours
        .states()
        .expect("states")
        .into_iter()
        .map(|s| s.id)
        .collect();
    assert_eq!(
        ids,
        [
            "j1.before",
            "j2.before",
            "j1.after",
            "j1.before-2",
            "j1.rollback-1.before"
        ]
    );
}

#[test]
fn forgotten_ones_take_their_objects_along_and_others_keep_theirs() {
    let scene = Scene::repository();
    let ours = scene.open();
    let mut trees = Vec::new();
    for (writer, text) in [("j1", "first\n"), ("j2", "second\n"), ("j3", "third\n")] {
        scene.write("a", text);
        let checkpoint = take(&ours);
        trees.push(checkpoint.tree.clone());
        ours.keep(writer, (Edge::Before, 1), 1, checkpoint)
            .expect("kept");
    }
    assert_eq!(ours.forget(|writer| writer != "j1").expect("forgotten"), 1);
    let whole = |tree: &String| is_whole(&ours, tree).expect("an answer");
    assert_eq!(
        trees.iter().map(whole).collect::<Vec<_>>(),
        [false, true, true]
    );
    assert_eq!(ours.forget(|_| true).expect("nothing to forget"), 0);
    // What is forgotten can come again.
    scene.write("a", "first\n");
    let again = take(&ours);
    assert!(is_whole(&ours, &again.tree).expect("an answer"));
}

#[test]
fn a_torn_line_is_left_aside() {
    let scene = Scene::repository();
    let ours = scene.open();
    ours.keep("j1", (Edge::Before, 1), 1, take(&ours))
        .expect("kept");
    let path = ours.folder().join("states.jsonl");
    let text = fs_err::read_to_string(&path).expect("read");
    // Killed within a line.
    fs_err::write(&path, format!("{text}{{\"id\":\"j2.be")).expect("torn");
    let ids = || -> Vec<String> {
        let states = ours.states().expect("states").into_iter();
        states.map(|state| state.id).collect()
    };
    assert_eq!(ids(), ["j1.before"]);
    ours.keep("j2", (Edge::Before, 1), 2, take(&ours))
        .expect("kept");
    assert_eq!(ids(), ["j1.before", "j2.before"]);
}
