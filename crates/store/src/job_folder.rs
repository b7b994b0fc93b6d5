//! Job and runner folders: what must lie on disk before a reply is given.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use convoke_core::{
    ids::{JobId, RunnerId},
    owner::Owner,
    spec::{JobSpec, Work},
    time::UnixMillis,
};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde::{Deserialize, Serialize};

use crate::{
    home::{HomeError, StateHome},
    private_folder::{self, FILE_MODE, FOLDER_MODE},
    queries::accept::NewJob,
    spare_folders::Kind,
};

/// Version of `env.json`.
const ENV_VERSION: u32 = 1;

/// The content of `env.json`.
#[derive(Serialize, Deserialize)]
struct StoredEnv<V, W> {
    version: u32,
    vars: V,
    /// The work as it was asked for, if secrets occur in it: the database has
    /// it without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<W>,
}

/// The content of `job.json`: how a job was accepted. Not synced: it is read
/// only when the database is lost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AcceptedFile {
    pub(crate) version: u32,
    pub(crate) at: UnixMillis,
    pub(crate) spec: JobSpec,
    pub(crate) owner: Owner,
}

/// Version of `job.json`.
const ACCEPTED_VERSION: u32 = 1;

impl StateHome {
    /// Makes the folder of a new job with its environment in it, and its work
    /// if that holds secrets. All survive power loss once this returns.
    ///
    /// On ext4, XFS and btrfs one sync, that of the new file, is enough: they
    /// make the names that lead to a new file durable with it. Elsewhere, and
    /// for a folder that lay ready, the two folders are synced as well; after
    /// the sync of the file that costs next to nothing.
    ///
    /// # Errors
    /// When the folder exists already, or something cannot be written.
    pub fn create_job_folder(
        &self,
        job: &JobId,
        env: &BTreeMap<String, String>,
        work: Option<&Work>,
    ) -> Result<(), HomeError> {
        let folder = self.job_folder(job);
        let lay_ready = self.spares().take(Kind::Job, &folder);
        if !lay_ready {
            create_one(&folder)?;
        }
        let path = self.job_env(job);
        let stored = StoredEnv {
            version: ENV_VERSION,
            vars: env,
            work,
        };
        let bytes = serde_json::to_vec(&stored).expect("texts and numbers are JSON");
        write_first(&path, &bytes)
            .and_then(|file| file.sync_all())
            .map_err(HomeError::io("write", &path))?;
        if lay_ready || !self.syncs_names() {
            for folder in [folder, self.jobs_folder()] {
                private_folder::sync(&folder).map_err(HomeError::io("sync", folder))?;
            }
        }
        Ok(())
    }

