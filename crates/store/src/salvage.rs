//! A new database in place of a damaged one, from what lies in the folders.
//!
//! `job.json` holds how a job was accepted, the runner folders which attempts
//! were started, and the last line of `events.jsonl` how it ended. What lies in
//! between is found by whoever takes the attempts up. Conversations that callers
//! named are taken from the damaged database as far as it can be read; keys of
//! repeated requests are lost.

use std::path::{Path, PathBuf};

use convoke_core::{
    event::{EventKind, JobEvent},
    failure::{Failure, FailureCode},
    ids::{JobId, RunnerId},
    job::Job,
    lifecycle::{JobEnd, LifecycleEvent, Outcome, StopReason},
    runner_protocol::{ExitRecord, ProcessNote, RunnerIdentity, paths},
    time::UnixMillis,
};
use rusqlite::{Connection, OpenFlags};

use crate::{
    connection::open_writer,
    error::{Fault, StoreError},
    event_file::page::read_page,
    home::{HomeError, StateHome},
    job_folder::AcceptedFile,
    private_folder,
    queries::{
        blocked::{self, Blocking},
        forget, lifecycle, projection,
        sessions::{self, Session},
    },
};

/// What a rebuilt database holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Where the damaged database lies now.
    pub damaged: PathBuf,
    /// Jobs that were found.
    pub jobs: usize,
    /// Job folders that hold no readable `job.json`.
    pub unreadable: Vec<JobId>,
    /// Conversations that could be read.
    pub sessions: usize,
}

/// Why no database could be built.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// The folders cannot be used.
    #[error("the state folder cannot be used")]
    Home(#[source] HomeError),
    /// The new database cannot be written.
    #[error("the new database cannot be written")]
    Store(#[source] StoreError),
}

/// Files of a database.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Moves the database aside and builds a new one.
///
/// # Errors
/// [`SalvageError`]; the damaged database is kept in any case.
pub fn rebuild_database(home: &StateHome, now: UnixMillis) -> Result<Salvaged, SalvageError> {
    let damaged = set_aside(home, now).map_err(SalvageError::Home)?;
    let path = home.database();
    let mut connection = open_writer(&path).map_err(SalvageError::Store)?;
    let mut salvaged = Salvaged {
        damaged,
        ..Salvaged::default()
    };
    let mut jobs = Vec::new();
    for id in home.job_folders().map_err(SalvageError::Home)? {
        match home.read_accepted(&id) {
            Some(accepted) => jobs.push((id, accepted)),
            None => salvaged.unreadable.push(id),
        }
    }
    jobs.sort_by(|a, b| (a.1.at, &a.0).cmp(&(b.1.at, &b.0)));
    let runners = home.runner_folders().map_err(SalvageError::Home)?;
    let sessions = readable_sessions(&salvaged.damaged);
    let written = (|| -> Result<(), Fault> {
        let transaction = connection.transaction()?;
        number_from(&transaction, now)?;
        for (id, accepted) in jobs {
            insert(&transaction, home, &id, accepted, &runners)?;
            salvaged.jobs += 1;
        }
        for session in &sessions {
            sessions::save(&transaction, session)?;
            salvaged.sessions += 1;
        }
        Ok(transaction.commit()?)
    })();
    written
        .map_err(|fault| SalvageError::Store(fault.into_error("rebuild the database", &path)))?;
    Ok(salvaged)
}

fn set_aside(home: &StateHome, now: UnixMillis) -> Result<PathBuf, HomeError> {
    let folder = home.root().join(format!("damaged/{}", now.0));
    private_folder::create(&folder).map_err(HomeError::io("create", &folder))?;
    for part in PARTS {
        let from = PathBuf::from(format!("{}{part}", home.database().display()));
        let to = folder.join(format!("convoke.db{part}"));
        match fs_err::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(HomeError::io("set aside", from)(error));
            }
            _ => {}
        }
    }
    Ok(folder)
}

/// Records get higher numbers than any before: events of the damaged database
/// are told by theirs, and none may be taken for one of those.
fn number_from(connection: &Connection, now: UnixMillis) -> Result<(), Fault> {
    connection.execute(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('lifecycle', ?1)",
        [i64::try_from(now.0).unwrap_or(i64::MAX / 2)],
    )?;
    Ok(())
}

