//! What is read from layers, with the marks that overlayfs leaves in them.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use convoke_workspace::{
    checkpoint::{self, Checkpoint, CheckpointLimits, SkipReason},
    layer::{self, Layer, Standing},
    tree_diff,
};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use crate::scene::{Scene, git};

/// A scene with an empty layer over it.
struct Above {
    scene: Scene,
    base: Checkpoint,
    layer: Layer,
    limits: CheckpointLimits,
}

impl Above {
    fn of(scene: Scene) -> Self {
        Self::with(scene, CheckpointLimits::default())
    }

    fn with(scene: Scene, limits: CheckpointLimits) -> Self {
        let layer = Layer {
            tree: scene.top(),
            upper: scene.top().with_file_name("layer").join("upper"),
        };
        let work = layer.upper.with_file_name("work");
        layer.make(&work).expect("made");
        let base = checkpoint::take(&scene.open(), &limits).expect("a state");
        Self {
            scene,
            base,
            layer,
            limits,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.layer.upper.join(name);
        fs_err::create_dir_all(path.parent().expect("a parent")).expect("created");
        path
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).expect("written");
    }

    /// Marks a path as removed.
    fn remove(&self, name: &str) {
        let mode = Mode::empty();
        mknodat(CWD, self.path(name), FileType::CharacterDevice, mode, 0).expect("marked");
    }

    /// Makes a folder through which nothing shows.
    fn replace(&self, name: &str) {
        let path = self.path(name);
        fs_err::create_dir_all(&path).expect("created");
        let mark = match layer::has_user_attributes() {
            true => "user.overlay.opaque",
            false => "trusted.overlay.opaque",
        };
        setxattr(&path, mark, b"y", XattrFlags::empty()).expect("marked");
    }

    fn result(&self) -> Checkpoint {
        let ours = self.scene.open();
        let taken = self.layer.take(&ours, "j1", &self.base, &self.limits);
        taken.expect("a state")
    }

    /// Changed paths, each with a letter for how.
    fn changes(&self) -> Vec<String> {
        let result = self.result();
        let ours = self.scene.open();
        let changes = tree_diff::between(&ours, &self.base.tree, &result.tree, false);
        let changes = changes.expect("compared").into_iter();
        changes
            .map(|one| format!("{:?} {}", one.kind, one.path))
            .collect()
    }

    fn skipped(&self) -> Vec<(String, SkipReason)> {
        let skipped = self.result().skipped.into_iter();
        skipped.map(|one| (one.path, one.reason)).collect()
    }
}

#[test]
fn an_empty_layer_changes_nothing() {
    let above = Above::of(Scene::repository());
    assert_eq!(above.result(), above.base);
    // Others do not change what it is.
    above.scene.write("a", "others\n");
    assert_eq!(above.result(), above.base);
    // What was opened for writing is copied, and as it was.
    above.write("folder/b", "b\n");
    assert_eq!(above.result(), above.base);
}

#[test]
fn marks_are_understood() {
    let scene = Scene::repository();
    for name in ["dir/x", "dir/y", "whole/x", "whole/deep/y", "file"] {
        scene.write(name, "1\n");
    }
    let above = Above::of(scene);
    above.write("a", "changed\n");
    above.remove("dir/x");
    above.write("dir/new", "new\n");
    above.replace("whole");
    above.write("whole/x", "again\n");
    above.write("folder", "a file now\n");
    above.replace("file");
    above.write("file/inside", "inside\n");
    above.write(":odd", "a name\n");
    assert_eq!(
        above.changes(),
        [
            "Add :odd",
            "Modify a",
            "Add dir/new",
            "Delete dir/x",
            "Delete file",
            "Add file/inside",
            "Add folder",
            "Delete folder/b",
            "Delete whole/deep/y",
            "Modify whole/x"
        ]
    );
    // What it made and took back leaves no trace.
    fs_err::remove_dir_all(&above.layer.upper).expect("removed");
    fs_err::create_dir(&above.layer.upper).expect("created");
    assert_eq!(above.result(), above.base);
}

