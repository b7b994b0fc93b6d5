//! The database as its users see it.
//!
//! What changes it is `async` and returns once it is on disk. What only reads
//! is not: it answers from the page cache and never waits for the writer.

use std::{collections::BTreeMap, sync::Arc};

use convoke_core::{
    ids::JobId,
    job::Job,
    lifecycle::{LifecycleEvent, LifecycleRecord},
    owner::Owner,
    time::UnixMillis,
};
use serde_json::Value;

use crate::{
    connection::open_writer,
    error::StoreError,
    home::StateHome,
    queries::{
        accept::{self, Acceptance, NewJob},
        audit::{self, AuditEntry},
        blocked::{self, Blocking},
        checkpoints::{self, Checkpoint},
        counts::{self, Counts},
        forget::{self, EndedJob},
        lifecycle::{self, LiveJobs},
        list::{self, JobFilter, JobRow, Page, PageRequest},
        lookup::{self, JobStanding, Resolved},
        observations, projection,
        sessions::{self, Session},
    },
    readers::Readers,
    salvage,
    writer::Writer,
};

/// The database. Clones are the same one.
///
/// Every method returns a [`StoreError`] when the database cannot be read or
/// written; what else can go wrong stands with the method. A change whose
/// future is dropped is made all the same.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

struct Inner {
    // Dropped in this order: the last connection to go empties the log, which
    // only one that may write can do.
    readers: Readers,
    writer: Writer,
}

impl Store {
    /// Opens the database of `home`; makes or migrates it as needed.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] when a newer version of this program has
    /// used it, in which case it is not touched, [`StoreError::Corrupt`] when
    /// it is damaged.
    pub fn open(home: &StateHome) -> Result<Self, StoreError> {
        let path = home.database();
        let connection = open_writer(&path)?;
        let writer =
            Writer::start(connection, path.clone()).map_err(|source| StoreError::File {
                operation: "start a thread to write",
                path: path.clone(),
                source,
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                readers: Readers::new(path),
                writer,
            }),
        })
    }

    /// Takes no more changes, waits for those under way and empties the
    /// database's log.
    pub fn close(self) {
        self.inner.readers.close();
        self.inner.writer.close();
    }
}

/// Acceptance and the lifecycle.
impl Store {
    /// Accepts a request: in one transaction the key, the job and its first
    /// record.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn accept(&self, new: NewJob) -> Result<Acceptance, StoreError> {
        self.inner
            .writer
            .run("accept a job", move |c| accept::accept(c, new))
            .await
    }

    /// Accepts a group of requests in one transaction, each on its own merits;
    /// the answers stand in the order of the requests.
    ///
    /// # Errors
    /// See [`Store`]; none of the group is accepted then.
    pub async fn accept_all(&self, group: Vec<NewJob>) -> Result<Vec<Acceptance>, StoreError> {
        self.inner
            .writer
            .run("accept jobs", move |c| accept::accept_all(c, group))
            .await
    }

    /// Commits decisions, each with its time, with checkpoints that belong to them, in one
    /// transaction, and returns them with their numbers. A decision that does
    /// not apply to its job as it stands, or whose job is unknown or cannot be
    /// read, goes to the audit table instead and is missing in the answer:
    /// nothing follows the end of a job, and one bad job holds up no other.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn commit(
        &self,
        records: Vec<(UnixMillis, JobId, LifecycleEvent)>,
        checkpoints: Vec<Checkpoint>,
    ) -> Result<Vec<LifecycleRecord>, StoreError> {
        self.inner
            .writer
            .run("commit decisions", move |c| {
                lifecycle::commit(c, &records, &checkpoints)
            })
            .await
    }

    /// Keeps a checkpoint instead of the one before of the same attempt.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.inner
            .writer
            .run("keep a checkpoint", move |c| {
                checkpoints::save(c, &checkpoint)
            })
            .await
    }

    /// Keeps evidence that came too late to matter.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn audit(&self, at: UnixMillis, job: &JobId, what: &str) -> Result<(), StoreError> {
        let (job, what) = (job.clone(), what.to_owned());
        self.inner
            .writer
            .run("keep evidence", move |c| audit::insert(c, at, &job, &what))
            .await
    }

    /// Keeps what was seen of the working tree: `kind` is `before` or `after`.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn record_observation(
        &self,
        job: &JobId,
        kind: &str,
        value: Value,
    ) -> Result<(), StoreError> {
        let (job, kind) = (job.clone(), kind.to_owned());
        self.inner
            .writer
            .run("keep an observation", move |c| {
                observations::save(c, &job, &kind, &value)
            })
            .await
    }

    /// Says that nothing is left to be done for an ended job. Its checkpoints
    /// are deleted.
    ///
    /// # Errors
    /// [`StoreError::UnknownJob`] when it is unknown or has not ended.
    pub async fn set_finalised(&self, job: &JobId) -> Result<(), StoreError> {
        let job = job.clone();
        self.inner
            .writer
            .run("finalise a job", move |c| {
                projection::set_finalised(c, &job)
            })
            .await
    }
}

