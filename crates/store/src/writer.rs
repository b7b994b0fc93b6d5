//! The one thread that writes.
//!
//! It takes what is queued, at most [`BATCH`] requests, does each in a savepoint
//! of one transaction, commits, then answers all. What arrives during the
//! commit is the next batch: nobody waits for company, and under load one sync
//! serves many.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::{Fault, StoreError};

/// Requests in one transaction, at most.
const BATCH: usize = 256;

/// A request whose type of answer is forgotten.
trait Request: Send {
    /// Does it, inside the batch's transaction.
    fn run(&mut self, connection: &Connection, path: &Path);
    /// Answers, after the commit; `lost` says why nothing was kept, if so.
    fn answer(self: Box<Self>, lost: Option<&rusqlite::Error>, path: &Path);
}

struct Typed<T, F> {
    operation: &'static str,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Request for Typed<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send,
{
    fn run(&mut self, connection: &Connection, path: &Path) {
        if let Some(work) = self.work.take() {
            let result = in_savepoint(connection, work);
            self.result = Some(result.map_err(|fault| fault.into_error(self.operation, path)));
        }
    }

    fn answer(self: Box<Self>, lost: Option<&rusqlite::Error>, path: &Path) {
        let answer = match (lost, self.result) {
            (None, Some(result)) => result,
            // Its own error says more than that of the batch.
            (_, Some(Err(error))) => Err(error),
            (Some(error), _) => Err(Fault::Sql(same(error)).into_error(self.operation, path)),
            (None, None) => Err(StoreError::Closed {
                operation: self.operation,
            }),
        };
        // The caller may have stopped waiting; the work is done all the same.
        let _ = self.reply.send(answer);
    }
}

/// The error once more, for another caller.
fn same(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            rusqlite::Error::SqliteFailure(*code, message.clone())
        }
        other => rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
            Some(other.to_string()),
        ),
    }
}

/// Does `work` so that its failure leaves no trace in the transaction.
fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let run = |sql| -> Result<(), Fault> {
        connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    run("SAVEPOINT request")?;
    let result = work(connection);
    // Some failures (a full disk) end the whole transaction; then there is no
    // savepoint left to end.
    if !connection.is_autocommit() {
        if result.is_err() {
            run("ROLLBACK TO request")?;
        }
        run("RELEASE request")?;
    }
    result
}

#[derive(Default)]
struct Queue {
    /// Bounded by the callers: each waits for its answer before it asks again.
    requests: VecDeque<Box<dyn Request>>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing in the critical sections can leave the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is queued, at most a batch; waits for the first. `None` once it is
    /// closed and empty.
    fn take(&self) -> Option<Vec<Box<dyn Request>>> {
        let mut queue = self.lock();
        while queue.requests.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let count = queue.requests.len().min(BATCH);
        Some(queue.requests.drain(..count).collect())
    }
}

/// The way to the writing thread. Dropped, it waits until all that was asked is
/// done.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(connection: Connection, path: PathBuf) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || write_until_closed(&theirs, &connection, &path))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Has `work` done in a transaction that is on disk when this returns. Once
    /// the request is queued, dropping the future does not undo it.
    pub(crate) async fn run<T, F>(&self, operation: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let request = Typed {
            operation,
            work: Some(work),
            result: None,
            reply,
        };
        {
            let mut queue = self.shared.lock();
            if queue.closed {
                return Err(StoreError::Closed { operation });
            }
            queue.requests.push_back(Box::new(request));
        }
        self.shared.changed.notify_one();
        answer
            .await
            .unwrap_or(Err(StoreError::Closed { operation }))
    }

    /// Takes no more requests, and waits until those taken are done.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's writing thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Sees to it that callers get an answer should the thread panic.
struct CloseOnExit<'a>(&'a Shared);

impl Drop for CloseOnExit<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.closed = true;
        // Dropping a request wakes its caller with `Closed`.
        queue.requests.clear();
    }
}

fn write_until_closed(shared: &Shared, connection: &Connection, path: &Path) {
    let _exit = CloseOnExit(shared);
    while let Some(batch) = shared.take() {
        write_batch(connection, path, batch);
    }
    let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    if let Err(error) = emptied {
        // The log is read again at the next start; nothing is lost.
        tracing::debug!(%error, "the database's log was not emptied");
    }
}

fn write_batch(connection: &Connection, path: &Path, mut batch: Vec<Box<dyn Request>>) {
    let lost = match commit_batch(connection, path, &mut batch) {
        Ok(()) => None,
        Err(error) => {
            if !connection.is_autocommit()
                && let Err(error) = connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a failed transaction could not be rolled back");
            }
            Some(error)
        }
    };
    for request in batch {
        request.answer(lost.as_ref(), path);
    }
}

fn commit_batch(
    connection: &Connection,
    path: &Path,
    batch: &mut [Box<dyn Request>],
) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for request in batch {
        request.run(connection, path);
        if connection.is_autocommit() {
            // SQLite gave the whole transaction up, with what went before.
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
                Some("another request of the same transaction failed".to_owned()),
            ));
        }
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(bytes: u32) -> impl FnOnce(&Connection) -> Result<(), Fault> {
        move |connection| {
            connection.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes])?;
            Ok(())
        }
    }

    fn count(connection: &Connection) -> Result<u32, Fault> {
        Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
    }

    #[test]
    fn a_full_disk_is_told_and_passes() {
        let connection = Connection::open_in_memory().expect("a database");
        let setup = "CREATE TABLE t (x); PRAGMA max_page_count = 100";
        connection.execute_batch(setup).expect("a table");
        let writer = Writer::start(connection, "test.db".into()).expect("a thread");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            writer.run("write", insert(10)).await.expect("written");
            let refused = writer.run("write", insert(10_000_000)).await;
            assert!(
                matches!(refused, Err(StoreError::Full { .. })),
                "{refused:?}"
            );
            writer.run("write", insert(10)).await.expect("written");
            assert_eq!(writer.run("count", count).await.expect("counted"), 2);
        });
    }

    #[test]
    fn a_panic_is_told_to_those_who_wait() {
        let connection = Connection::open_in_memory().expect("a database");
        let writer = Writer::start(connection, "test.db".into()).expect("a thread");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let panic = |_: &Connection| -> Result<(), Fault> { panic!("as the test wants") };
        let answer = runtime.block_on(writer.run("panic", panic));
        assert!(matches!(answer, Err(StoreError::Closed { .. })));
    }
}
