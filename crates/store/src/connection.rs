//! How the database is opened, for writing and for reading.

use std::{
    io::{self, Read as _},
    path::Path,
    time::Duration,
};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{
    error::{Fault, StoreError},
    private_folder::FILE_MODE,
    schema,
};

/// How long to wait for a lock of another process. There is one only while a
/// daemon hands over to the next.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements kept by each connection.
const STATEMENTS: usize = 64;

/// What both kinds of connection share: 2 MiB of cache (negative means KiB).
const COMMON: &str = "
    PRAGMA cache_size = -2048;
    PRAGMA temp_store = MEMORY;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
";

const WRITER: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA journal_size_limit = 4194304;
";

/// Where `user_version` stands in the file, big-endian.
const VERSION_OFFSET: usize = 60;

/// Opens the database for writing; makes or migrates it as needed.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    refuse_newer_file(path)?;
    create_private(path)?;
    let open = || -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // Until the schema is known, closing must not move the log into the
        // file either.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    };
    let prepare = |connection: &mut Connection| -> Result<(), Fault> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.execute_batch(WRITER)?;
        connection.execute_batch(COMMON)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        schema::migrate(connection)
    };
    let failed = |fault: Fault| fault.into_error("open the database", path);
    let mut connection = open().map_err(failed)?;
    // The file may be older than the log beside it, so this is the one that counts.
    let found = schema::version(&connection).map_err(failed)?;
    if found > schema::KNOWN {
        return Err(newer(found, path));
    }
    prepare(&mut connection).map_err(failed)?;
    Ok(connection)
}

/// Opens the existing, migrated database for reading.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(COMMON)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Refuses a newer database by its first bytes, before SQLite sees it.
fn refuse_newer_file(path: &Path) -> Result<(), StoreError> {
    let mut head = Vec::new();
    let read = fs_err::File::open(path)
        .and_then(|file| file.take(VERSION_OFFSET as u64 + 4).read_to_end(&mut head));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file_error("read", path, error)),
        Ok(_) => {}
    }
    let Some(bytes) = head.get(VERSION_OFFSET..) else {
        return Ok(());
    };
    let is_database = head.starts_with(b"SQLite format 3\0");
    match <[u8; 4]>::try_from(bytes).map(u32::from_be_bytes) {
        Ok(found) if is_database && found > schema::KNOWN => Err(newer(found, path)),
        _ => Ok(()),
    }
}

/// Makes the file before SQLite does, so that nobody else can read it; its log
/// and index get the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    fs_err::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
        .map(drop)
        .map_err(|error| file_error("create", path, error))
}

fn newer(found: u32, path: &Path) -> StoreError {
    StoreError::NewerSchema {
        found,
        known: schema::KNOWN,
        path: path.to_owned(),
    }
}

fn file_error(operation: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::File {
        operation,
        path: path.to_owned(),
        source,
    }
}
