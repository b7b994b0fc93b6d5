//! The two feeds: one job's events, and all lifecycle events.
//!
//! Both go on where they were after the daemon was replaced: the `id` of a
//! message says where the next one begins. No feed starts a daemon once it
//! runs; it waits a moment for a new one and then ends with an error.

use bytes::Bytes;
use convoke_api::{
    events::{EventView, EventsQuery, LifecycleView},
    paths,
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::{Duration, Instant, sleep_until};

use crate::{
    client::{Client, WhenAbsent},
    error::ClientError,
    pool::Sender,
    query::with_query,
    server_sent::{Message, Parser},
};

/// Connections in a row that may end without a message before a feed gives up.
const MAX_EMPTY: u32 = 5;

/// One job's events as they come; ends after `final`.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    job: String,
    query: EventsQuery,
    feed: Feed,
    over: bool,
}

/// All lifecycle events as they come; never ends by itself.
#[derive(Debug)]
pub struct LifecycleStream {
    client: Client,
    after: Option<u64>,
    feed: Feed,
}

/// One connection after the other.
#[derive(Debug, Default)]
struct Feed {
    /// The sender is kept because dropping it ends the connection.
    open: Option<(Sender, Incoming)>,
    parser: Parser,
    began: bool,
    empty: u32,
}

impl Client {
    /// A job's events from `query.cursor` on. Nothing is sent before the first
    /// [`EventStream::next`].
    #[must_use]
    pub fn event_stream(&self, job: &str, query: &EventsQuery) -> EventStream {
        EventStream {
            client: self.clone(),
            job: job.to_owned(),
            query: query.clone(),
            feed: Feed::default(),
            over: false,
        }
    }

    /// All lifecycle events after `last_seq`; without it, those from now on.
    #[must_use]
    pub fn lifecycle_stream(&self, last_seq: Option<u64>) -> LifecycleStream {
        LifecycleStream {
            client: self.clone(),
            after: last_seq,
            feed: Feed::default(),
        }
    }
}

impl EventStream {
    /// The next event; none after `final`. Cancel-safe: an event that was not
    /// handed out comes with the next call.
    ///
    /// # Errors
    /// [`ClientError`], after which the feed may be asked again.
    pub async fn next(&mut self) -> Option<Result<EventView, ClientError>> {
        if self.over {
            return None;
        }
        let path = paths::of_job(paths::JOB_EVENT_STREAM, &self.job);
        let message = loop {
            let target = with_query(&path, &self.query);
            match self.feed.next(&self.client, &target, None).await {
                Ok(Some(message)) => break message,
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        };
        let event = match parse::<EventView>(&path, &message) {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        if message.id.is_some() {
            self.query.cursor = message.id;
        }
        self.over = event.kind == "final";
        Some(Ok(event))
    }

    /// Where to go on after the last event handed out.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.query.cursor.as_deref()
    }
}

impl LifecycleStream {
    /// The next event. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError`], after which the feed may be asked again.
    pub async fn next(&mut self) -> Result<LifecycleView, ClientError> {
        let message = loop {
            let after = self.after.map(|seq| seq.to_string());
            if let Some(message) = self
                .feed
                .next(&self.client, paths::EVENTS, after.as_deref())
                .await?
            {
                break message;
            }
        };
        let event = parse::<LifecycleView>(paths::EVENTS, &message)?;
        self.after = Some(event.seq);
        Ok(event)
    }
}

impl Feed {
    /// The next message, or none when a connection ended: the caller names the
    /// place to go on from and asks again.
    async fn next(
        &mut self,
        client: &Client,
        target: &str,
        after: Option<&str>,
    ) -> Result<Option<Message>, ClientError> {
        if self.open.is_none() {
            self.connect(client, target, after).await?;
        }
        loop {
            if let Some(message) = self.parser.next() {
                self.empty = 0;
                return Ok(Some(message));
            }
            match self.receive().await {
                Some(bytes) => self.parser.push(&bytes),
                None => {
                    self.open = None;
                    return Ok(None);
                }
            }
        }
    }

    async fn connect(
        &mut self,
        client: &Client,
        target: &str,
        after: Option<&str>,
    ) -> Result<(), ClientError> {
        if self.empty >= MAX_EMPTY {
            self.empty = 0;
            return Err(ClientError::unavailable(format!(
                "GET {target}: the daemon ended the feed {MAX_EMPTY} times without an event"
            )));
        }
        if self.empty > 0 {
            sleep_until(Instant::now() + Duration::from_millis(20 << self.empty)).await;
        }
        let absent = if self.began {
            WhenAbsent::Wait
        } else {
            WhenAbsent::Start
        };
        let (sender, response) = client.open_stream(target, after, absent).await?;
        self.began = true;
        self.empty += 1;
        self.parser = Parser::default();
        self.open = Some((sender, response.into_body()));
        Ok(())
    }

    /// The next bytes; none when the connection ended, however it did.
    async fn receive(&mut self) -> Option<Bytes> {
        let (_, body) = self.open.as_mut()?;
        loop {
            let frame = body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                return Some(data);
            }
        }
    }
}

fn parse<T: DeserializeOwned>(path: &str, message: &Message) -> Result<T, ClientError> {
    serde_json::from_str(&message.data)
        .map_err(|error| ClientError::protocol(&format!("GET {path}"), error))
}