/// Forgetting, and what keeps from it.
impl Store {
    /// Jobs for which nothing is left to be done, the one that ended first
    /// first.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn ended_jobs(&self) -> Result<Vec<EndedJob>, StoreError> {
        self.inner
            .readers
            .run("read ended jobs", forget::ended_jobs)
    }

    /// Deletes all records of these jobs in one transaction, except of those
    /// that are not over or block a tree. Returns the jobs that are forgotten.
    ///
    /// # Errors
    /// See [`Store`]; none is forgotten then.
    pub async fn forget(&self, jobs: Vec<JobId>) -> Result<Vec<JobId>, StoreError> {
        self.inner
            .writer
            .run("forget jobs", move |c| forget::forget(c, &jobs))
            .await
    }

    /// Replaces the records of a job that cannot be read by what lies in its
    /// folders; whether there was enough.
    ///
    /// # Errors
    /// See [`Store`]; the records stay as they are then.
    pub async fn repair_job(&self, home: &StateHome, job: &JobId) -> Result<bool, StoreError> {
        let (home, job) = (home.clone(), job.clone());
        self.inner
            .writer
            .run("repair a job", move |c| salvage::repair_job(c, &home, &job))
            .await
    }

    /// Notes processes that are left of an ended job.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn block(&self, blocking: Blocking) -> Result<(), StoreError> {
        self.inner
            .writer
            .run("note what is left of a job", move |c| {
                blocked::save(c, &blocking)
            })
            .await
    }

    /// Says that nothing is left of an ended job; whether there was anything.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn unblock(&self, job: &JobId) -> Result<bool, StoreError> {
        let job = job.clone();
        self.inner
            .writer
            .run("release a job", move |c| blocked::remove(c, &job))
            .await
    }

    /// Everything that is left of ended jobs.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn blocking(&self) -> Result<Vec<Blocking>, StoreError> {
        self.inner.readers.run("read what is left", blocked::all)
    }
}

/// Reading jobs.
impl Store {
    /// All jobs that have not ended.
    ///
    /// # Errors
    /// See [`Store`]; a job that cannot be read is no error.
    pub fn live_jobs(&self) -> Result<LiveJobs, StoreError> {
        self.inner
            .readers
            .run("read live jobs", lifecycle::live_jobs)
    }

