//! Lifecycle records: written once, read as the feed or to build jobs from.

use convoke_core::{
    ids::JobId,
    job::Job,
    lifecycle::{LIFECYCLE_VERSION, LifecycleEvent, LifecycleRecord},
    time::UnixMillis,
};
use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::{audit, checkpoints, checkpoints::Checkpoint, columns, projection};
use crate::error::Fault;

/// Adds a record and returns its number.
pub(crate) fn insert(
    connection: &Connection,
    at: UnixMillis,
    job: &JobId,
    event: &LifecycleEvent,
) -> Result<u64, Fault> {
    let json = serde_json::to_string(event).map_err(Fault::json(format!("a record of {job}")))?;
    connection
        .prepare_cached(
            "INSERT INTO lifecycle (job_id, at, version, event) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            job.as_str(),
            columns::to_sql(at.0),
            LIFECYCLE_VERSION,
            json
        ])?;
    Ok(columns::from_sql(connection.last_insert_rowid()))
}

/// Adds records and checkpoints, and moves the jobs by them. A record that does
/// not apply to its job as it stands (most of all one that comes after the end),
/// or whose job is unknown or cannot be read, goes to the audit table and is
/// missing in the answer.
pub(crate) fn commit(
    connection: &Connection,
    records: &[(UnixMillis, JobId, LifecycleEvent)],
    checkpoints: &[Checkpoint],
) -> Result<Vec<LifecycleRecord>, Fault> {
    let mut written = Vec::with_capacity(records.len());
    // The records of one commit mostly concern one job.
    let mut current: Option<Job> = None;
    for (at, id, event) in records {
        let at = *at;
        let known = current.take().filter(|job| job.id == *id);
        let mut job = match known.map_or_else(|| job_of(connection, id), |job| Ok(Some(job))) {
            Ok(Some(job)) => job,
            Ok(None) => {
                set_aside(connection, at, id, event, "there is no such job")?;
                continue;
            }
            Err(Fault::Sql(error)) => return Err(Fault::Sql(error)),
            // What is wrong with one job must not hold up the others.
            Err(fault) => {
                set_aside(connection, at, id, event, &fault.to_string())?;
                continue;
            }
        };
        match job.apply(at, event) {
            Ok(()) => {
                let seq = insert(connection, at, id, event)?;
                projection::update(connection, &job)?;
                written.push(LifecycleRecord {
                    seq,
                    job: id.clone(),
                    at,
                    event: event.clone(),
                });
            }
            Err(illegal) => set_aside(connection, at, id, event, &illegal.to_string())?,
        }
        current = Some(job);
    }
    for checkpoint in checkpoints {
        checkpoints::save(connection, checkpoint)?;
    }
    Ok(written)
}

/// Keeps a record that cannot be applied where people find it.
fn set_aside(
    connection: &Connection,
    at: UnixMillis,
    id: &JobId,
    event: &LifecycleEvent,
    why: &str,
) -> Result<(), Fault> {
    let json = serde_json::to_string(event).unwrap_or_default();
    audit::insert(connection, at, id, &format!("{why}: {json}"))
}

/// A job, live or ended, built from its records.
pub(crate) fn job_of(connection: &Connection, id: &JobId) -> Result<Option<Job>, Fault> {
    let records = records_of(connection, id)?;
    if records.is_empty() {
        return Ok(None);
    }
    replay(id, &records).map(Some)
}

/// Jobs that have not ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveJobs {
    /// In the order of their acceptance.
    pub jobs: Vec<Job>,
    /// Those whose records cannot be read, and why.
    pub unreadable: Vec<(JobId, String)>,
}

/// All jobs that have not ended. One that cannot be read keeps none from being
/// found.
pub(crate) fn live_jobs(connection: &Connection) -> Result<LiveJobs, Fault> {
    let ids = connection
        .prepare_cached("SELECT id FROM jobs WHERE finished_at IS NULL ORDER BY accepted_seq")?
        .query_map([], |row| columns::job_id(row, "id"))?
        .collect::<Result<Vec<_>, _>>()?;
    let mut live = LiveJobs::default();
    for id in ids {
        match records_of(connection, &id).and_then(|records| replay(&id, &records)) {
            Ok(job) => live.jobs.push(job),
            Err(Fault::Sql(error)) => return Err(Fault::Sql(error)),
            Err(fault) => live.unreadable.push((id, fault.to_string())),
        }
    }
    Ok(live)
}

/// The records of one job.
pub(crate) fn records_of(
    connection: &Connection,
    id: &JobId,
) -> Result<Vec<LifecycleRecord>, Fault> {
    select(
        connection,
        "SELECT seq, job_id, at, event FROM lifecycle WHERE job_id = ?1 ORDER BY seq",
        [id.as_str()],
    )
}

/// At most `limit` records of any job that follow the one numbered `seq`.
pub(crate) fn records_after(
    connection: &Connection,
    seq: u64,
    limit: usize,
) -> Result<Vec<LifecycleRecord>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    select(
        connection,
        "SELECT seq, job_id, at, event FROM lifecycle WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        params![columns::to_sql(seq), limit],
    )
}

/// The number of the latest record; 0 if there is none.
pub(crate) fn last_seq(connection: &Connection) -> Result<u64, Fault> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(seq) FROM lifecycle")?
        .query_row([], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(last.map_or(0, columns::from_sql))
}

fn replay(id: &JobId, records: &[LifecycleRecord]) -> Result<Job, Fault> {
    Job::replay(records).ok_or_else(|| Fault::Contradiction(id.clone()))
}

fn select(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<LifecycleRecord>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let seq = columns::number(row, "seq")?;
        let json = row
            .get_ref("event")?
            .as_str()
            .map_err(rusqlite::Error::from)?;
        let event =
            serde_json::from_str(json).map_err(Fault::json(format!("lifecycle record {seq}")))?;
        records.push(LifecycleRecord {
            seq,
            job: columns::job_id(row, "job_id")?,
            at: columns::instant(row, "at")?,
            event,
        });
    }
    Ok(records)
}