fn insert(
    connection: &Connection,
    home: &StateHome,
    id: &JobId,
    accepted: AcceptedFile,
    runners: &[RunnerId],
) -> Result<(), Fault> {
    let event = LifecycleEvent::Accepted {
        spec: Box::new(accepted.spec.clone()),
        owner: accepted.owner.clone(),
    };
    let seq = lifecycle::insert(connection, accepted.at, id, &event)?;
    let mut job = Job::accepted(id.clone(), seq, accepted.at, accepted.spec, accepted.owner);
    projection::insert(connection, &job)?;
    let attempts = runners.iter().filter_map(RunnerId::attempt);
    let last = attempts
        .filter(|(of, _)| of == id)
        .map(|(_, attempt)| attempt)
        .max();
    let mut records = Vec::new();
    if let Some(attempt) = last {
        let runner = RunnerId::of_attempt(id, attempt);
        records.push((
            accepted.at,
            LifecycleEvent::AttemptStarting { attempt, runner },
        ));
    }
    if let Some((at, end)) = end_of(&home.job_events(id)) {
        let end = Box::new(end);
        records.push((at, LifecycleEvent::Ended { end }));
    }
    for (at, event) in records {
        if job.apply(at, &event).is_ok() {
            lifecycle::insert(connection, at, id, &event)?;
            projection::update(connection, &job)?;
        }
    }
    if job.is_over()
        && let Some(attempt) = last
        && let Some(left) = left_of(home, id, attempt)
    {
        blocked::save(connection, &left)?;
    }
    // The environment is the last that goes when a job is settled.
    if job.is_over() && !home.job_env(id).exists() {
        projection::set_finalised(connection, id)?;
    }
    Ok(())
}

/// Replaces the records of one job by what lies in its folders; whether its
/// `job.json` could be read.
pub(crate) fn repair_job(
    connection: &Connection,
    home: &StateHome,
    id: &JobId,
) -> Result<bool, Fault> {
    let Some(accepted) = home.read_accepted(id) else {
        return Ok(false);
    };
    let runners = home.runners_of(id).unwrap_or_default();
    forget::delete_records(connection, id)?;
    insert(connection, home, id, accepted, &runners)?;
    Ok(true)
}

/// What the last attempt of a job left running, by its runner's own account. The
/// commands are not taken over: they may hold secrets.
fn left_of(home: &StateHome, id: &JobId, attempt: u32) -> Option<Blocking> {
    let folder = home.runner_folder(&RunnerId::of_attempt(id, attempt));
    let exit: ExitRecord = read(&folder.join(paths::EXIT))?;
    let identity: RunnerIdentity = read(&folder.join(paths::IDENTITY))?;
    let without_words = |process: ProcessNote| ProcessNote {
        command: String::new(),
        ..process
    };
    let processes: Vec<_> = exit.leftovers.into_iter().map(without_words).collect();
    (!processes.is_empty()).then(|| Blocking {
        job: id.clone(),
        boot_id: identity.boot_id,
        processes,
    })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs_err::read(path).ok()?).ok()
}

/// When and how the job ended, by the last of its events.
fn end_of(events: &Path) -> Option<(UnixMillis, JobEnd)> {
    let mut cursor = 0;
    let mut last: Option<JobEvent> = None;
    loop {
        let page = read_page(events, cursor, 2_000, 4 << 20).ok()?;
        cursor = page.next;
        last = page.events.into_iter().next_back().or(last);
        if page.at_end {
            break;
        }
    }
    let last = last.filter(|event| event.kind == EventKind::Final)?;
    Some((last.at, end_from(&last.content)))
}

/// The end that a `final` event tells.
fn end_from(content: &serde_json::Value) -> JobEnd {
    let text = |key: &str| content[key].as_str().unwrap_or_default();
    let number = |key: &str| content[key].as_i64().and_then(|n| i32::try_from(n).ok());
    let outcome = match text("status") {
        "done" => Outcome::Completed,
        "canceled" => Outcome::Cancelled {
            reason: parse(&content["code"]).unwrap_or(StopReason::Cancelled),
        },
        _ => Outcome::Failed(Failure::new(
            parse(&content["code"]).unwrap_or(FailureCode::Internal),
            text("message"),
        )),
    };
    JobEnd {
        exit_code: number("exitCode"),
        exit_signal: number("exitSignal"),
        final_message: content["lastMessage"].as_str().map(str::to_owned),
        leftovers: parse(&content["leftovers"]).unwrap_or_default(),
        ..JobEnd::without_process(outcome)
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: &serde_json::Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

/// The conversations that can still be read, one by one.
fn readable_sessions(damaged: &Path) -> Vec<Session> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(damaged.join("convoke.db"), flags) else {
        return Vec::new();
    };
    sessions::all_readable(&connection)
}
