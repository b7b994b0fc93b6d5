//! What was seen of the working tree around a job.

use std::collections::BTreeMap;

use convoke_core::ids::JobId;
use rusqlite::{Connection, params};
use serde_json::Value;

use crate::error::Fault;

/// Keeps an observation instead of an earlier one of its kind.
pub(crate) fn save(
    connection: &Connection,
    job: &JobId,
    kind: &str,
    value: &Value,
) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO observations VALUES (?1, ?2, ?3)")?
        .execute(params![job.as_str(), kind, value.to_string()])?;
    Ok(())
}

/// The observations about a job, by kind.
pub(crate) fn of_job(
    connection: &Connection,
    job: &JobId,
) -> Result<BTreeMap<String, Value>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT kind, value FROM observations WHERE job_id = ?1")?;
    let mut rows = statement.query([job.as_str()])?;
    let mut observations = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get("kind")?;
        let json = row
            .get_ref("value")?
            .as_str()
            .map_err(rusqlite::Error::from)?;
        let value = serde_json::from_str(json).map_err(Fault::json(format!(
            "the observation `{kind}` of job {job}"
        )))?;
        observations.insert(kind, value);
    }
    Ok(observations)
}
