//! A repository in a folder of its own, and what lies in it.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use convoke_workspace::{
    checkpoint::{self, Checkpoint, CheckpointLimits},
    private_repository::PrivateRepository,
};

/// A file as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    File { content: Vec<u8>, executable: bool },
    Link(PathBuf),
}

/// A working tree, and the folder of our repositories.
pub struct Scene {
    root: tempfile::TempDir,
}

impl Scene {
    /// An empty folder.
    pub fn plain() -> Self {
        let scene = Self {
            root: tempfile::tempdir().expect("a temp folder"),
        };
        fs_err::create_dir(scene.top()).expect("created");
        scene
    }

    /// A repository with one commit of `a`, `folder/b` and an ignored file.
    pub fn repository() -> Self {
        let scene = Self::plain();
        scene.git(&["init", "-q", "-b", "main"]);
        scene.write("a", "a\n");
        scene.write("folder/b", "b\n");
        scene.write(".gitignore", "ignored\n");
        scene.write("ignored", "not ours\n");
        scene.git(&["add", "."]);
        scene.git(&["commit", "-q", "-m", "one"]);
        scene
    }

    pub fn top(&self) -> PathBuf {
        self.root.path().join("tree")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs_err::write(path, content).expect("written");
    }

    pub fn remove(&self, name: &str) {
        fs_err::remove_file(self.path(name)).expect("removed");
    }

    pub fn set_executable(&self, name: &str) {
        let mode = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(self.path(name), mode).expect("its mode");
    }

    pub fn link(&self, name: &str, to: &str) {
        fs_err::os::unix::fs::symlink(to, self.path(name)).expect("linked");
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.top(), arguments)
    }

    /// Our repository of the tree.
    pub fn open(&self) -> PrivateRepository {
        self.open_for(&self.top())
    }

    /// Our repository of another tree.
    pub fn open_for(&self, top: &Path) -> PrivateRepository {
        PrivateRepository::open(&self.root.path().join("ours"), top).expect("it opens")
    }

    pub fn checkpoint(&self) -> Checkpoint {
        take(&self.open())
    }

    /// Everything in the tree but what git keeps and what is ignored.
    pub fn files(&self) -> BTreeMap<String, Entry> {
        files_in(&self.top())
    }
}

/// Everything in a tree but what git keeps and what is ignored.
pub fn files_in(top: &Path) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    collect(top, top, &mut found);
    found
}

pub fn take(repository: &PrivateRepository) -> Checkpoint {
    checkpoint::take(repository, &CheckpointLimits::default()).expect("a checkpoint")
}

pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"])
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .output()
        .expect("git runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn collect(top: &Path, folder: &Path, found: &mut BTreeMap<String, Entry>) {
    for entry in fs_err::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .strip_prefix(top)
            .expect("within")
            .display()
            .to_string();
        let meta = fs_err::symlink_metadata(&path).expect("it is there");
        if name == ".git" || name == "ignored" {
            continue;
        }
        if meta.is_dir() {
            collect(top, &path, found);
        } else if meta.is_symlink() {
            let to = fs_err::read_link(&path).expect("a link");
            found.insert(name, Entry::Link(to));
        } else {
            let entry = Entry::File {
                content: fs_err::read(&path).expect("read"),
                executable: meta.permissions().mode() & 0o100 != 0,
            };
            found.insert(name, entry);
        }
    }
}
