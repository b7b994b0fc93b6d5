//! Acceptance: a request becomes a job, once.

use convoke_core::{
    ids::JobId, job::Job, lifecycle::LifecycleEvent, owner::Owner, spec::JobSpec, time::UnixMillis,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{columns, counts, lifecycle, projection};
use crate::error::Fault;

/// How long a repeated request finds its job: 24 hours.
pub const IDEMPOTENCY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// What makes two requests of one owner the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key.
    pub key: String,
    /// A hash of the arguments.
    pub arguments_hash: String,
    /// Whether the caller chose the key. Such a key stands for one request, and
    /// other arguments under it are a mistake. Any other key names a request
    /// only together with the arguments.
    pub explicit: bool,
}

/// A request that asks for a job.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The name the job gets if it is new.
    pub id: JobId,
    /// When it was asked for.
    pub at: UnixMillis,
    /// What is to be done.
    pub spec: JobSpec,
    /// On whose behalf.
    pub owner: Owner,
    /// What makes a repetition known as one; without it every request is new.
    pub idempotency: Option<IdempotencyKey>,
    /// With so many jobs in line already, another is refused.
    pub queue_limit: usize,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// A new job, on disk, and the number of the record that accepts it.
    New(Box<Job>, u64),
    /// A repetition: the job that the first such request made.
    Existing(JobId),
    /// The caller used its key before, with other arguments, for this job.
    Conflict {
        /// That job.
        job: JobId,
    },
    /// The queue has no room.
    QueueFull {
        /// Jobs in line.
        queued: usize,
        /// Jobs with a live attempt.
        running: usize,
    },
}

/// Accepts a request.
pub(crate) fn accept(connection: &Connection, new: NewJob) -> Result<Acceptance, Fault> {
    let owner = columns::owner_key(&new.owner);
    if let Some(key) = &new.idempotency {
        forget_old(connection, new.at)?;
        if let Some(earlier) = earlier_job(connection, &owner, key)? {
            return Ok(earlier);
        }
    }
    let counts = counts::counts(connection)?;
    if counts.queued >= new.queue_limit {
        return Ok(Acceptance::QueueFull {
            queued: counts.queued,
            running: counts.running,
        });
    }
    let event = LifecycleEvent::Accepted {
        spec: Box::new(new.spec.clone()),
        owner: new.owner.clone(),
    };
    let seq = lifecycle::insert(connection, new.at, &new.id, &event)?;
    let job = Job::accepted(new.id, seq, new.at, new.spec, new.owner);
    projection::insert(connection, &job)?;
    if let Some(key) = &new.idempotency {
        remember(connection, &owner, key, &job)?;
    }
    Ok(Acceptance::New(Box::new(job), seq))
}

/// Accepts a group of requests, each on its own merits.
pub(crate) fn accept_all(
    connection: &Connection,
    group: Vec<NewJob>,
) -> Result<Vec<Acceptance>, Fault> {
    group
        .into_iter()
        .map(|new| accept(connection, new))
        .collect()
}

/// The job that an earlier request under the same key made, if any.
pub(crate) fn job_of_key(
    connection: &Connection,
    owner: &Owner,
    key: &IdempotencyKey,
) -> Result<Option<JobId>, Fault> {
    let earlier = earlier_job(connection, &columns::owner_key(owner), key)?;
    Ok(match earlier {
        Some(Acceptance::Existing(job) | Acceptance::Conflict { job }) => Some(job),
        _ => None,
    })
}

fn forget_old(connection: &Connection, now: UnixMillis) -> Result<(), Fault> {
    let oldest = columns::to_sql(now.0) - columns::to_sql(IDEMPOTENCY_MILLIS);
    connection
        .prepare_cached("DELETE FROM idempotency WHERE at <= ?1")?
        .execute([oldest])?;
    Ok(())
}

fn earlier_job(
    connection: &Connection,
    owner: &str,
    key: &IdempotencyKey,
) -> Result<Option<Acceptance>, Fault> {
    // A chosen key has one row, whatever its arguments.
    let row = connection
        .prepare_cached(
            "SELECT job_id, arguments_hash FROM idempotency
             WHERE owner = ?1 AND key = ?2 AND explicit = ?3
               AND (explicit = 1 OR arguments_hash = ?4)",
        )?
        .query_row(
            params![owner, key.key, key.explicit, key.arguments_hash],
            |row| {
                let hash: String = row.get("arguments_hash")?;
                Ok((columns::job_id(row, "job_id")?, hash))
            },
        )
        .optional()?;
    Ok(row.map(|(job, hash)| {
        if hash == key.arguments_hash {
            Acceptance::Existing(job)
        } else {
            Acceptance::Conflict { job }
        }
    }))
}

fn remember(
    connection: &Connection,
    owner: &str,
    key: &IdempotencyKey,
    job: &Job,
) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            owner,
            key.key,
            key.explicit,
            key.arguments_hash,
            job.id.as_str(),
            columns::to_sql(job.accepted_at.0),
        ])?;
    Ok(())
}