    /// Keeps what is known of a run when it is accepted, in the folder of its job. It
    /// survives power loss once this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_run(&self, job: &JobId, kept: &[u8]) -> Result<(), HomeError> {
        let path = self.job_run(job);
        write_first(&path, kept)
            .and_then(|file| file.sync_all())
            .map_err(HomeError::io("write", &path))?;
        let folder = self.job_folder(job);
        private_folder::sync(&folder).map_err(HomeError::io("sync", folder))
    }

    /// What was kept of a run when it was accepted.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_run(&self, job: &JobId) -> Result<Vec<u8>, HomeError> {
        let path = self.job_run(job);
        fs_err::read(&path).map_err(HomeError::io("read", &path))
    }

    /// Remembers that the answer of a run reached whoever asked. Not synced: forgotten, it
    /// is given once more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn mark_delivered(&self, job: &JobId) -> Result<(), HomeError> {
        let path = self.job_delivered(job);
        write_first(&path, b"")
            .map(drop)
            .map_err(HomeError::io("write", &path))
    }

    /// Whether the answer of a run reached whoever asked.
    #[must_use]
    pub fn is_delivered(&self, job: &JobId) -> bool {
        self.job_delivered(job).exists()
    }

    /// Writes down how a job was accepted, for the loss of the database.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_accepted(&self, new: &NewJob) -> Result<(), HomeError> {
        let accepted = AcceptedFile {
            version: ACCEPTED_VERSION,
            at: new.at,
            spec: new.spec.clone(),
            owner: new.owner.clone(),
        };
        let path = self.job_accepted(&new.id);
        let bytes = serde_json::to_vec(&accepted).expect("texts and numbers are JSON");
        write_first(&path, &bytes)
            .map(drop)
            .map_err(HomeError::io("write", &path))
    }

    /// How a job was accepted, if that can be read.
    pub(crate) fn read_accepted(&self, job: &JobId) -> Option<AcceptedFile> {
        let bytes = fs_err::read(self.job_accepted(job)).ok()?;
        let accepted: AcceptedFile = serde_json::from_slice(&bytes).ok()?;
        (accepted.version <= ACCEPTED_VERSION).then_some(accepted)
    }

    /// The environment of a job that has not ended.
    ///
    /// # Errors
    /// When there is none (any more), or it cannot be read.
    pub fn read_env(&self, job: &JobId) -> Result<BTreeMap<String, String>, HomeError> {
        Ok(self.read_stored(job)?.vars)
    }

    /// The work of a job that has not ended as it was asked for, if the
    /// database has it without its secrets.
    ///
    /// # Errors
    /// As [`Self::read_env`].
    pub fn read_secret_work(&self, job: &JobId) -> Result<Option<Work>, HomeError> {
        Ok(self.read_stored(job)?.work)
    }

    fn read_stored(
        &self,
        job: &JobId,
    ) -> Result<StoredEnv<BTreeMap<String, String>, Work>, HomeError> {
        let path = self.job_env(job);
        let bytes = fs_err::read(&path).map_err(HomeError::io("read", &path))?;
        serde_json::from_slice(&bytes).map_err(|source| HomeError::Damaged { path, source })
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
        if !self.spares().take(Kind::Runner, &folder) {
            private_folder::create(&folder).map_err(HomeError::io("create", &folder))?;
        }
        Ok(folder)
    }

    /// Makes folders ahead, so that the next jobs and runners find theirs
    /// ready. Blocking. Nothing depends on it.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn fill_spare_folders(&self) -> Result<(), HomeError> {
        let root = self.root().join("spare");
        self.spares().fill().map_err(HomeError::io("fill", root))
    }

    /// Whether less than half of the folders that shall lie ready do.
    #[must_use]
    pub fn has_few_spare_folders(&self) -> bool {
        self.spares().are_few()
    }

    /// Deletes the folders that an earlier process made ahead. To be called
    /// before [`Self::fill_spare_folders`], by the only process that does so.
    ///
    /// # Errors
    /// When they cannot be deleted.
    pub fn forget_spare_folders(&self) -> Result<(), HomeError> {
        let root = self.root().join("spare");
        self.spares()
            .forget_old()
            .map_err(HomeError::io("empty", root))
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

/// Writes to a file that is empty or not there yet.
fn write_first(path: &Path, bytes: &[u8]) -> std::io::Result<fs_err::File> {
    let mut file = fs_err::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use convoke_core::{
        limits::Limits,
        retry::RetryPolicy,
        sandbox::{Access, Sandbox},
        spec::SPEC_VERSION,
    };

    use super::*;

    fn new(job: &JobId) -> NewJob {
        let spec = JobSpec {
            version: SPEC_VERSION,
            work: Work::Command {
                argv: vec!["true".to_owned()],
            },
            label: None,
            working_directory: "/".into(),
            tree: "/".into(),
            sandbox: Sandbox::ReadOnly,
            access: Access::Read,
            workspace: convoke_core::spec::Workspace::Shared,
            coordination: convoke_core::coordination::Coordination::Dirty,
            scope: None,
            limits: Limits::default(),
            retry: RetryPolicy::never(),
            needs: Vec::new(),
            after: Vec::new(),
            priority: 0,
            owner_cap: None,
            parent: None,
            run: None,
        };
        NewJob {
            id: job.clone(),
            at: UnixMillis(1),
            spec,
            owner: Owner::User { uid: 1 },
            idempotency: None,
            queue_limit: 1,
        }
    }

    #[test]
    fn an_environment_lives_as_long_as_its_job() {
        let root = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(root.path()).expect("a home");
        let job = JobId::from_random(7);
        let env = BTreeMap::from([("TOKEN".to_owned(), "gehëim\n".to_owned())]);
        home.create_job_folder(&job, &env, None)
            .expect("a job folder");
        let mode = |path| {
            fs_err::metadata(path)
                .expect("it exists")
                .permissions()
                .mode()
        };
        assert_eq!(mode(home.job_folder(&job)) & 0o777, 0o700);
        assert_eq!(mode(home.job_env(&job)) & 0o777, 0o600);
        assert_eq!(home.read_env(&job).expect("an environment"), env);
        assert!(home.create_job_folder(&job, &env, None).is_err());
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
        home.create_job_folder(&job, &BTreeMap::new(), None)
            .expect("a job folder");
        let newer = r#"{"version":9,"later":true,"vars":{"A":"b"}}"#;
        fs_err::write(home.job_env(&job), newer).expect("a file");
        assert_eq!(home.read_env(&job).expect("an environment")["A"], "b");
    }

    #[test]
    fn it_is_written_down_how_a_job_was_accepted() {
        let root = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(root.path()).expect("a home");
        let job = JobId::from_random(7);
        home.create_job_folder(&job, &BTreeMap::new(), None)
            .expect("a job folder");
        assert!(home.read_accepted(&job).is_none());
        home.write_accepted(&new(&job)).expect("written");
        let read = home.read_accepted(&job).expect("it is there");
        assert_eq!((read.spec, read.owner), (new(&job).spec, new(&job).owner));
        fs_err::write(home.job_accepted(&job), r#"{"version":9}"#).expect("a file");
        assert!(home.read_accepted(&job).is_none());
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