    /// Ended jobs for which [`Self::set_finalised`] was not called, oldest
    /// first.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn unfinalised(&self) -> Result<Vec<JobId>, StoreError> {
        self.inner
            .readers
            .run("read ended jobs", projection::unfinalised)
    }

    /// A job, live or ended, built from its records.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn job(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        self.inner
            .readers
            .run("read a job", |c| lifecycle::job_of(c, id))
    }

    /// The row of a job, as [`Self::jobs`] lists it: cheaper than [`Self::job`],
    /// without spec and final message.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn job_row(&self, id: &JobId) -> Result<Option<JobRow>, StoreError> {
        self.inner
            .readers
            .run("read a job", |c| list::row_of(c, id))
    }

    /// How each of `ids` stands, in their order; none for one that is unknown.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn job_outcomes(
        &self,
        ids: &[JobId],
    ) -> Result<Vec<(JobId, Option<JobStanding>)>, StoreError> {
        self.inner
            .readers
            .run("look jobs up", |c| lookup::outcomes(c, ids))
    }

    /// A page of the jobs that `filter` lets through, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`] when no page gave the cursor.
    pub fn jobs(&self, filter: &JobFilter, page: &PageRequest) -> Result<Page<JobRow>, StoreError> {
        self.inner
            .readers
            .run("list jobs", |c| list::jobs(c, filter, page))
    }

    /// The job a person means: the only one whose id begins with `prefix`, else
    /// the newest with exactly this label.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn resolve_prefix(&self, prefix: &str) -> Result<Resolved, StoreError> {
        self.inner
            .readers
            .run("look a job up", |c| lookup::resolve(c, prefix))
    }

    /// The job that an earlier request of the owner under this key made.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn job_of_key(
        &self,
        owner: &Owner,
        key: &accept::IdempotencyKey,
    ) -> Result<Option<JobId>, StoreError> {
        self.inner
            .readers
            .run("look a request up", |c| accept::job_of_key(c, owner, key))
    }

    /// How many jobs there are.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn counts(&self) -> Result<Counts, StoreError> {
        self.inner.readers.run("count jobs", counts::counts)
    }

    /// The latest checkpoint of an attempt, if there is one.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn checkpoint_of(
        &self,
        job: &JobId,
        attempt: u32,
    ) -> Result<Option<Checkpoint>, StoreError> {
        self.inner.readers.run("read a checkpoint", |c| {
            checkpoints::of_attempt(c, job, attempt)
        })
    }

    /// What was seen of the working tree around a job, by kind.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn observations(&self, job: &JobId) -> Result<BTreeMap<String, Value>, StoreError> {
        self.inner
            .readers
            .run("read observations", |c| observations::of_job(c, job))
    }

    /// Evidence about a job that came too late to matter, oldest first.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn audit_of(&self, job: &JobId) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner
            .readers
            .run("read evidence", |c| audit::of_job(c, job))
    }

    /// At most `limit` records of any job that follow the one numbered `seq`:
    /// the lifecycle feed.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn records_after(
        &self,
        seq: u64,
        limit: usize,
    ) -> Result<Vec<LifecycleRecord>, StoreError> {
        self.inner
            .readers
            .run("read records", |c| lifecycle::records_after(c, seq, limit))
    }

    /// The records of one job.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn records_of(&self, job: &JobId) -> Result<Vec<LifecycleRecord>, StoreError> {
        self.inner
            .readers
            .run("read records", |c| lifecycle::records_of(c, job))
    }

    /// The number of the latest record; 0 if there is none.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        self.inner.readers.run("read records", lifecycle::last_seq)
    }
}

/// Conversations callers have named.
impl Store {
    /// Keeps a session instead of an earlier one of its owner and name.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn save_session(&self, session: Session) -> Result<(), StoreError> {
        self.inner
            .writer
            .run("keep a session", move |c| sessions::save(c, &session))
            .await
    }

    /// Forgets a session; whether there was one.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn delete_session(&self, owner: &Owner, id: &str) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        self.inner
            .writer
            .run("forget a session", move |c| {
                sessions::delete(c, &owner, &id)
            })
            .await
    }

    /// One session of an owner.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn session(&self, owner: &Owner, id: &str) -> Result<Option<Session>, StoreError> {
        self.inner
            .readers
            .run("read a session", |c| sessions::get(c, owner, id))
    }

    /// The sessions of an owner, last used first.
    ///
    /// # Errors
    /// See [`Store`].
    pub fn sessions(&self, owner: &Owner) -> Result<Vec<Session>, StoreError> {
        self.inner
            .readers
            .run("list sessions", |c| sessions::of_owner(c, owner))
    }
}
