//! `codex_events`: a page of a job's events.

use convoke_api::events::{EventView, EventsPage, EventsQuery};
use convoke_client::{Client, ClientError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{answers, arguments, errors::Outcome, server::Call, status::OneJob};

/// Bytes of one page, and of one event's content.
const PAGE_LIMIT: u64 = 32 * 1024;
const CONTENT_LIMIT: u64 = 4 * 1024;
/// Bytes of the page that comes with a started job.
const HANDSHAKE_LIMIT: u64 = 4 * 1024;
/// Bytes of the tail that comes with an interrupt.
const TAIL_LIMIT: usize = 16 * 1024;
/// Pages read in search of a tail; an event file is not larger than this many.
const TAIL_PAGES: usize = 512;

/// Types that callers of this toolset know; all others come as progress.
const TYPES: [&str; 6] = [
    "message",
    "progress",
    "tool_call",
    "tool_result",
    "error",
    "final",
];

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    /// Where to begin: "0", or nextCursor of an earlier page; default "0".
    cursor: Option<String>,
    /// Events a page; 1 to 2000, default 200.
    max_events: Option<u64>,
}

/// A page of events.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    events: Vec<Event>,
    /// Where the next page begins.
    next_cursor: String,
    /// True when the job is over and this page reaches its last event.
    done: bool,
}

/// One event.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    /// message, progress, tool_call, tool_result, error or final.
    #[serde(rename = "type")]
    kind: String,
    /// RFC 3339 instant.
    timestamp: String,
    /// The facts; content.kind tells kinds of progress apart.
    content: Value,
    /// True when the content was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// File that holds the whole content, if it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<String>,
}

impl From<EventView> for Event {
    fn from(event: EventView) -> Self {
        let (kind, content) = match TYPES.contains(&event.kind.as_str()) {
            true => (event.kind, event.content),
            false => ("progress".to_owned(), with_kind(event.content, &event.kind)),
        };
        Self {
            kind,
            timestamp: event.timestamp,
            content,
            truncated: event.truncated,
            artifact: event.artifact,
        }
    }
}

fn with_kind(content: Value, kind: &str) -> Value {
    match content {
        Value::Object(mut facts) => {
            facts.insert("kind".into(), json!(kind));
            Value::Object(facts)
        }
        Value::Null => json!({"kind": kind}),
        other => json!({"kind": kind, "value": other}),
    }
}

impl From<EventsPage> for Page {
    fn from(page: EventsPage) -> Self {
        Self {
            events: page.events.into_iter().map(Event::from).collect(),
            next_cursor: page.next_cursor,
            done: page.done,
        }
    }
}

pub(crate) async fn codex_events(call: &Call) -> Outcome {
    let given: OneJob = arguments::read(&call.arguments)?;
    let place: Place = arguments::read(&call.arguments)?;
    let size = arguments::within("maxEvents", place.max_events, 200, 1..=2000)?;
    let cursor = place.cursor.unwrap_or_else(|| "0".to_owned());
    let query = query(
        cursor,
        u32::try_from(size).expect("at most 2000"),
        PAGE_LIMIT,
    );
    let page = call.config.client.events(&given.job_id, &query).await?;
    answers::json(&Page::from(page))
}

/// The first events of a job.
pub(crate) async fn first_page(client: &Client, job: &str, size: u32) -> Result<Page, ClientError> {
    let page = client
        .events(job, &query("0".to_owned(), size, HANDSHAKE_LIMIT))
        .await?;
    Ok(Page::from(page))
}

/// The last events of a job, at most `size`, within 16 KiB.
pub(crate) async fn tail(
    client: &Client,
    job: &str,
    size: usize,
) -> Result<Vec<Event>, ClientError> {
    let mut last = std::collections::VecDeque::new();
    let mut cursor = "0".to_owned();
    for _ in 0..TAIL_PAGES {
        let page = client
            .events(job, &query(cursor.clone(), 2000, 1024 * 1024))
            .await?;
        let at_end = page.done || page.events.is_empty() || page.next_cursor == cursor;
        last.extend(page.events);
        while last.len() > size {
            last.pop_front();
        }
        cursor = page.next_cursor;
        if at_end {
            break;
        }
    }
    let mut room = TAIL_LIMIT;
    let mut events: Vec<Event> = Vec::new();
    for event in last.into_iter().rev() {
        let length = event.content.to_string().len();
        if length > room && !events.is_empty() {
            break;
        }
        room = room.saturating_sub(length);
        events.push(event.into());
    }
    events.reverse();
    Ok(events)
}

fn query(cursor: String, size: u32, bytes: u64) -> EventsQuery {
    EventsQuery {
        cursor: Some(cursor),
        max_events: Some(size),
        max_bytes: Some(bytes),
        content_limit: Some(CONTENT_LIMIT),
        wait_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, content: Value) -> Event {
        Event::from(EventView {
            seq: 1,
            attempt: None,
            kind: kind.into(),
            timestamp: "t".into(),
            content,
            truncated: false,
            artifact: None,
        })
    }

    #[test]
    fn other_types_come_as_progress_with_their_kind() {
        let spawned = event("spawned", json!({"pid": 1}));
        assert_eq!(spawned.kind, "progress");
        assert_eq!(spawned.content, json!({"pid": 1, "kind": "spawned"}));
        assert_eq!(
            event("stopping", json!("x")).content,
            json!({"kind": "stopping", "value": "x"})
        );
        let message = event("message", json!({"text": "hi"}));
        assert_eq!(
            (message.kind.as_str(), message.content),
            ("message", json!({"text": "hi"}))
        );
    }
}
