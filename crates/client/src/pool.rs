//! Connections that are kept open between requests.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// One connection, by its sending end.
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// More idle connections than this are closed.
const MAX_IDLE: usize = 4;

/// Idle connections.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Sender>>,
}

impl Pool {
    /// An open connection, if one is left. The last used comes first.
    pub(crate) async fn take(&self) -> Option<Sender> {
        loop {
            let mut sender = self.lock().pop()?;
            // Also lets the connection's task notice an end it has not read yet.
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(crate) fn put(&self, sender: Sender) {
        let mut idle = self.lock();
        if !sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push(sender);
        }
    }

    /// Closes all idle connections.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Sender>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a connection of a stream. Its task ends when the sender is dropped or
/// the daemon closes, so nothing needs to track it.
pub(crate) async fn open(stream: UnixStream) -> hyper::Result<Sender> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // What went wrong is told to whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(sender)
}
