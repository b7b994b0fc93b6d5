//! Folders of jobs and runners made ahead.
//!
//! On some disks making a file costs more than syncing it, and a new job needs
//! a dozen. A folder that lies ready with its empty files in it is renamed into
//! place, which costs next to nothing. Nothing depends on there being one.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use convoke_core::runner_protocol::paths;
use fs_err::os::unix::fs::OpenOptionsExt as _;

use crate::private_folder::{self, FILE_MODE};

/// Folders of each kind that are kept ready.
const READY: usize = 8;

/// Files of a job's folder.
const JOB_FILES: [&str; 3] = ["env.json", "events.jsonl", "job.json"];

/// Files of a runner's folder that may be there, empty, before its runner is.
/// The absence of the others says something.
const RUNNER_FILES: [&str; 4] = [
    paths::LOCK,
    paths::SPEC,
    paths::JOURNAL,
    paths::IDENTITY_UNNAMED,
];

/// What a folder is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A job.
    Job,
    /// A runner.
    Runner,
}

/// The folders that lie ready.
#[derive(Debug)]
pub(crate) struct SpareFolders {
    root: PathBuf,
    ready: Mutex<Ready>,
}

#[derive(Debug, Default)]
struct Ready {
    jobs: Vec<PathBuf>,
    runners: Vec<PathBuf>,
    made: u64,
}

impl Ready {
    fn of(&mut self, kind: Kind) -> &mut Vec<PathBuf> {
        match kind {
            Kind::Job => &mut self.jobs,
            Kind::Runner => &mut self.runners,
        }
    }
}

impl SpareFolders {
    /// None ready yet; they are to be made below `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            ready: Mutex::default(),
        }
    }

    /// Renames a ready folder to `place`; `false` if there is none or something
    /// is there already.
    pub(crate) fn take(&self, kind: Kind, place: &Path) -> bool {
        let Some(spare) = self.ready().of(kind).pop() else {
            return false;
        };
        // An empty folder would be replaced by the rename.
        !place.exists() && fs_err::rename(&spare, place).is_ok()
    }

    /// Deletes what an earlier process left ready: what is in it is not known.
    pub(crate) fn forget_old(&self) -> io::Result<()> {
        match fs_err::remove_dir_all(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether less than half of them are there.
    pub(crate) fn are_few(&self) -> bool {
        let ready = self.ready();
        ready.jobs.len().min(ready.runners.len()) < READY / 2
    }

    /// Makes as many as shall be ready.
    pub(crate) fn fill(&self) -> io::Result<()> {
        for kind in [Kind::Job, Kind::Runner] {
            while self.ready().of(kind).len() < READY {
                let folder = self.make(kind)?;
                self.ready().of(kind).push(folder);
            }
        }
        Ok(())
    }

    fn make(&self, kind: Kind) -> io::Result<PathBuf> {
        let number = {
            let mut ready = self.ready();
            ready.made += 1;
            ready.made
        };
        let folder = self.root.join(number.to_string());
        private_folder::create(&folder)?;
        let files = match kind {
            Kind::Job => &JOB_FILES[..],
            Kind::Runner => &RUNNER_FILES[..],
        };
        for name in files {
            create(&folder.join(name))?;
        }
        if kind == Kind::Runner {
            let mut reserve = create(&folder.join(paths::EXIT_RESERVE))?;
            // Real zeros: some file systems take a sparse file's blocks only on
            // write.
            reserve.write_all(&[0; paths::EXIT_RESERVE_BYTES])?;
            reserve.sync_all()?;
        }
        Ok(folder)
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create(path: &Path) -> io::Result<fs_err::File> {
    fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_folder_is_given_once() {
        let outer = tempfile::tempdir().expect("a folder");
        let spares = SpareFolders::new(outer.path().join("spare"));
        let place = outer.path().join("job");
        assert!(!spares.take(Kind::Job, &place));
        spares.fill().expect("filled");
        for index in 0..READY {
            assert!(spares.take(Kind::Job, &outer.path().join(format!("job{index}"))));
        }
        assert!(!spares.take(Kind::Job, &place));
        assert!(outer.path().join("job0/env.json").exists());
        assert!(spares.take(Kind::Runner, &place));
        assert!(!place.join(paths::IDENTITY).exists());
        // Never over what is there.
        assert!(!spares.take(Kind::Runner, &place));
    }

    #[test]
    fn what_an_earlier_process_left_is_deleted() {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("spare");
        SpareFolders::new(root.clone()).fill().expect("filled");
        let spares = SpareFolders::new(root.clone());
        spares.forget_old().expect("deleted");
        assert!(!root.exists());
        spares.fill().expect("filled again");
    }
}
