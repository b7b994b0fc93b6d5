//! What is seen to change while somebody writes.

use std::time::{Duration, Instant};

use convoke_workspace::{
    journal::{ChangeJournal, JournalOptions, Mark, Record, Step, Steps},
    private_repository::{Edge, PrivateRepository},
};

use crate::scene::{Scene, take};

/// How long something is waited for.
const AT_MOST: Duration = Duration::from_secs(30);

/// A tree with a writer in it, and what is on record of it.
struct Written {
    scene: Scene,
    journal: ChangeJournal,
}

impl Written {
    fn begin(scene: Scene) -> Self {
        drop(scene.open());
        let journal = start(&scene, false);
        let written = Self { scene, journal };
        written.state(Edge::Before, true);
        written
    }

    fn state(&self, edge: Edge, active: bool) {
        let ours = self.scene.open();
        assert!(self.journal.hold(), "it answers");
        let id = ours.keep("j1", (edge, 1), 1, take(&ours)).expect("kept");
        self.journal.mark(Mark {
            state: Some(id),
            active,
            unsure_since: None,
        });
    }

    fn end(self) -> (Scene, Steps) {
        self.state(Edge::After, false);
        let steps = steps(&self.scene.open());
        (self.scene, steps)
    }

    /// What is on record so far.
    fn so_far(&self) -> Steps {
        // Another state of the same writer ends nothing.
        let ours = self.scene.open();
        let states = ours.states().expect("states");
        let now = take(&ours).tree;
        let record = Record::read(&ours).expect("the record");
        record.steps(&ours, (&states, 0), &now).expect("steps")
    }

    /// Waits until the present content of a file is kept.
    fn kept(&self, path: &str) {
        let content = fs_err::read(self.scene.path(path)).expect("read");
        let deadline = Instant::now() + AT_MOST;
        loop {
            let steps = self.so_far();
            let last = steps.get(path).and_then(|steps| steps.last());
            let is_seen = |step: &Step| {
                step.when.is_some()
                    && step.after.as_ref().is_some_and(|side| {
                        let ours = self.scene.open();
                        ours.content(&side.object).expect("an answer") == Some(content.clone())
                    })
            };
            if last.is_some_and(is_seen) {
                return;
            }
            assert!(Instant::now() < deadline, "{path} is not on record");
            std::thread::yield_now();
        }
    }
}

fn start(scene: &Scene, resumes: bool) -> ChangeJournal {
    let ours = scene.open();
    let options = JournalOptions {
        top: scene.top(),
        repository: ours.folder().to_owned(),
        stands: Duration::from_millis(50),
        largest: 1 << 20,
    };
    ChangeJournal::start(options, resumes).expect("it starts")
}

fn steps(ours: &PrivateRepository) -> Steps {
    let states = ours.states().expect("states");
    let record = Record::read(ours).expect("the record");
    let last = &states[states.len() - 1].checkpoint.tree;
    record.steps(ours, (&states, 0), last).expect("steps")
}

/// What a path went through, as texts.
fn texts(scene: &Scene, steps: &Steps, path: &str) -> Vec<Option<String>> {
    let ours = scene.open();
    let text = |step: &Step| {
        let side = step.after.as_ref()?;
        let content = ours.content(&side.object).expect("an answer");
        Some(String::from_utf8_lossy(&content.expect("it is kept")).into_owned())
    };
    steps.get(path).into_iter().flatten().map(text).collect()
}

#[test]
fn each_version_that_stands_is_kept_with_its_time() {
    let written = Written::begin(Scene::repository());
    for text in ["one\n", "two\n", "a\n"] {
        written.scene.write("a", text);
        written.kept("a");
    }
    written.scene.write("new/x", "x\n");
    written.kept("new/x");
    written.scene.remove("new/x");
    written.scene.write("last", "last\n");
    let (scene, steps) = written.end();
    let shown = |path: &str| texts(&scene, &steps, path);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(shown("a"), [some("one\n"), some("two\n"), some("a\n")]);
    assert_eq!(shown("new/x"), [some("x\n"), None]);
    assert_eq!(shown("last"), [some("last\n")]);
    let times: Vec<_> = steps["a"].iter().map(|step| step.when).collect();
    assert!(times.iter().all(Option::is_some), "{times:?}");
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn what_passed_too_quickly_is_told() {
    let written = Written::begin(Scene::repository());
    for text in ["1\n", "2\n", "3\n", "4\n"] {
        written.scene.write("a", text);
    }
    written.kept("a");
    let steps = written.so_far();
    let kept = u32::try_from(steps["a"].len()).expect("few");
    let passed: u32 = steps["a"].iter().map(|step| step.passed).sum();
    // Each was kept or is told of.
    assert_eq!(kept + passed, 4, "{steps:#?}");
}

#[test]
fn what_is_ignored_is_kept_nowhere() {
    let written = Written::begin(Scene::repository());
    written.scene.write("ignored", "a secret\n");
    written.scene.write("folder/seen", "no secret\n");
    written.kept("folder/seen");
    written.scene.write("folder/.gitignore", "mine\n");
    written.kept("folder/.gitignore");
    written.scene.write("folder/mine", "a secret\n");
    written.scene.write("seen", "no secret\n");
    written.kept("seen");
    let (scene, steps) = written.end();
    let paths: Vec<&str> = steps.keys().map(String::as_str).collect();
    assert_eq!(paths, ["folder/.gitignore", "folder/seen", "seen"]);
    let secret = scene.git(&["hash-object", "ignored"]);
    let ours = scene.open();
    assert_eq!(ours.content(secret.trim()).expect("an answer"), None);
}

#[test]
fn folders_that_come_and_go_are_followed() {
    let written = Written::begin(Scene::repository());
    let path = |name: &str| written.scene.path(name);
    fs_err::create_dir_all(path("deep/er")).expect("made");
    written.scene.write("deep/er/f", "f\n");
    written.kept("deep/er/f");
    fs_err::rename(path("deep"), path("moved")).expect("moved");
    written.kept("moved/er/f");
    written.scene.write("moved/er/f", "g\n");
    written.kept("moved/er/f");
    fs_err::rename(path("folder"), written.scene.top().with_extension("away")).expect("moved");
    written.scene.link("folder", "moved");
    let (scene, steps) = written.end();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts(&scene, &steps, "deep/er/f"), [some("f\n"), None]);
    assert_eq!(
        texts(&scene, &steps, "moved/er/f"),
        [some("f\n"), some("g\n")]
    );
    assert_eq!(texts(&scene, &steps, "folder/b"), [None]);
    assert!(steps["folder/b"][0].when.is_some());
}

