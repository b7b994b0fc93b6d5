//! Why the database could not do what was asked.

use std::path::{Path, PathBuf};

use convoke_core::ids::JobId;
use rusqlite::ErrorCode;

/// Why the database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer version of this program has used the database. It was not
    /// touched.
    #[error(
        "{} has schema {found}; this program knows schemas up to {known}",
        path.display()
    )]
    NewerSchema {
        /// The schema of the database.
        found: u32,
        /// The newest schema this program knows.
        known: u32,
        /// The database.
        path: PathBuf,
    },
    /// The database is damaged, or the file is not one.
    #[error("{} is damaged or not a database", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What was found.
        source: rusqlite::Error,
    },
    /// The disk has no room for what was to be written; nothing was.
    #[error("no space left to {operation} in {}", path.display())]
    Full {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The database.
        path: PathBuf,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// The database refused an operation; nothing of it was done.
    #[error("cannot {operation} in {}", path.display())]
    Sql {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The database.
        path: PathBuf,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// The file of the database could not be read or made.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A stored value does not have the form it should.
    #[error("cannot {operation} in {}: {what} cannot be read", path.display())]
    Unreadable {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The database.
        path: PathBuf,
        /// Which value.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The records of a job contradict each other.
    #[error("the records of job {job} in {} do not make a job", path.display())]
    Contradiction {
        /// The database.
        path: PathBuf,
        /// The job.
        job: JobId,
    },
    /// There is no such job.
    #[error("no job {job} in {}", path.display())]
    UnknownJob {
        /// The database.
        path: PathBuf,
        /// The name that was given.
        job: JobId,
    },
    /// A cursor that no page gave.
    #[error("`{cursor}` is not a cursor of this list")]
    BadCursor {
        /// The cursor.
        cursor: String,
    },
    /// The store was closed before it answered; whether the operation was
    /// done is not known.
    #[error("cannot {operation}: the store was closed")]
    Closed {
        /// What was tried, as a verb phrase.
        operation: &'static str,
    },
}

impl StoreError {
    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NewerSchema { .. } => Some(
                "use the newest version of this program that has been run on this state home, or name another folder with `--home`"
                    .to_owned(),
            ),
            Self::Corrupt { path, .. } => Some(format!(
                "move {0} (and {0}-wal, {0}-shm) away or put a backup in its place, then start again; the folders of jobs and runners beside it are untouched",
                path.display()
            )),
            Self::Full { .. } => {
                Some("free space on the disk of the state home, then try again".to_owned())
            }
            _ => None,
        }
    }
}

/// Why a query failed, before it is known on behalf of what it ran.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(rusqlite::Error),
    Json {
        what: String,
        source: serde_json::Error,
    },
    Contradiction(JobId),
    UnknownJob(JobId),
    BadCursor(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql(error) => error.fmt(f),
            Self::Json { what, source } => write!(f, "{what} cannot be read: {source}"),
            Self::Contradiction(job) => write!(f, "the records of job {job} do not make a job"),
            Self::UnknownJob(job) => write!(f, "there is no job {job}"),
            Self::BadCursor(cursor) => write!(f, "`{cursor}` is not a cursor of this list"),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Fault {
    /// Names the value that could not be read.
    pub(crate) fn json(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        let what = what.into();
        move |source| Self::Json { what, source }
    }

    /// The error as told to the caller of `operation`.
    pub(crate) fn into_error(self, operation: &'static str, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::Sql(source) => match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    StoreError::Corrupt { path, source }
                }
                Some(ErrorCode::DiskFull) => StoreError::Full {
                    operation,
                    path,
                    source,
                },
                _ => StoreError::Sql {
                    operation,
                    path,
                    source,
                },
            },
            Self::Json { what, source } => StoreError::Unreadable {
                operation,
                path,
                what,
                source,
            },
            Self::Contradiction(job) => StoreError::Contradiction { path, job },
            Self::UnknownJob(job) => StoreError::UnknownJob { path, job },
            Self::BadCursor(cursor) => StoreError::BadCursor { cursor },
        }
    }
}
