//! Homes of other users and without rights, seen by root and by an ordinary
//! user.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use convoke_store::{HomeError, StateHome, Store};

use crate::support::{accept, new_job, runtime};

/// Does `work` as an ordinary user: in a thread of its own that gives up root
/// if it has it.
#[cfg(target_os = "linux")]
fn as_ordinary_user(work: impl FnOnce() + Send) {
    use rustix::{process::Uid, thread::set_thread_res_uid};
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = Uid::from_raw(65_534);
                set_thread_res_uid(nobody, nobody, nobody).expect("another user");
            }
            work();
        });
    });
}

/// Does `work` as the user that runs the tests.
#[cfg(not(target_os = "linux"))]
fn as_ordinary_user(work: impl FnOnce() + Send) {
    work();
}

fn set_mode(folder: &Path, mode: u32) {
    let mode = std::fs::Permissions::from_mode(mode);
    fs_err::set_permissions(folder, mode).expect("a mode");
}

#[test]
fn an_ordinary_user_gets_a_home_of_its_own() {
    let outer = tempfile::tempdir().expect("a folder");
    set_mode(outer.path(), 0o777);
    as_ordinary_user(|| {
        let home = StateHome::open(&outer.path().join("own")).expect("a home");
        let store = Store::open(&home).expect("a store");
        runtime().block_on(accept(&store, new_job(1)));
        store.close();
    });
}

#[test]
fn a_folder_without_rights_is_refused() {
    let outer = tempfile::tempdir().expect("a folder");
    set_mode(outer.path(), 0o777);
    as_ordinary_user(|| {
        let root = outer.path().join("own");
        fs_err::create_dir(&root).expect("a folder");
        set_mode(&root, 0o500);
        let refused = StateHome::open(&root).expect_err("no right to write");
        assert!(
            matches!(refused, HomeError::NotWritable { .. }),
            "{refused:?}"
        );
        set_mode(&root, 0o700);
    });
    set_mode(outer.path(), 0o755);
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        as_ordinary_user(|| {
            let refused = StateHome::open(&outer.path().join("new")).expect_err("no right");
            assert!(matches!(refused, HomeError::Io { .. }), "{refused:?}");
        });
    }
}
