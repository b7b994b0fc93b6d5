//! A disk that fills up: a small file system of its own, which only root can make.

use std::path::Path;

use convoke_core::runner_protocol::{ExitCause, paths};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;
use tempfile::TempDir;

use crate::kit::{Plan, is_root, settings};

/// A mounted file system of 2 MiB.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        if !is_root() {
            eprintln!("skipped: only root can mount a small file system");
            return None;
        }
        match mount("tmpfs", path, "tmpfs", MountFlags::empty(), c"size=2m") {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                eprintln!("skipped: no small file system: {error}");
                None
            }
        }
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        unmount(self.0, UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_ends_the_agent_and_is_said() {
    for setting in settings() {
        let base = TempDir::new().unwrap();
        let Some(_disk) = SmallDisk::mount(base.path()) else {
            return;
        };
        let home = TempDir::new_in(base.path()).unwrap();
        let script = json!([{"do":"ignore","signals":["INT","TERM"]},
            {"do":"flood","bytes":50_000_000}, {"do":"stall"}]);
        let mut run = Plan::in_folder(home, script).setting(setting).start();
        let record = run.finish();
        assert_eq!(record.cause, ExitCause::DiskFull);
        assert_eq!(record.signal, Some(9));
        let length = std::fs::metadata(run.folder.join(paths::JOURNAL))
            .unwrap()
            .len();
        assert_eq!(record.journal_len, length);
        let end = run.records().last().unwrap().end;
        assert_eq!(end, length, "no torn record");
    }
}