#[test]
fn rules_are_those_of_the_tree_with_the_layer_on_top() {
    let scene = Scene::repository();
    scene.write(".gitignore", "*.o\nout/\nignored\n");
    scene.write("sub/.gitignore", "!keep.o\nlocal\n");
    scene.write("gone/.gitignore", "*.txt\n");
    let above = Above::of(scene);
    above.write("x.o", "");
    above.write("out/deep/y", "");
    above.write("sub/keep.o", "");
    above.write("sub/local", "");
    above.write("fresh/.gitignore", "*.log\n");
    above.write("fresh/a.log", "");
    above.write("fresh/a", "");
    above.replace("gone");
    above.write("gone/a.txt", "");
    assert_eq!(
        above.changes(),
        [
            "Add fresh/.gitignore",
            "Add fresh/a",
            "Delete gone/.gitignore",
            "Add gone/a.txt",
            "Add sub/keep.o"
        ]
    );
    // What is tracked counts whatever the rules say.
    above.write(".gitignore", "*\n");
    above.write("a", "changed\n");
    assert_eq!(
        above.changes(),
        ["Modify .gitignore", "Modify a", "Delete gone/.gitignore"]
    );
}

#[test]
fn what_cannot_be_kept_is_said_unless_it_is_ignored() {
    let scene = Scene::repository();
    scene.write(".gitignore", "ignored\ntarget/\n");
    scene.write("large", "as it was\n".repeat(1_000));
    fs_err::create_dir(scene.path("inner")).expect("created");
    git(&scene.path("inner"), &["init", "-q"]);
    let limits = CheckpointLimits {
        file_bytes: 5_000,
        ..CheckpointLimits::default()
    };
    let above = Above::with(scene, limits);
    assert_eq!(above.skipped(), skipped_of(&above.base));
    let text = fs_err::read(above.scene.path("large")).expect("read");
    let when = fs_err::metadata(above.scene.path("large")).expect("its time");
    let copy = above.path("large");
    fs_err::write(&copy, text).expect("copied");
    let file = fs_err::File::options().write(true).open(&copy);
    let times = when.modified().expect("a time");
    file.expect("opened")
        .file()
        .set_modified(times)
        .expect("set");
    assert_eq!(above.result(), above.base);

    above.write("large", &"changed\n".repeat(2_000));
    above.write("inner/f", "in a repository of its own\n");
    for name in ["own", "target/own"] {
        let path = above.path(name);
        fs_err::create_dir_all(&path).expect("created");
        git(&path, &["init", "-q"]);
        let pipe = path.with_file_name("pipe");
        mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
    }
    assert_eq!(
        above.skipped(),
        [
            ("inner", SkipReason::Repository),
            ("large", SkipReason::Large),
            ("own", SkipReason::Repository),
            ("pipe", SkipReason::Unreadable)
        ]
        .map(|(path, reason)| (path.to_owned(), reason))
    );
    let told = above.result().skipped;
    assert!(told.iter().all(|one| !above.base.skipped.contains(one)));
}

fn skipped_of(state: &Checkpoint) -> Vec<(String, SkipReason)> {
    let skipped = state.skipped.iter();
    skipped.map(|one| (one.path.clone(), one.reason)).collect()
}

#[test]
fn folders_are_made_in_the_layer_as_they_are_in_the_tree() {
    let scene = Scene::repository();
    scene.link("link", "folder");
    let above = Above::of(scene);
    let mode = std::fs::Permissions::from_mode(0o750);
    fs_err::set_permissions(above.scene.path("folder"), mode).expect("its mode");
    let layer = &above.layer;
    let standing = |name: &str| layer.standing(&layer.tree.join(name)).expect("looked at");
    assert_eq!(standing(""), Standing::Folder);
    assert_eq!(standing("folder"), Standing::Folder);
    assert_eq!(standing("folder/new"), Standing::Missing);
    assert_eq!(standing("link"), Standing::Other);
    assert_eq!(standing("link/x"), Standing::Other);
    assert_eq!(standing("a"), Standing::Other);
    let missing = layer.missing(&layer.tree.join("folder/new/deep"));
    let missing = missing.expect("looked for");
    let expected = ["folder/new", "folder/new/deep"].map(|name| layer.upper.join(name));
    assert_eq!(missing, expected);
    for folder in &missing {
        layer.make_folder(folder).expect("made");
    }
    assert_eq!(standing("folder/new/deep"), Standing::Folder);
    let mode = fs_err::metadata(layer.upper.join("folder")).expect("there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o750);
    assert!(!above.scene.path("folder/new").exists());
    assert_eq!(above.result(), above.base);
    // What was removed is missing, and can be made again.
    above.remove("gone");
    assert_eq!(standing("gone"), Standing::Missing);
    layer.make_folder(&layer.upper.join("gone")).expect("made");
    above.replace("whole");
    assert_eq!(standing("whole/x"), Standing::Missing);
    assert!(layer.missing(Path::new("/elsewhere")).is_err());
}
