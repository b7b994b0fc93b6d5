//! Folders of jobs that are being forgotten.
//!
//! A job is forgotten in three steps: its folders go to `trash/`, then its
//! records go in one transaction, then the folders are deleted. After a crash in
//! between the records decide: folders of a job that is still known go back.

use std::{
    io,
    path::{Path, PathBuf},
};

use convoke_core::ids::{JobId, RunnerId};

use crate::{
    home::{HomeError, StateHome},
    private_folder,
};

impl StateHome {
    fn trash(&self) -> PathBuf {
        self.root().join("trash")
    }

    /// Moves the folders of a job, and of the runners of its attempts, to the
    /// trash. Missing ones are no error.
    ///
    /// # Errors
    /// When one cannot be moved; call [`Self::empty_trash`] then.
    pub fn move_to_trash(&self, job: &JobId, runners: &[RunnerId]) -> Result<(), HomeError> {
        let trash = self.trash();
        private_folder::create(&trash).map_err(HomeError::io("create", &trash))?;
        let folders = runners.iter().map(|runner| self.runner_folder(runner));
        for folder in folders.chain([self.job_folder(job)]) {
            let Some(name) = folder.file_name() else {
                continue;
            };
            match fs_err::rename(&folder, trash.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(HomeError::io("move to the trash", folder)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Deletes what is in the trash, except folders of jobs that are still
    /// known, which go back to their places.
    ///
    /// # Errors
    /// When something cannot be moved or deleted; the rest was.
    pub fn empty_trash(&self, is_known: impl Fn(&JobId) -> bool) -> Result<(), HomeError> {
        let trash = self.trash();
        let entries = match fs_err::read_dir(&trash) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(HomeError::io("list", trash)(error)),
        };
        let mut failed = None;
        for entry in entries {
            let path = entry.map_err(HomeError::io("list", &trash))?.path();
            let emptied = match self.place_of(&path) {
                Some((job, place)) if is_known(&job) => fs_err::rename(&path, place),
                _ => fs_err::remove_dir_all(&path),
            };
            if let Err(error) = emptied {
                failed = Some(HomeError::io("empty", path)(error));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whose folder this is, and where it was.
    fn place_of(&self, path: &Path) -> Option<(JobId, PathBuf)> {
        let name = path.file_name()?.to_str()?;
        if let Some(job) = JobId::parse(name) {
            let place = self.job_folder(&job);
            return Some((job, place));
        }
        let runner = RunnerId::parse(name)?;
        let (job, _) = runner.attempt()?;
        Some((job, self.runner_folder(&runner)))
    }

    /// The runners of a job that have a folder.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn runners_of(&self, job: &JobId) -> Result<Vec<RunnerId>, HomeError> {
        let mut runners = Vec::new();
        for runner in self.runner_folders()? {
            if runner.attempt().is_some_and(|(of, _)| of == *job) {
                runners.push(runner);
            }
        }
        Ok(runners)
    }

    /// Every runner that has a folder, in no order.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn runner_folders(&self) -> Result<Vec<RunnerId>, HomeError> {
        let folder = self.root().join("runners");
        let mut runners = Vec::new();
        for entry in fs_err::read_dir(&folder).map_err(HomeError::io("list", &folder))? {
            let name = entry.map_err(HomeError::io("list", &folder))?.file_name();
            runners.extend(name.to_str().and_then(RunnerId::parse));
        }
        Ok(runners)
    }
}

/// Bytes that a folder takes on disk, with everything below it. What cannot be
/// looked at counts nothing.
#[must_use]
pub fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut total = 0;
    let mut next = vec![folder.to_owned()];
    while let Some(folder) = next.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            total += meta.blocks() * 512;
            if meta.is_dir() {
                next.push(entry.path());
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_decide_what_becomes_of_the_trash() {
        let root = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(root.path()).expect("a home");
        let jobs = [JobId::from_random(1), JobId::from_random(2)];
        for job in &jobs {
            let runner = RunnerId::of_attempt(job, 1);
            fs_err::create_dir(home.job_folder(job)).expect("made");
            fs_err::write(home.job_env(job), "{}").expect("written");
            home.create_runner_folder(&runner).expect("made");
            let runners = home.runners_of(job).expect("listed");
            assert_eq!(runners, [runner]);
            home.move_to_trash(job, &runners).expect("moved");
            assert!(!home.job_folder(job).exists());
        }
        home.empty_trash(|job| *job == jobs[0]).expect("emptied");
        assert!(home.job_env(&jobs[0]).exists());
        assert_eq!(home.runners_of(&jobs[0]).expect("listed").len(), 1);
        assert!(!home.job_folder(&jobs[1]).exists());
        assert_eq!(fs_err::read_dir(home.trash()).expect("there").count(), 0);
    }
}