#[test]
fn a_file_behind_a_link_is_not_read() {
    let scene = Scene::repository();
    let outside = scene.top().with_extension("outside");
    fs_err::create_dir(&outside).expect("made");
    fs_err::write(outside.join("b"), "a secret\n").expect("written");
    let written = Written::begin(scene);
    written.scene.write("folder/b", "changed\n");
    fs_err::rename(
        written.scene.path("folder"),
        written.scene.top().with_extension("away"),
    )
    .expect("moved");
    fs_err::os::unix::fs::symlink(&outside, written.scene.path("folder")).expect("linked");
    written.scene.write("a", "then\n");
    written.kept("a");
    let (scene, _) = written.end();
    let secret = crate::scene::git(&outside, &["hash-object", "b"]);
    let ours = scene.open();
    assert_eq!(ours.content(secret.trim()).expect("an answer"), None);
}

#[test]
fn while_nobody_watched_it_is_not_known_when() {
    let written = Written::begin(Scene::repository());
    written.scene.write("a", "seen\n");
    written.kept("a");
    let Written { scene, journal } = written;
    drop(journal);
    scene.write("a", "unseen\n");
    let journal = start(&scene, true);
    let written = Written { scene, journal };
    assert!(written.journal.hold(), "it watches");
    written.journal.mark(Mark {
        active: true,
        ..Mark::default()
    });
    written.scene.write("folder/b", "seen\n");
    written.state(Edge::After, false);
    let ours = written.scene.open();
    let steps = steps(&ours);
    // What was seen before is known, and what was seen first after it may hide more.
    let known = |path: &str| -> Vec<bool> {
        let steps = steps[path].iter();
        steps.map(|step| step.when.is_some()).collect()
    };
    assert_eq!(known("a"), [true, false]);
    assert_eq!(known("folder/b"), [false]);
    let gaps = Record::read(&ours)
        .expect("the record")
        .gaps(&ours.states().expect("states"));
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].reason.contains("daemon was not running"));
}

#[test]
fn versions_stay_as_long_as_the_states_around_them() {
    let written = Written::begin(Scene::repository());
    written.scene.write("a", "in between\n");
    written.kept("a");
    written.scene.write("a", "at last\n");
    written.state(Edge::After, false);
    let object = written.so_far()["a"][0]
        .after
        .clone()
        .expect("a side")
        .object;
    let content = |scene: &Scene| scene.open().content(&object).expect("an answer");
    // Something else is forgotten.
    let keep = |writer: &str| {
        let ours = written.scene.open();
        ours.keep(writer, (Edge::Before, 1), 1, take(&ours))
            .expect("kept");
    };
    keep("j2");
    let forget = |gone: &str| {
        assert!(written.journal.pause(true));
        let ours = written.scene.open();
        ours.forget(|writer| writer != gone).expect("forgotten");
        assert!(written.journal.pause(false));
    };
    forget("j2");
    assert_eq!(content(&written.scene), Some(b"in between\n".to_vec()));
    keep("j3");
    forget("j1");
    assert_eq!(content(&written.scene), None);
}

#[test]
fn no_file_is_watched_without_need() {
    // Folders that do not count are not watched: a file there wakes nobody.
    let scene = Scene::repository();
    fs_err::create_dir_all(scene.path("ignored-folder/deep")).expect("made");
    scene.write(".gitignore", "ignored\nignored-folder/\n");
    let written = Written::begin(scene);
    written.scene.write("ignored-folder/deep/f", "f\n");
    fs_err::remove_dir_all(written.scene.path("ignored-folder")).expect("removed");
    let (_, steps) = written.end();
    assert_eq!(steps, Steps::new());
}
