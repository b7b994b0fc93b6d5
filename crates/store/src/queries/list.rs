//! Lists of jobs, page by page.

use std::path::PathBuf;

use convoke_core::{ids::JobId, owner::Owner, time::UnixMillis};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::columns;
use crate::error::Fault;

/// Which jobs to list; what is not set lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// In one of these states (`JobState::name`); empty lets all through.
    pub states: Vec<String>,
    /// With this text in their label.
    pub label: Option<String>,
    /// Carried out by this agent.
    pub agent: Option<String>,
    /// Working in this folder or below it.
    pub folder: Option<PathBuf>,
    /// Accepted then or later.
    pub since: Option<UnixMillis>,
    /// On behalf of this owner.
    pub owner: Option<Owner>,
}

/// Which part of a list to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Jobs, at most; at least 1 is given.
    pub limit: usize,
    /// Where the page before ended, as it said; none for the first page.
    pub cursor: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, if there is more. Opaque.
    pub next: Option<String>,
}

/// A job in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its name.
    pub id: JobId,
    /// Number of the record that accepted it.
    pub accepted_seq: u64,
    /// When it was accepted.
    pub accepted_at: UnixMillis,
    /// `JobState::name`.
    pub state: String,
    /// When its first attempt started.
    pub started_at: Option<UnixMillis>,
    /// When it ended; set if and only if it is over.
    pub finished_at: Option<UnixMillis>,
    /// Attempts started so far.
    pub attempts: u32,
    /// The caller's name for it.
    pub label: Option<String>,
    /// Who carries it out: `codex` or `command`.
    pub agent: String,
    /// Its working folder.
    pub folder: PathBuf,
    /// The tree it counts against.
    pub tree: PathBuf,
    /// On whose behalf.
    pub owner: Owner,
    /// The agent's conversation, once known.
    pub thread: Option<String>,
    /// Failure code, if it failed.
    pub code: Option<String>,
    /// The story of the failure, if it failed.
    pub message: Option<String>,
    /// The agent's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub exit_signal: Option<i32>,
    /// The job it continues or was started by.
    pub parent: Option<JobId>,
}

/// Conditions and their values, joined by AND.
#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    values: Vec<Box<dyn ToSql>>,
}

impl Conditions {
    /// Adds a condition; each `?` in it stands for the one value.
    fn add(&mut self, sql: &str, value: impl ToSql + 'static) {
        self.values.push(Box::new(value));
        let place = format!("?{}", self.values.len());
        self.sql.push(sql.replace('?', &place));
    }

    fn add_states(&mut self, states: &[String]) {
        if states.is_empty() {
            return;
        }
        let is_final = |state: &String| ["completed", "failed", "cancelled"].contains(&&**state);
        if !states.iter().any(is_final) {
            // Lets the index of live jobs be used.
            self.sql.push("finished_at IS NULL".to_owned());
        }
        let places: Vec<String> = states
            .iter()
            .map(|state| {
                self.values.push(Box::new(state.clone()));
                format!("?{}", self.values.len())
            })
            .collect();
        self.sql.push(format!("state IN ({})", places.join(", ")));
    }
}

fn conditions(filter: &JobFilter) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.add_states(&filter.states);
    if let Some(label) = &filter.label {
        conditions.add("instr(label, ?) > 0", label.clone());
    }
    if let Some(agent) = &filter.agent {
        conditions.add("agent = ?", agent.clone());
    }
    if let Some(folder) = &filter.folder {
        let folder = folder.to_string_lossy();
        let folder = folder.trim_end_matches('/').to_owned();
        conditions.add(
            "(folder = ? OR substr(folder, 1, length(?) + 1) = ? || '/')",
            folder,
        );
    }
    if let Some(since) = filter.since {
        conditions.add("accepted_at >= ?", columns::to_sql(since.0));
    }
    if let Some(owner) = &filter.owner {
        conditions.add("owner = ?", columns::owner_key(owner));
    }
    conditions
}

/// A page of the jobs that `filter` lets through, newest first.
pub(crate) fn jobs(
    connection: &Connection,
    filter: &JobFilter,
    request: &PageRequest,
) -> Result<Page<JobRow>, Fault> {
    let mut conditions = conditions(filter);
    if let Some(cursor) = &request.cursor {
        let before: i64 = cursor
            .parse()
            .map_err(|_| Fault::BadCursor(cursor.clone()))?;
        conditions.add("accepted_seq < ?", before);
    }
    let limit = request.limit.max(1);
    // One more than asked for tells whether there is another page.
    let ask = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    conditions.add("?", ask);
    let limit_place = conditions.sql.pop().expect("it was just added");
    let restrict = if conditions.sql.is_empty() {
        String::new()
    } else {
        format!("WHERE {}", conditions.sql.join(" AND "))
    };
    let sql =
        format!("SELECT * FROM jobs {restrict} ORDER BY accepted_seq DESC LIMIT {limit_place}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut items = statement
        .query_map(params_from_iter(conditions.values), job_row)?
        .collect::<Result<Vec<_>, _>>()?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items
        .last()
        .filter(|_| has_more)
        .map(|last| last.accepted_seq.to_string());
    Ok(Page { items, next })
}

/// The row of one job.
pub(crate) fn row_of(connection: &Connection, id: &JobId) -> Result<Option<JobRow>, Fault> {
    let mut statement = connection.prepare_cached("SELECT * FROM jobs WHERE id = ?1")?;
    let row = statement.query_map([id.as_str()], job_row)?.next();
    Ok(row.transpose()?)
}

fn job_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let optional_instant = |column| -> rusqlite::Result<Option<UnixMillis>> {
        let millis: Option<i64> = row.get(column)?;
        Ok(millis.map(|millis| UnixMillis(columns::from_sql(millis))))
    };
    Ok(JobRow {
        id: columns::job_id(row, "id")?,
        accepted_seq: columns::number(row, "accepted_seq")?,
        accepted_at: columns::instant(row, "accepted_at")?,
        state: row.get("state")?,
        started_at: optional_instant("started_at")?,
        finished_at: optional_instant("finished_at")?,
        attempts: row.get("attempts")?,
        label: row.get("label")?,
        agent: row.get("agent")?,
        folder: row.get::<_, String>("folder")?.into(),
        tree: row.get::<_, String>("tree")?.into(),
        owner: columns::owner(row, "owner")?,
        thread: row.get("thread")?,
        code: row.get("code")?,
        message: row.get("message")?,
        exit_code: row.get("exit_code")?,
        exit_signal: row.get("exit_signal")?,
        parent: columns::optional_job_id(row, "parent")?,
    })
}
