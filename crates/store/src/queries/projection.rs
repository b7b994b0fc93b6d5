//! The row of a job in `jobs`: what its lifecycle records come to.

use convoke_core::{
    ids::JobId,
    job::{Job, JobState},
    lifecycle::Outcome,
};
use rusqlite::{Connection, params};

use super::columns;
use crate::error::Fault;

/// Adds the row of a job just accepted.
pub(crate) fn insert(connection: &Connection, job: &Job) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO jobs (accepted_seq, id, accepted_at, state, attempts, label, agent,
                               folder, tree, owner, parent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            columns::to_sql(job.accepted_seq),
            job.id.as_str(),
            columns::to_sql(job.accepted_at.0),
            job.state.name(),
            job.attempts,
            job.spec.label,
            job.spec.work.agent(),
            job.spec.working_directory.to_string_lossy(),
            job.spec.tree.to_string_lossy(),
            columns::owner_key(&job.owner),
            job.spec.parent.as_ref().map(JobId::as_str),
        ])?;
    Ok(())
}

/// Brings the row of a job up to date.
pub(crate) fn update(connection: &Connection, job: &Job) -> Result<(), Fault> {
    let finished_at = match &job.state {
        JobState::Ended { at, .. } => Some(*at),
        _ => None,
    };
    let end = job.end();
    let failure = match end.map(|end| &end.outcome) {
        Some(Outcome::Failed(failure)) => Some(failure),
        _ => None,
    };
    connection
        .prepare_cached(
            "UPDATE jobs SET state = ?2, started_at = ?3, finished_at = ?4, attempts = ?5,
                             thread = ?6, code = ?7, message = ?8, exit_code = ?9,
                             exit_signal = ?10
             WHERE accepted_seq = ?1",
        )?
        .execute(params![
            columns::to_sql(job.accepted_seq),
            job.state.name(),
            job.started_at.map(|at| columns::to_sql(at.0)),
            finished_at.map(|at| columns::to_sql(at.0)),
            job.attempts,
            job.thread,
            failure.map(|failure| failure.code.as_str()),
            failure.map(|failure| failure.message.as_str()),
            end.and_then(|end| end.exit_code),
            end.and_then(|end| end.exit_signal),
        ])?;
    Ok(())
}

/// Marks an ended job as one for which nothing is left to be done.
pub(crate) fn set_finalised(connection: &Connection, id: &JobId) -> Result<(), Fault> {
    let changed = connection
        .prepare_cached("UPDATE jobs SET finalised = 1 WHERE id = ?1 AND finished_at IS NOT NULL")?
        .execute([id.as_str()])?;
    if changed == 0 {
        return Err(Fault::UnknownJob(id.clone()));
    }
    // Nothing continues from them any more, and they may be long.
    connection
        .prepare_cached("DELETE FROM checkpoints WHERE job_id = ?1")?
        .execute([id.as_str()])?;
    Ok(())
}

/// Ended jobs for which something is left to be done, oldest first.
pub(crate) fn unfinalised(connection: &Connection) -> Result<Vec<JobId>, Fault> {
    let ids = connection
        .prepare_cached(
            "SELECT id FROM jobs WHERE finished_at IS NOT NULL AND finalised = 0
             ORDER BY accepted_seq",
        )?
        .query_map([], |row| columns::job_id(row, "id"))?
        .collect::<Result<_, _>>()?;
    Ok(ids)
}
