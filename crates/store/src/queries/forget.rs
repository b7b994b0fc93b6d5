//! Forgetting jobs that ended long ago.

use convoke_core::{ids::JobId, time::UnixMillis};
use rusqlite::Connection;

use super::columns;
use crate::error::Fault;

/// A job that may be forgotten: it is over and nothing is left to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedJob {
    /// The job.
    pub id: JobId,
    /// When it ended.
    pub finished_at: UnixMillis,
}

/// Jobs for which nothing is left to be done, the one that ended first first.
pub(crate) fn ended_jobs(connection: &Connection) -> Result<Vec<EndedJob>, Fault> {
    let jobs = connection
        .prepare_cached(
            "SELECT id, finished_at FROM jobs
             WHERE finished_at IS NOT NULL AND finalised = 1
             ORDER BY finished_at, accepted_seq",
        )?
        .query_map([], |row| {
            Ok(EndedJob {
                id: columns::job_id(row, "id")?,
                finished_at: columns::instant(row, "finished_at")?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(jobs)
}

/// Deletes every record of these jobs, except of those that are not over or
/// block a tree. Returns the jobs that are forgotten.
pub(crate) fn forget(connection: &Connection, jobs: &[JobId]) -> Result<Vec<JobId>, Fault> {
    let mut forgotten = Vec::new();
    for job in jobs {
        let may_go: bool = connection
            .prepare_cached(
                "SELECT count(*) FROM jobs
                 WHERE id = ?1 AND finished_at IS NOT NULL AND finalised = 1
                   AND NOT EXISTS (SELECT 1 FROM blocked WHERE job_id = jobs.id)",
            )?
            .query_row([job.as_str()], |row| row.get(0))?;
        if may_go {
            delete_records(connection, job)?;
            forgotten.push(job.clone());
        }
    }
    Ok(forgotten)
}

/// Deletes every record of a job.
pub(crate) fn delete_records(connection: &Connection, job: &JobId) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM idempotency WHERE job_id = ?1",
        "DELETE FROM checkpoints WHERE job_id = ?1",
        "DELETE FROM observations WHERE job_id = ?1",
        "DELETE FROM audit WHERE job_id = ?1",
        "DELETE FROM blocked WHERE job_id = ?1",
        "DELETE FROM lifecycle WHERE job_id = ?1",
        "DELETE FROM jobs WHERE id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([job.as_str()])?;
    }
    Ok(())
}
