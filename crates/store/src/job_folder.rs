//! Job and runner folders: what must lie on disk before a reply is given.

use std::{collections::BTreeMap, io::Write as _, path::PathBuf};

use convoke_core::ids::{JobId, RunnerId};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde::{Deserialize, Serialize};

use crate::{
    home::{HomeError, StateHome},
    private_folder::{self, FILE_MODE, FOLDER_MODE},
};

/// Version of `env.json`.
const ENV_VERSION: u32 = 1;

/// The content of `env.json`.
#[derive(Serialize, Deserialize)]
struct StoredEnv<V> {
    version: u32,
    vars: V,
}

impl StateHome {
    /// Makes the folder of a new job with its environment in it. Both survive
    /// power loss once this returns.
    ///
    /// On ext4, XFS and btrfs one sync, that of the new file, is enough: they
    /// make the names that lead to a new file durable with it. Elsewhere the
    /// two folders are synced as well.
    ///
    /// # Errors
    /// When the folder exists already, or something cannot be written.
    pub fn create_job_folder(
        &self,
        job: &JobId,
        env: &BTreeMap<String, String>,
    ) -> Result<(), HomeError> {
        let folder = self.job_folder(job);
        create_one(&folder)?;
        let path = self.job_env(job);
        let stored = StoredEnv {
            version: ENV_VERSION,
            vars: env,
        };
        let bytes = serde_json::to_vec(&stored).expect("a map of strings is JSON");
        let write = || {
            let mut file = fs_err::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(FILE_MODE)
                .open(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()
        };
        write().map_err(HomeError::io("write", &path))?;
        if !self.syncs_names() {
            for folder in [folder, self.jobs_folder()] {
                private_folder::sync(&folder).map_err(HomeError::io("sync", folder))?;
            }
        }
        Ok(())
    }

    /// The environment of a job that has not ended.
    ///
    /// # Errors
    /// When there is none (any more), or it cannot be read.
    pub fn read_env(&self, job: &JobId) -> Result<BTreeMap<String, String>, HomeError> {
        let path = self.job_env(job);
        let bytes = fs_err::read(&path).map_err(HomeError::io("read", &path))?;
        let stored: StoredEnv<BTreeMap<String, String>> =
            serde_json::from_slice(&bytes).map_err(|source| HomeError::Damaged { path, source })?;
        Ok(stored.vars)
    }

    /// Deletes the environment of a job, which may hold secrets. It is no error
    /// if there is none.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub fn delete_env(&self, job: &JobId) -> Result<(), HomeError> {
        let path = self.job_env(job);
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(HomeError::io("delete", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Deletes the folder of a job that was not accepted after all. It is no
    /// error if there is none.
    ///
    /// # Errors
    /// When something in it cannot be deleted.
    pub fn remove_job_folder(&self, job: &JobId) -> Result<(), HomeError> {
        remove_all(self.job_folder(job))
    }

    /// The jobs that have a folder, in no order. One the database does not know
    /// is left over from a crash before acceptance.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn job_folders(&self) -> Result<Vec<JobId>, HomeError> {
        let folder = self.jobs_folder();
        let list = || -> std::io::Result<Vec<JobId>> {
            let mut jobs = Vec::new();
            for entry in fs_err::read_dir(&folder)? {
                jobs.extend(entry?.file_name().to_str().and_then(JobId::parse));
            }
            Ok(jobs)
        };
        list().map_err(HomeError::io("list", &folder))
    }

    /// Makes the folder of a runner and returns it. One that exists is left as
    /// it is: whether it may be used again is for its lock to say.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_runner_folder(&self, runner: &RunnerId) -> Result<PathBuf, HomeError> {
        let folder = self.runner_folder(runner);
        private_folder::create(&folder).map_err(HomeError::io("create", &folder))?;
        Ok(folder)
    }

    /// Deletes the folder of a runner, with its journal. It is no error if
    /// there is none.
    ///
    /// # Errors
    /// When something in it cannot be deleted.
    pub fn remove_runner_folder(&self, runner: &RunnerId) -> Result<(), HomeError> {
        remove_all(self.runner_folder(runner))
    }
}

fn create_one(folder: &std::path::Path) -> Result<(), HomeError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .mode(FOLDER_MODE)
        .create(folder)
        .map_err(HomeError::io("create", folder))
}

fn remove_all(folder: PathBuf) -> Result<(), HomeError> {
    match fs_err::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(HomeError::io("delete", folder)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_environment_lives_as_long_as_its_job() {
        let root = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(root.path()).expect("a home");
        let job = JobId::from_random(7);
        let env = BTreeMap::from([("TOKEN".to_owned(), "gehëim\n".to_owned())]);
        home.create_job_folder(&job, &env).expect("a job folder");
        let mode = |path| {
            fs_err::metadata(path)
                .expect("it exists")
                .permissions()
                .mode()
        };
        assert_eq!(mode(home.job_folder(&job)) & 0o777, 0o700);
        assert_eq!(mode(home.job_env(&job)) & 0o777, 0o600);
        assert_eq!(home.read_env(&job).expect("an environment"), env);
        assert!(home.create_job_folder(&job, &env).is_err());
        fs_err::create_dir(home.jobs_folder().join("other")).expect("a folder");
        assert_eq!(home.job_folders().expect("a list"), vec![job.clone()]);
        home.delete_env(&job).expect("a deletion");
        home.delete_env(&job).expect("nothing to delete");
        assert!(home.read_env(&job).is_err());
        home.remove_job_folder(&job).expect("a deletion");
        home.remove_job_folder(&job).expect("nothing to delete");
    }

    #[test]
    fn unknown_fields_and_newer_versions_are_tolerated() {
        let root = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(root.path()).expect("a home");
        let job = JobId::from_random(7);
        home.create_job_folder(&job, &BTreeMap::new())
            .expect("a job folder");
        let newer = r#"{"version":9,"later":true,"vars":{"A":"b"}}"#;
        fs_err::write(home.job_env(&job), newer).expect("a file");
        assert_eq!(home.read_env(&job).expect("an environment")["A"], "b");
    }

    #[test]
    fn a_runner_folder_is_made_once() {
        let root = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(root.path()).expect("a home");
        let runner = RunnerId::of_attempt(&JobId::from_random(7), 1);
        let folder = home.create_runner_folder(&runner).expect("a folder");
        fs_err::write(folder.join("spec.json"), "{}").expect("a file");
        home.create_runner_folder(&runner).expect("the same folder");
        assert!(folder.join("spec.json").exists());
        home.remove_runner_folder(&runner).expect("a deletion");
        assert!(!folder.exists());
    }
}
