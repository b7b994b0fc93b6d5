//! Taking changes back.

use convoke_workspace::{
    checkpoint::Checkpoint,
    rollback::{self, Report, Taken},
};
use proptest::prelude::*;

use crate::scene::Scene;

fn take_back(scene: &Scene, before: &Checkpoint, after: &Checkpoint, dry_run: bool) -> Report {
    let now = scene.checkpoint();
    let states = Taken {
        before,
        after,
        now: &now,
    };
    rollback::take_back(&scene.open(), states, "before-job", dry_run, |_| Ok(())).expect("a report")
}

#[test]
fn everything_is_as_it_was() {
    let scene = Scene::repository();
    scene.write("a", "the user's\n");
    scene.link("link", "a");
    let (before, files) = (scene.checkpoint(), scene.files());
    scene.write("a", "the job's\n");
    scene.set_executable("folder/b");
    scene.write("folder/new/c", "c\n");
    scene.remove("link");
    scene.write("link", "no link\n");
    let (after, changed) = (scene.checkpoint(), scene.files());
    let planned = take_back(&scene, &before, &after, true);
    assert_eq!(scene.files(), changed, "a dry run writes nothing");
    let report = take_back(&scene, &before, &after, false);
    assert_eq!(report, planned);
    assert_eq!(
        (report.kept_both.len(), report.skipped.len()),
        (0, 0),
        "{report:?}"
    );
    assert_eq!(scene.files(), files);
    assert!(!scene.path("folder/new").exists(), "empty folders go");
}

#[test]
fn later_edits_elsewhere_in_a_file_are_kept() {
    let scene = Scene::repository();
    let lines = |first: &str, last: &str| format!("{first}\n2\n3\n4\n5\n6\n{last}\n");
    scene.write("a", lines("1", "7"));
    let before = scene.checkpoint();
    scene.write("a", lines("job", "7"));
    let after = scene.checkpoint();
    scene.write("a", lines("job", "user"));
    let report = take_back(&scene, &before, &after, false);
    assert_eq!(report.restored, ["a"]);
    let text = fs_err::read_to_string(scene.path("a")).expect("read");
    assert_eq!(text, lines("1", "user"));
}

#[test]
fn later_edits_in_the_same_place_keep_both() {
    let scene = Scene::repository();
    let before = scene.checkpoint();
    scene.write("a", "job\n");
    scene.remove("folder/b");
    scene.write("new", "job\n");
    let after = scene.checkpoint();
    scene.write("a", "user\n");
    scene.write("folder/b", "user\n");
    scene.write("new", "user\n");
    let report = take_back(&scene, &before, &after, false);
    let kept: Vec<_> = report
        .kept_both
        .iter()
        .map(|kept| kept.copy.as_str())
        .collect();
    assert_eq!(kept, ["a.before-job", "folder/b.before-job"]);
    assert_eq!(report.skipped.len(), 1);
    let read = |name: &str| fs_err::read_to_string(scene.path(name)).expect("read");
    assert_eq!(
        (read("a"), read("a.before-job")),
        ("user\n".into(), "a\n".into())
    );
    assert_eq!(read("folder/b.before-job"), "b\n");
    let files = scene.files();
    let again = take_back(&scene, &before, &after, false);
    assert_eq!(again.kept_both, report.kept_both, "no second copies");
    assert_eq!(scene.files(), files);
    assert_eq!(read("new"), "user\n");
}

#[test]
fn what_may_not_be_taken_back_stays() {
    let scene = Scene::repository();
    let before = scene.checkpoint();
    scene.write("a", "job\n");
    scene.write("folder/b", "other\n");
    let after = scene.checkpoint();
    let states = Taken {
        before: &before,
        after: &after,
        now: &after,
    };
    let may = |path: &str| match path {
        "a" => Ok(()),
        _ => Err("it is another's".to_owned()),
    };
    let report = rollback::take_back(&scene.open(), states, "x", false, may).expect("a report");
    assert_eq!(report.restored, ["a"]);
    assert_eq!(report.skipped[0].reason, "it is another's");
    let read = |name: &str| fs_err::read_to_string(scene.path(name)).expect("read");
    assert_eq!(
        (read("a"), read("folder/b")),
        ("a\n".into(), "other\n".into())
    );
}

#[test]
fn a_link_in_place_of_a_folder_leads_nowhere() {
    let scene = Scene::repository();
    let outside = scene.top().with_file_name("outside");
    fs_err::create_dir(&outside).expect("created");
    fs_err::write(outside.join("b"), "precious\n").expect("written");
    let before = scene.checkpoint();
    scene.write("folder/b", "job\n");
    let after = scene.checkpoint();
    scene.remove("folder/b");
    fs_err::remove_dir(scene.path("folder")).expect("removed");
    scene.link("folder", outside.to_str().expect("UTF-8"));
    let report = take_back(&scene, &before, &after, false);
    assert_eq!(report.restored, Vec::<String>::new(), "{report:?}");
    let text = fs_err::read_to_string(outside.join("b")).expect("read");
    assert_eq!(text, "precious\n");
    assert_eq!(fs_err::read_dir(&outside).expect("a folder").count(), 1);
}

#[test]
fn who_may_read_a_file_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::repository();
    let mode = |name: &str| {
        fs_err::metadata(scene.path(name))
            .expect("there")
            .permissions()
            .mode()
            & 0o777
    };
    let private = std::fs::Permissions::from_mode(0o600);
    fs_err::set_permissions(scene.path("a"), private).expect("its mode");
    let before = scene.checkpoint();
    scene.write("a", "job\n");
    let after = scene.checkpoint();
    take_back(&scene, &before, &after, false);
    assert_eq!(mode("a"), 0o600);
    let before = scene.checkpoint();
    scene.set_executable("a");
    let after = scene.checkpoint();
    take_back(&scene, &before, &after, false);
    assert_eq!(mode("a"), 0o644);
}

