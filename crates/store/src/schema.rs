//! The tables, and the steps that lead from one schema to the next.
//!
//! The number of the schema is `user_version`. A step, once released, never
//! changes; a new schema is a new step at the end. Instants are milliseconds
//! since 1970 (see [`convoke_core::time::UnixMillis`]), names of columns that
//! hold JSON say so here.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::Fault;

/// The steps; the first leads from an empty database to schema 1.
const STEPS: &[&str] = &[SCHEMA_1, SCHEMA_2, SCHEMA_3];

/// The newest schema this program knows.
pub(crate) const KNOWN: u32 = 3;

/// Changes no table: `lifecycle` may hold `job.found` records from here on, which
/// programs of schema 2 cannot read.
const SCHEMA_3: &str = "";

const SCHEMA_2: &str = "
-- Forgotten jobs are not counted any more.
CREATE TRIGGER jobs_uncounted AFTER DELETE ON jobs BEGIN
    UPDATE state_counts SET jobs = jobs - 1 WHERE state = old.state;
END;
-- For the retention of ended jobs, the one that ended first first.
CREATE INDEX jobs_by_end ON jobs (finished_at, accepted_seq) WHERE finished_at IS NOT NULL;

-- Ended jobs of which processes are left that could not be ended: what they may
-- write stays blocked until they are gone or a person releases it.
CREATE TABLE blocked (
    job_id    TEXT NOT NULL PRIMARY KEY REFERENCES jobs (id),
    boot_id   TEXT NOT NULL,                   -- of the machine; empty where start times are absolute
    processes TEXT NOT NULL                    -- JSON: ProcessNote, a list
) STRICT, WITHOUT ROWID;
";

const SCHEMA_1: &str = "
-- Every decision about every job, in order. The truth about all states; the
-- feed of all lifecycle events. Never changed.
CREATE TABLE lifecycle (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
    job_id  TEXT NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
    at      INTEGER NOT NULL,
    version INTEGER NOT NULL,                  -- of the form of `event`
    event   TEXT NOT NULL                      -- JSON: LifecycleEvent
) STRICT;
CREATE INDEX lifecycle_of_job ON lifecycle (job_id, seq);

-- What the lifecycle records of a job come to: one row a job, for lists and
-- look-ups. What is long (the spec, the final message) is in `lifecycle` only.
CREATE TABLE jobs (
    accepted_seq INTEGER PRIMARY KEY,          -- of its first lifecycle record
    id           TEXT NOT NULL UNIQUE,
    accepted_at  INTEGER NOT NULL,
    state        TEXT NOT NULL,                -- JobState::name
    started_at   INTEGER,
    finished_at  INTEGER,                      -- set if and only if it is over
    attempts     INTEGER NOT NULL,
    label        TEXT,
    agent        TEXT NOT NULL,
    folder       TEXT NOT NULL,
    tree         TEXT NOT NULL,
    owner        TEXT NOT NULL,                -- JSON: Owner
    thread       TEXT,
    code         TEXT,                         -- of the failure
    message      TEXT,                         -- of the failure
    exit_code    INTEGER,
    exit_signal  INTEGER,
    parent       TEXT,
    finalised    INTEGER NOT NULL DEFAULT 0    -- 1: nothing is left to be done
) STRICT;
CREATE INDEX jobs_live ON jobs (accepted_seq) WHERE finished_at IS NULL;
CREATE INDEX jobs_unfinalised ON jobs (accepted_seq)
    WHERE finished_at IS NOT NULL AND finalised = 0;
CREATE INDEX jobs_by_label ON jobs (label, accepted_seq) WHERE label IS NOT NULL;

-- How many jobs are in each state, so that nobody counts them.
CREATE TABLE state_counts (
    state TEXT NOT NULL PRIMARY KEY,
    jobs  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER jobs_counted AFTER INSERT ON jobs BEGIN
    INSERT INTO state_counts VALUES (new.state, 1)
        ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER jobs_recounted AFTER UPDATE OF state ON jobs
    WHEN old.state <> new.state BEGIN
    UPDATE state_counts SET jobs = jobs - 1 WHERE state = old.state;
    INSERT INTO state_counts VALUES (new.state, 1)
        ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
END;

-- Requests that made a job, so that a repeated one finds it. A key the caller
-- chose (`explicit` 1) stands for one request; a key made for it (0) does so
-- together with the arguments.
CREATE TABLE idempotency (
    owner          TEXT NOT NULL,              -- JSON: Owner
    key            TEXT NOT NULL,
    explicit       INTEGER NOT NULL,
    arguments_hash TEXT NOT NULL,
    job_id         TEXT NOT NULL REFERENCES jobs (id),
    at             INTEGER NOT NULL,
    PRIMARY KEY (owner, key, explicit, arguments_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (at);

-- How far the journal of an attempt has been turned into events, and the
-- driver's state there. One row an attempt, replaced as it advances, deleted
-- when the job is finalised.
CREATE TABLE checkpoints (
    job_id         TEXT NOT NULL REFERENCES jobs (id),
    attempt        INTEGER NOT NULL,
    journal_offset INTEGER NOT NULL,
    event_file_len INTEGER NOT NULL,
    events_seq     INTEGER NOT NULL,
    driver         TEXT NOT NULL,              -- JSON, the driver's own form
    PRIMARY KEY (job_id, attempt)
) STRICT, WITHOUT ROWID;

-- What was seen of the working tree around a job. Kinds: `before`, `after`.
CREATE TABLE observations (
    job_id TEXT NOT NULL REFERENCES jobs (id),
    kind   TEXT NOT NULL,
    value  TEXT NOT NULL,                      -- JSON, the observer's own form
    PRIMARY KEY (job_id, kind)
) STRICT, WITHOUT ROWID;

-- Evidence that came too late to matter. Read by people only.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    job_id TEXT NOT NULL,                      -- may name no job
    what   TEXT NOT NULL
) STRICT;
CREATE INDEX audit_of_job ON audit (job_id, id);

-- Conversations callers have named, for calls that continue them.
CREATE TABLE sessions (
    owner            TEXT NOT NULL,            -- JSON: Owner
    id               TEXT NOT NULL,
    thread_id        TEXT,                     -- the agent's name of it, once known
    created_at       INTEGER NOT NULL,
    last_accessed_at INTEGER NOT NULL,
    turn_count       INTEGER NOT NULL,
    model            TEXT,
    PRIMARY KEY (owner, id)
) STRICT, WITHOUT ROWID;
";

/// The schema a database has; 0 for an empty one.
pub(crate) fn version(connection: &Connection) -> Result<u32, Fault> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Leads the database to the newest schema, in one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    if version(connection)? == KNOWN {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again, because another process may have been faster.
    let found = version(&transaction)?;
    for (step, number) in STEPS.iter().zip(1u32..) {
        if number > found {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", number)?;
        }
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_lead_to_the_newest_schema() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection).expect("a migration");
        assert_eq!(version(&connection).expect("a version"), KNOWN);
        assert_eq!(STEPS.len(), usize::try_from(KNOWN).expect("small"));
        migrate(&mut connection).expect("nothing to do");
    }
}
