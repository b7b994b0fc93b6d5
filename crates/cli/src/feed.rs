//! One job's events as they come, through restarts of the daemon.

use std::time::Duration;

use convoke_api::events::{EventView, EventsQuery};
use convoke_client::EventStream;
use tokio::time::Instant;

use crate::{
    connection::{self, Connection},
    error::CliError,
};

/// How long the daemon may be away.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(500);

/// A job's events.
pub struct Feed {
    stream: EventStream,
    away_since: Option<Instant>,
}

impl Feed {
    /// The events of a job from the beginning.
    pub fn of(connection: &Connection, job: &str) -> Self {
        Self::from(connection, job, None)
    }

    /// The events of a job from a cursor on.
    pub fn from(connection: &Connection, job: &str, cursor: Option<String>) -> Self {
        let query = EventsQuery {
            cursor,
            ..EventsQuery::default()
        };
        Self {
            stream: connection.event_stream(job, &query),
            away_since: None,
        }
    }

    /// The next event; none after the last. Cancel-safe: the stream hands each
    /// event out once, and how long the daemon is away is kept outside.
    ///
    /// # Errors
    /// The daemon refused, or was away for 30 seconds.
    pub async fn next(&mut self) -> Result<Option<EventView>, CliError> {
        loop {
            let error = match self.stream.next().await {
                None => return Ok(None),
                Some(Ok(event)) => {
                    self.away_since = None;
                    return Ok(Some(event));
                }
                Some(Err(error)) => connection::refused(error),
            };
            let since = *self.away_since.get_or_insert_with(Instant::now);
            if !error.is_passing() || since.elapsed() > PATIENCE {
                return Err(error);
            }
            tokio::time::sleep_until(Instant::now() + PAUSE).await;
        }
    }
}
