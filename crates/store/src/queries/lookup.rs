//! Look-ups by name: how jobs stand, and which job a person means.

use convoke_core::ids::JobId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns;
use crate::error::Fault;

/// Candidates named when a prefix fits more than one job.
const CANDIDATES: usize = 10;

/// Shortest beginning of an id that is taken for one: less would hit by chance.
const SHORTEST_PREFIX: usize = 4;

/// How a job stands, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStanding {
    /// `JobState::name`.
    pub state: String,
    /// Whether it is over.
    pub ended: bool,
}

/// Which job a person means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// This one.
    One(JobId),
    /// The prefix fits these, and possibly more.
    Ambiguous(Vec<JobId>),
    /// None.
    Unknown,
}

/// How each of `ids` stands, in their order; none for one that is unknown.
pub(crate) fn outcomes(
    connection: &Connection,
    ids: &[JobId],
) -> Result<Vec<(JobId, Option<JobStanding>)>, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT state, finished_at IS NOT NULL AS ended FROM jobs WHERE id = ?1")?;
    ids.iter()
        .map(|id| {
            let standing = statement
                .query_row([id.as_str()], |row| {
                    Ok(JobStanding {
                        state: row.get("state")?,
                        ended: row.get("ended")?,
                    })
                })
                .optional()?;
            Ok((id.clone(), standing))
        })
        .collect()
}

/// The job meant by `text`: the one with this id, else the newest with exactly
/// this label, else the one whose id begins with it.
pub(crate) fn resolve(connection: &Connection, text: &str) -> Result<Resolved, Fault> {
    if JobId::parse(text).is_some() {
        let mut exact = by_prefix(connection, text)?;
        if let Some(id) = exact.pop() {
            return Ok(Resolved::One(id));
        }
    }
    let labelled = connection
        .prepare_cached("SELECT id FROM jobs WHERE label = ?1 ORDER BY accepted_seq DESC LIMIT 1")?
        .query_row([text], |row| columns::job_id(row, "id"))
        .optional()?;
    if let Some(id) = labelled {
        return Ok(Resolved::One(id));
    }
    if text.len() < SHORTEST_PREFIX {
        return Ok(Resolved::Unknown);
    }
    let mut candidates = by_prefix(connection, text)?;
    Ok(match candidates.len() {
        0 => Resolved::Unknown,
        1 => Resolved::One(candidates.remove(0)),
        _ => Resolved::Ambiguous(candidates),
    })
}

fn by_prefix(connection: &Connection, prefix: &str) -> Result<Vec<JobId>, Fault> {
    if prefix.is_empty() {
        return Ok(Vec::new());
    }
    // `{` follows the last letter, so the range holds all ids with the prefix.
    let ids = connection
        .prepare_cached("SELECT id FROM jobs WHERE id >= ?1 AND id < ?1 || '{' LIMIT ?2")?
        .query_map(
            params![prefix, i64::try_from(CANDIDATES).unwrap_or(i64::MAX)],
            |row| columns::job_id(row, "id"),
        )?
        .collect::<Result<_, _>>()?;
    Ok(ids)
}
