//! The form of a line: a [`JobEvent`](convoke_core::event::JobEvent) and the
//! last source of the other kind.

use convoke_core::{
    event::{EVENT_VERSION, EventKind, NewEvent, Source},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line as it is written.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    v: u32,
    seq: u64,
    src: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Source>,
    at: UnixMillis,
    #[serde(rename = "type")]
    kind: EventKind,
    content: &'a Value,
}

impl<'a> Line<'a> {
    pub(super) fn new(
        seq: u64,
        src: Source,
        other: Option<Source>,
        at: UnixMillis,
        event: &'a NewEvent,
    ) -> Self {
        Self {
            v: EVENT_VERSION,
            seq,
            src,
            other,
            at,
            kind: event.kind,
            content: &event.content,
        }
    }
}

/// What the last line tells about all before it.
#[derive(Deserialize)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) src: Source,
    #[serde(default)]
    pub(super) other: Option<Source>,
}
