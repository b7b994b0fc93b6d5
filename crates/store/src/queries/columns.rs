//! How values of ours stand in columns.

use convoke_core::{ids::JobId, owner::Owner, time::UnixMillis};
use rusqlite::{
    Row,
    types::{FromSqlError, Type},
};

/// A number as SQLite keeps it. Ours count bytes, records and milliseconds and
/// stay far below the limit.
pub(crate) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as it was before [`to_sql`].
pub(crate) fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// An owner as a key: JSON with its fields in a fixed order.
pub(crate) fn owner_key(owner: &Owner) -> String {
    serde_json::to_string(owner).expect("an owner holds texts and numbers only")
}

/// Reads a number.
pub(crate) fn number(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get(column).map(from_sql)
}

/// Reads an instant.
pub(crate) fn instant(row: &Row<'_>, column: &str) -> rusqlite::Result<UnixMillis> {
    number(row, column).map(UnixMillis)
}

/// Reads a job's name.
pub(crate) fn job_id(row: &Row<'_>, column: &str) -> rusqlite::Result<JobId> {
    let text: String = row.get(column)?;
    JobId::parse(&text).ok_or_else(|| invalid(format!("`{text}` is not a job id")))
}

/// Reads a job's name that may be missing.
pub(crate) fn optional_job_id(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<JobId>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.as_deref().and_then(JobId::parse))
}

/// Reads an owner.
pub(crate) fn owner(row: &Row<'_>, column: &str) -> rusqlite::Result<Owner> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| invalid(format!("`{text}` is not an owner: {error}")))
}

fn invalid(what: String) -> rusqlite::Error {
    let error = FromSqlError::Other(what.into());
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}
