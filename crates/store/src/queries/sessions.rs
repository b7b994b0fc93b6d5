//! Conversations callers have named, for calls that continue them.

use convoke_core::{owner::Owner, time::UnixMillis};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns;
use crate::error::Fault;

/// A conversation a caller has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// On whose behalf.
    pub owner: Owner,
    /// The caller's name for it, unique to the owner.
    pub id: String,
    /// The agent's name of the conversation, once known.
    pub thread_id: Option<String>,
    /// When it began.
    pub created_at: UnixMillis,
    /// When it was last continued.
    pub last_accessed_at: UnixMillis,
    /// Turns so far.
    pub turn_count: u64,
    /// Model last asked for, if any.
    pub model: Option<String>,
}

/// Keeps a session instead of an earlier one of its name.
pub(crate) fn save(connection: &Connection, session: &Session) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            columns::owner_key(&session.owner),
            session.id,
            session.thread_id,
            columns::to_sql(session.created_at.0),
            columns::to_sql(session.last_accessed_at.0),
            columns::to_sql(session.turn_count),
            session.model,
        ])?;
    Ok(())
}

/// One session of an owner.
pub(crate) fn get(
    connection: &Connection,
    owner: &Owner,
    id: &str,
) -> Result<Option<Session>, Fault> {
    let session = connection
        .prepare_cached("SELECT * FROM sessions WHERE owner = ?1 AND id = ?2")?
        .query_row(params![columns::owner_key(owner), id], session)
        .optional()?;
    Ok(session)
}

/// The sessions of an owner, last used first.
pub(crate) fn of_owner(connection: &Connection, owner: &Owner) -> Result<Vec<Session>, Fault> {
    let sessions = connection
        .prepare_cached(
            "SELECT * FROM sessions WHERE owner = ?1 ORDER BY last_accessed_at DESC, id",
        )?
        .query_map([columns::owner_key(owner)], session)?
        .collect::<Result<_, _>>()?;
    Ok(sessions)
}

/// All sessions of a damaged database that can be read.
pub(crate) fn all_readable(connection: &Connection) -> Vec<Session> {
    let Ok(mut statement) = connection.prepare("SELECT * FROM sessions") else {
        return Vec::new();
    };
    match statement.query_map([], session) {
        Ok(rows) => rows.map_while(Result::ok).collect(),
        Err(_) => Vec::new(),
    }
}

/// Forgets a session; whether there was one.
pub(crate) fn delete(connection: &Connection, owner: &Owner, id: &str) -> Result<bool, Fault> {
    let deleted = connection
        .prepare_cached("DELETE FROM sessions WHERE owner = ?1 AND id = ?2")?
        .execute(params![columns::owner_key(owner), id])?;
    Ok(deleted > 0)
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        owner: columns::owner(row, "owner")?,
        id: row.get("id")?,
        thread_id: row.get("thread_id")?,
        created_at: columns::instant(row, "created_at")?,
        last_accessed_at: columns::instant(row, "last_accessed_at")?,
        turn_count: columns::number(row, "turn_count")?,
        model: row.get("model")?,
    })
}
