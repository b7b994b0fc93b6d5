//! The state home: the one folder that holds everything remembered.
//!
//! ```text
//! convoke.db  daemon.json  daemon.lock  daemon.log  run/  spare/
//! jobs/<job>/{job.json,env.json,events.jsonl,artifacts/}
//! runners/<runner>/{spec.json,runner.lock,runner.json,journal,exit.json}
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use convoke_core::ids::{JobId, RunnerId};

use crate::{
    filesystem_kind::{FilesystemKind, kind_of},
    private_folder::{self, Obstacle},
    spare_folders::SpareFolders,
};

/// Why a state home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The path names something else.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, not to user {uid}, who runs this program", path.display())]
    WrongOwner {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this program.
        uid: u32,
    },
    /// It lies on a file system whose locks do not hold.
    #[error(
        "{} lies on a network file system ({filesystem}), where locks and the database are not safe",
        path.display()
    )]
    NetworkFilesystem {
        /// The folder.
        path: PathBuf,
        /// What the file system is called.
        filesystem: String,
    },
    /// Nothing can be created in it.
    #[error("cannot write in {}", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder of it could not be read or changed.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file of it does not hold what it should.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl HomeError {
    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotAFolder { .. } | Self::WrongOwner { .. } | Self::NetworkFilesystem { .. } => {
                Some(
                    "name a folder of your own on a local disk with `--home` or CONVOKE_HOME, in every client alike",
                )
            }
            Self::NotWritable { .. } => Some(
                "give yourself the right to write there, or name another folder with `--home` or CONVOKE_HOME",
            ),
            Self::Io { .. } | Self::Damaged { .. } => None,
        }
    }

    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    pub(crate) fn from_obstacle(obstacle: Obstacle, path: &Path, uid: u32) -> Self {
        let path = path.to_owned();
        match obstacle {
            Obstacle::NotAFolder => Self::NotAFolder { path },
            Obstacle::WrongOwner { owner } => Self::WrongOwner { path, owner, uid },
            Obstacle::Io { operation, source } => Self::Io {
                operation,
                path,
                source,
            },
        }
    }
}

/// The folder that holds everything remembered.
#[derive(Clone, Debug)]
pub struct StateHome {
    root: PathBuf,
    syncs_names: bool,
    spares: Arc<SpareFolders>,
}

impl StateHome {
    /// Opens the state home at `root`, made if it does not exist (0700, as is
    /// every folder that has to be made on the way). A mode that lets others in
    /// is narrowed.
    ///
    /// # Errors
    /// When it is not a folder, belongs to another user, lies on a network file
    /// system, or cannot be written.
    pub fn open(root: &Path) -> Result<Self, HomeError> {
        let uid = rustix::process::geteuid().as_raw();
        let is_new = !root.exists();
        private_folder::ensure(root, uid, true)
            .map_err(|obstacle| HomeError::from_obstacle(obstacle, root, uid))?;
        // Absolute, so that it means the same to processes in other folders.
        let root = fs_err::canonicalize(root).map_err(HomeError::io("resolve", root))?;
        let kind = kind_of(&root).map_err(HomeError::io("find the file system of", &root))?;
        if let FilesystemKind::Network(filesystem) = kind {
            return Err(HomeError::NetworkFilesystem {
                path: root,
                filesystem,
            });
        }
        check_writable(&root)?;
        let home = Self {
            spares: Arc::new(SpareFolders::new(root.join("spare"))),
            root,
            syncs_names: kind == FilesystemKind::SyncsNames,
        };
        for folder in [home.jobs_folder(), home.runners_folder()] {
            private_folder::ensure(&folder, uid, false)
                .map_err(|obstacle| HomeError::from_obstacle(obstacle, &folder, uid))?;
        }
        if is_new {
            home.sync_new_root()?;
        }
        Ok(home)
    }

