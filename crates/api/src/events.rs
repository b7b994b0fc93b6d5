//! Events of one job and the feed of all lifecycle events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Query of `GET /v1/jobs/{id}/events` and of its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EventsQuery {
    /// Where to begin: `0`, or `nextCursor` of an earlier page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Events a page, 1 to 2000; 200 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_events: Option<u32>,
    /// Bytes a page, at least one event; 1 MiB by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Longer contents are cut to so many bytes, with `truncated` and an
    /// artifact that holds the whole; not cut if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_limit: Option<u64>,
    /// Wait so long for the first event, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// A page of one job's events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventsPage {
    /// The events, in order.
    pub events: Vec<EventView>,
    /// Where the next page begins. Opaque.
    pub next_cursor: String,
    /// Whether the job is over and this page reaches its last event.
    pub done: bool,
}

/// One event of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Position within the job, from 1, without gaps.
    pub seq: u64,
    /// Attempt it comes from, if it comes from an agent's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// `queued`, `spawned`, `message`, `progress`, `tool_call`, `tool_result`,
    /// `error`, `stopping`, `requeued`, `question`, `conflict`, `violation` or
    /// `final`.
    #[serde(rename = "type")]
    pub kind: String,
    /// RFC 3339 instant.
    pub timestamp: String,
    /// The facts.
    pub content: Value,
    /// Whether the content was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// File that holds the whole content, if it was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
}

/// One message of the lifecycle feed, `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleView {
    /// Number within the state home, rising: the SSE event id.
    pub seq: u64,
    /// The job.
    pub job_id: String,
    /// RFC 3339 instant.
    pub timestamp: String,
    /// `job.accepted`, `attempt.starting`, `attempt.running`,
    /// `attempt.thread`, `attempt.finishing`, `job.stopping`, `job.requeued`
    /// or `job.ended`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The facts; their shape depends on the type.
    pub data: Value,
}