#[test]
fn what_is_edited_in_the_moment_of_the_rollback_stays() {
    let scene = Scene::repository();
    let before = scene.checkpoint();
    scene.write("a", "job\n");
    scene.write("new", "job\n");
    scene.remove("folder/b");
    let after = scene.checkpoint();
    // Not seen by the state that the rollback begins with.
    scene.write("a", "user\n");
    scene.write("new", "user\n");
    scene.write("folder/b", "user\n");
    let states = Taken {
        before: &before,
        after: &after,
        now: &after,
    };
    let files = scene.files();
    let report = rollback::take_back(&scene.open(), states, "x", false, |_| Ok(()));
    let report = report.expect("a report");
    assert_eq!(report.restored, Vec::<String>::new());
    assert_eq!(report.skipped.len(), 3, "{report:?}");
    assert_eq!(scene.files(), files, "nothing is lost and nothing is left");
}

#[test]
fn what_was_there_unseen_is_not_deleted() {
    let scene = Scene::repository();
    scene.write("vendor/lib/file", "theirs\n");
    crate::scene::git(&scene.path("vendor/lib"), &["init", "-q"]);
    crate::scene::git(&scene.path("vendor/lib"), &["add", "."]);
    crate::scene::git(&scene.path("vendor/lib"), &["commit", "-q", "-m", "theirs"]);
    let before = scene.checkpoint();
    // The job looks into the repository within, and at what was ignored.
    fs_err::remove_dir_all(scene.path("vendor/lib/.git")).expect("removed");
    scene.write(".gitignore", "");
    scene.write("own", "job\n");
    let after = scene.checkpoint();
    let report = take_back(&scene, &before, &after, false);
    let left: Vec<&str> = report
        .skipped
        .iter()
        .map(|left| left.path.as_str())
        .collect();
    assert!(left.contains(&"ignored"), "{report:?}");
    assert!(scene.path("ignored").exists() && scene.path("vendor/lib/file").exists());
    let text = fs_err::read_to_string(scene.path(".gitignore")).expect("read");
    assert_eq!(text, "ignored\n");
}

/// One change of a tree.
#[derive(Clone, Debug)]
enum Act {
    Write(usize, Vec<u8>),
    Remove(usize),
    Link(usize),
    Executable(usize),
    Move(usize, usize),
    Stage,
    Commit,
}

const NAMES: [&str; 7] = [
    "a",
    "folder/b",
    "new",
    "deep/er/file",
    "deep/other",
    "x y",
    "a.sh",
];

fn act() -> impl Strategy<Value = Act> {
    let name = 0..NAMES.len();
    prop_oneof![
        6 => (name.clone(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(n, b)| Act::Write(n, b)),
        2 => name.clone().prop_map(Act::Remove),
        1 => name.clone().prop_map(Act::Link),
        1 => name.clone().prop_map(Act::Executable),
        1 => (name.clone(), name).prop_map(|(a, b)| Act::Move(a, b)),
        1 => Just(Act::Stage),
        1 => Just(Act::Commit),
    ]
}

fn perform(scene: &Scene, act: &Act) {
    let there = |n: usize| scene.path(NAMES[n]).symlink_metadata().is_ok();
    match act {
        Act::Write(n, content) => {
            if there(*n) {
                scene.remove(NAMES[*n]);
            }
            scene.write(NAMES[*n], content);
        }
        Act::Remove(n) if there(*n) => scene.remove(NAMES[*n]),
        Act::Link(n)
            if !there(*n) && scene.path(NAMES[*n]).parent().is_some_and(|p| p.is_dir()) =>
        {
            scene.link(NAMES[*n], "../some/where");
        }
        Act::Executable(n) if scene.path(NAMES[*n]).is_file() => scene.set_executable(NAMES[*n]),
        Act::Move(from, to) if there(*from) && from != to => {
            let to = scene.path(NAMES[*to]);
            fs_err::create_dir_all(to.parent().expect("a parent")).expect("created");
            fs_err::rename(scene.path(NAMES[*from]), to).expect("moved");
        }
        Act::Stage => drop(scene.git(&["add", "-A"])),
        Act::Commit => drop(scene.git(&["commit", "-q", "-a", "--allow-empty", "-m", "more"])),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever was done before and by the job, and however the user's
    /// repository was cleaned up in between, all files are as they were.
    #[test]
    fn restores_byte_for_byte(
        earlier in prop::collection::vec(act(), 0..8),
        job in prop::collection::vec(act(), 1..12),
    ) {
        let scene = Scene::repository();
        for act in &earlier {
            perform(&scene, act);
        }
        let (before, files) = (scene.checkpoint(), scene.files());
        for act in &job {
            perform(&scene, act);
        }
        let after = scene.checkpoint();
        scene.git(&["reflog", "expire", "--expire=now", "--all"]);
        scene.git(&["gc", "-q", "--prune=now"]);
        let report = take_back(&scene, &before, &after, false);
        prop_assert!(report.skipped.is_empty() && report.kept_both.is_empty(), "{report:?}");
        prop_assert_eq!(scene.files(), files);
        prop_assert_eq!(&scene.checkpoint().tree, &before.tree);
    }
}