    /// The folder itself, absolute and without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("convoke.db")
    }

    /// The file whose lock the daemon holds.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.root.join("daemon.lock")
    }

    /// Where the daemon says how it is reached.
    #[must_use]
    pub fn daemon_json(&self) -> PathBuf {
        self.root.join("daemon.json")
    }

    /// The daemon's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.root.join("daemon.log")
    }

    /// The folder of all job folders.
    pub(crate) fn jobs_folder(&self) -> PathBuf {
        self.root.join("jobs")
    }

    fn runners_folder(&self) -> PathBuf {
        self.root.join("runners")
    }

    /// The folder of a job.
    #[must_use]
    pub fn job_folder(&self, job: &JobId) -> PathBuf {
        self.jobs_folder().join(job.as_str())
    }

    /// The environment of a job, until it has ended.
    #[must_use]
    pub fn job_env(&self, job: &JobId) -> PathBuf {
        self.job_folder(job).join("env.json")
    }

    /// The events of a job.
    #[must_use]
    pub fn job_events(&self, job: &JobId) -> PathBuf {
        self.job_folder(job).join("events.jsonl")
    }

    /// What is kept of a run besides its job.
    pub(crate) fn job_run(&self, job: &JobId) -> PathBuf {
        self.job_folder(job).join("run.json")
    }

    /// Stands for an answer that reached whoever asked for the run.
    pub(crate) fn job_delivered(&self, job: &JobId) -> PathBuf {
        self.job_folder(job).join("delivered")
    }

    /// How a job was accepted.
    pub(crate) fn job_accepted(&self, job: &JobId) -> PathBuf {
        self.job_folder(job).join("job.json")
    }

    /// The artifacts of a job.
    #[must_use]
    pub fn job_artifacts(&self, job: &JobId) -> PathBuf {
        self.job_folder(job).join("artifacts")
    }

    /// The folder of a runner.
    #[must_use]
    pub fn runner_folder(&self, runner: &RunnerId) -> PathBuf {
        self.runners_folder().join(runner.as_str())
    }

    /// Whether a sync of a new file makes its name durable too.
    pub(crate) fn syncs_names(&self) -> bool {
        self.syncs_names
    }

    pub(crate) fn spares(&self) -> &SpareFolders {
        &self.spares
    }

    fn sync_new_root(&self) -> Result<(), HomeError> {
        for folder in std::iter::once(self.root.as_path()).chain(self.root.parent()) {
            private_folder::sync(folder).map_err(HomeError::io("sync", folder))?;
        }
        Ok(())
    }
}

fn check_writable(folder: &Path) -> Result<(), HomeError> {
    use rustix::fs::Access;
    let rights = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(folder, rights).map_err(|error| HomeError::NotWritable {
        path: folder.to_owned(),
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        let metadata = fs_err::metadata(path).expect("it exists");
        metadata.permissions().mode() & 0o777
    }

    #[test]
    fn folders_are_private() {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("state/convoke");
        let home = StateHome::open(&root).expect("a home");
        for folder in [&root, &outer.path().join("state"), &home.jobs_folder()] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
    }

    #[test]
    fn an_open_mode_is_narrowed() {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("home");
        fs_err::create_dir(&root).expect("a folder");
        fs_err::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        StateHome::open(&root).expect("a home");
        assert_eq!(mode(&root), 0o700);
    }

    #[test]
    fn a_file_is_refused() {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("home");
        fs_err::write(&root, "").expect("a file");
        let inside = root.join("deeper");
        assert!(matches!(
            StateHome::open(&root),
            Err(HomeError::NotAFolder { .. })
        ));
        assert!(matches!(
            StateHome::open(&inside),
            Err(HomeError::NotAFolder { .. })
        ));
    }

    #[test]
    fn another_users_folder_is_refused() {
        let outer = tempfile::tempdir().expect("a folder");
        let is_root = rustix::process::geteuid().is_root();
        let root = if is_root {
            std::os::unix::fs::chown(outer.path(), Some(65534), None).expect("a new owner");
            outer.path()
        } else {
            Path::new("/")
        };
        assert!(matches!(
            StateHome::open(root),
            Err(HomeError::WrongOwner { .. })
        ));
    }

    #[test]
    fn a_relative_or_linked_root_becomes_absolute() {
        let outer = tempfile::tempdir().expect("a folder");
        let real = outer.path().join("real");
        fs_err::create_dir(&real).expect("a folder");
        let link = outer.path().join("link");
        fs_err::os::unix::fs::symlink(&real, &link).expect("a link");
        let home = StateHome::open(&link).expect("a home");
        assert_eq!(home.root(), real.canonicalize().expect("a path"));
    }
}
