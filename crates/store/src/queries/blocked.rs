//! Jobs that are over and of which processes are left that could not be ended:
//! what they may write stays blocked.

use convoke_core::{ids::JobId, runner_protocol::ProcessNote};
use rusqlite::{Connection, params};

use super::columns;
use crate::error::Fault;

/// What blocks the tree of an ended job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocking {
    /// The job.
    pub job: JobId,
    /// Which boot of the machine the processes belong to; empty where process
    /// start times are absolute.
    pub boot_id: String,
    /// The processes that are left.
    pub processes: Vec<ProcessNote>,
}

/// Adds or replaces what blocks the tree of a job.
pub(crate) fn save(connection: &Connection, blocking: &Blocking) -> Result<(), Fault> {
    let processes = serde_json::to_string(&blocking.processes)
        .map_err(Fault::json(format!("the leftovers of {}", blocking.job)))?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO blocked VALUES (?1, ?2, ?3)")?
        .execute(params![blocking.job.as_str(), blocking.boot_id, processes])?;
    Ok(())
}

/// Everything that blocks a tree.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Blocking>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT job_id, boot_id, processes FROM blocked")?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let job = columns::job_id(row, "job_id")?;
        let processes: String = row.get("processes")?;
        all.push(Blocking {
            processes: serde_json::from_str(&processes)
                .map_err(Fault::json(format!("the leftovers of {job}")))?,
            boot_id: row.get("boot_id")?,
            job,
        });
    }
    Ok(all)
}

/// Removes what blocks the tree of a job; whether there was anything.
pub(crate) fn remove(connection: &Connection, job: &JobId) -> Result<bool, Fault> {
    let removed = connection
        .prepare_cached("DELETE FROM blocked WHERE job_id = ?1")?
        .execute([job.as_str()])?;
    Ok(removed > 0)
}
