//! Checkpoints: how far the journal of an attempt has been turned into events.

use convoke_core::ids::JobId;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::columns;
use crate::error::Fault;

/// How far the journal of an attempt has been turned into events.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The job.
    pub job: JobId,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// Bytes of the journal that have been read.
    pub journal_offset: u64,
    /// Bytes of the event file then. A shorter file is to be rebuilt.
    pub event_file_len: u64,
    /// Number of the last event then; 0 if there was none.
    pub events_seq: u64,
    /// The driver's state, in its own form.
    pub driver: Value,
}

/// Keeps a checkpoint instead of the one before.
pub(crate) fn save(connection: &Connection, checkpoint: &Checkpoint) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO checkpoints VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            checkpoint.job.as_str(),
            checkpoint.attempt,
            columns::to_sql(checkpoint.journal_offset),
            columns::to_sql(checkpoint.event_file_len),
            columns::to_sql(checkpoint.events_seq),
            checkpoint.driver.to_string(),
        ])?;
    Ok(())
}

/// The latest checkpoint of an attempt, if there is one.
pub(crate) fn of_attempt(
    connection: &Connection,
    job: &JobId,
    attempt: u32,
) -> Result<Option<Checkpoint>, Fault> {
    let found = connection
        .prepare_cached("SELECT * FROM checkpoints WHERE job_id = ?1 AND attempt = ?2")?
        .query_row(params![job.as_str(), attempt], |row| {
            let driver: String = row.get("driver")?;
            let checkpoint = Checkpoint {
                job: job.clone(),
                attempt,
                journal_offset: columns::number(row, "journal_offset")?,
                event_file_len: columns::number(row, "event_file_len")?,
                events_seq: columns::number(row, "events_seq")?,
                driver: Value::Null,
            };
            Ok((checkpoint, driver))
        })
        .optional()?;
    let Some((checkpoint, driver)) = found else {
        return Ok(None);
    };
    let driver = serde_json::from_str(&driver).map_err(Fault::json(format!(
        "the checkpoint of attempt {attempt} of job {job}"
    )))?;
    Ok(Some(Checkpoint {
        driver,
        ..checkpoint
    }))
}
