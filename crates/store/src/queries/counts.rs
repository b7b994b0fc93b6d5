//! How many jobs there are.

use rusqlite::Connection;

use crate::error::Fault;

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In line.
    pub queued: usize,
    /// With a live attempt: starting, running, finishing or stopping.
    pub running: usize,
    /// Completed.
    pub completed: usize,
    /// Failed.
    pub failed: usize,
    /// Cancelled.
    pub cancelled: usize,
}

/// Counts the jobs.
pub(crate) fn counts(connection: &Connection) -> Result<Counts, Fault> {
    let mut counts = Counts::default();
    let mut statement = connection.prepare_cached("SELECT state, jobs FROM state_counts")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let jobs = usize::try_from(row.get::<_, i64>("jobs")?).unwrap_or(0);
        let state = row
            .get_ref("state")?
            .as_str()
            .map_err(rusqlite::Error::from)?;
        match state {
            "queued" => counts.queued += jobs,
            "completed" => counts.completed += jobs,
            "failed" => counts.failed += jobs,
            "cancelled" => counts.cancelled += jobs,
            _ => counts.running += jobs,
        }
    }
    Ok(counts)
}
