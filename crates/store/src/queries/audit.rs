//! Evidence that came too late to matter.

use convoke_core::{ids::JobId, time::UnixMillis};
use rusqlite::{Connection, params};

use super::columns;
use crate::error::Fault;

/// One piece of late evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it came.
    pub at: UnixMillis,
    /// What it says.
    pub what: String,
}

/// Adds an entry.
pub(crate) fn insert(
    connection: &Connection,
    at: UnixMillis,
    job: &JobId,
    what: &str,
) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT INTO audit (at, job_id, what) VALUES (?1, ?2, ?3)")?
        .execute(params![columns::to_sql(at.0), job.as_str(), what])?;
    Ok(())
}

/// The entries about a job, oldest first.
pub(crate) fn of_job(connection: &Connection, job: &JobId) -> Result<Vec<AuditEntry>, Fault> {
    let entries = connection
        .prepare_cached("SELECT at, what FROM audit WHERE job_id = ?1 ORDER BY id")?
        .query_map([job.as_str()], |row| {
            Ok(AuditEntry {
                at: columns::instant(row, "at")?,
                what: row.get("what")?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(entries)
}
