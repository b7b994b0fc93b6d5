//! The two resumable feeds, as server-sent events.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use axum::{
    extract::{ConnectInfo, Path, State},
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use convoke_api::{
    error::{ApiError, RequestCode},
    events::{EventsQuery, LifecycleView},
};
use convoke_core::{
    ids::JobId,
    lifecycle::{LifecycleEvent, LifecycleRecord},
};
use futures_util::{Stream, stream};

use super::{Peer, Query, Refusal, handlers::readable};
use crate::{api_errors, event_pages, state::Daemon};

/// Records read at once.
const BATCH: usize = 200;

/// How long one look for new events of a job may wait, milliseconds.
const PATIENCE_MS: u64 = 60_000;

type Feed<S> = Result<Sse<axum::response::sse::KeepAliveStream<S>>, Refusal>;

/// One job's events as they come; ends after the last. The id of a message is
/// the cursor behind it.
pub async fn job_events(
    State(daemon): State<Arc<Daemon>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Query(mut query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Feed<impl Stream<Item = Result<Event, Infallible>>> {
    let id = readable(&daemon, &peer, &name)?;
    if let Some(cursor) = last_event_id(&headers) {
        query.cursor = Some(cursor);
    }
    // One event a page, so that each message carries its own cursor.
    query.wait_ms = Some(PATIENCE_MS);
    query.max_events = Some(1);
    let request = event_pages::Request::parse(&query)?;
    // A bad cursor is told before the stream begins.
    event_pages::read(
        &daemon,
        &id,
        &event_pages::Request::parse(&EventsQuery {
            wait_ms: None,
            ..query
        })?,
    )
    .await?;
    let state = JobFeed {
        daemon,
        id,
        request: Some(request),
    };
    Ok(keep_alive(stream::unfold(state, next_job_event)))
}

struct JobFeed {
    daemon: Arc<Daemon>,
    id: JobId,
    /// None behind the last event.
    request: Option<event_pages::Request>,
}

async fn next_job_event(mut feed: JobFeed) -> Option<(Result<Event, Infallible>, JobFeed)> {
    loop {
        let request = feed.request.take()?;
        let shutdown = feed.daemon.shutdown.clone();
        let page = tokio::select! {
            page = event_pages::read(&feed.daemon, &feed.id, &request) => page.ok()?,
            () = shutdown.cancelled() => return None,
        };
        if !page.view.done {
            feed.request = Some(request.next(page.next));
        }
        if let Some(event) = page.view.events.first() {
            let message = Event::default()
                .id(page.view.next_cursor.clone())
                .json_data(event)
                .ok()?;
            return Some((Ok(message), feed));
        }
        if page.view.done {
            return None;
        }
    }
}

/// All lifecycle events in the order of the database; goes on after
/// `Last-Event-ID`, else begins with what comes next.
pub async fn lifecycle(
    State(daemon): State<Arc<Daemon>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Feed<impl Stream<Item = Result<Event, Infallible>>> {
    peer.may_do_all()?;
    let after = match last_event_id(&headers) {
        None => *daemon.last_record.borrow(),
        Some(id) => id.parse().map_err(|_| {
            ApiError::new(
                RequestCode::BadCursor,
                format!("`Last-Event-ID` is {id:?}; it must be a number"),
            )
        })?,
    };
    let state = LifecycleFeed {
        news: daemon.last_record.subscribe(),
        daemon,
        after,
        batch: VecDeque::new(),
    };
    Ok(keep_alive(stream::unfold(state, next_lifecycle_event)))
}

struct LifecycleFeed {
    daemon: Arc<Daemon>,
    news: tokio::sync::watch::Receiver<u64>,
    after: u64,
    batch: VecDeque<LifecycleRecord>,
}

async fn next_lifecycle_event(
    mut feed: LifecycleFeed,
) -> Option<(Result<Event, Infallible>, LifecycleFeed)> {
    loop {
        if let Some(record) = feed.batch.pop_front() {
            feed.after = record.seq;
            let message = Event::default()
                .id(record.seq.to_string())
                .json_data(view(&record))
                .ok()?;
            return Some((Ok(message), feed));
        }
        let records = feed.daemon.store.records_after(feed.after, BATCH);
        feed.batch = match records {
            Ok(records) => records.into(),
            Err(error) => {
                tracing::warn!(error = %api_errors::of_store(&error), "the feed of lifecycle events ends");
                return None;
            }
        };
        if feed.batch.is_empty() {
            let shutdown = feed.daemon.shutdown.clone();
            let after = feed.after;
            tokio::select! {
                news = feed.news.wait_for(|last| *last > after) => { news.ok()?; }
                () = shutdown.cancelled() => return None,
            }
        }
    }
}

fn view(record: &LifecycleRecord) -> LifecycleView {
    let mut data = serde_json::to_value(&record.event).unwrap_or_default();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("type");
        // The prompt of a job belongs to the job, not to everyone's feed.
        if let LifecycleEvent::Accepted { spec, .. } = &record.event {
            let shown = serde_json::json!({"label": spec.label, "agent": spec.work.agent(), "sandbox": spec.sandbox,
                "workingDirectory": spec.working_directory});
            fields.insert("spec".to_owned(), shown);
        }
    }
    LifecycleView {
        seq: record.seq,
        job_id: record.job.to_string(),
        timestamp: record.at.to_rfc3339(),
        kind: record.event.name().to_owned(),
        data,
    }
}

fn last_event_id(headers: &HeaderMap) -> Option<String> {
    headers
        .get("last-event-id")?
        .to_str()
        .ok()
        .map(str::to_owned)
}

fn keep_alive<S>(stream: S) -> Sse<axum::response::sse::KeepAliveStream<S>>
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    Sse::new(stream).keep_alive(KeepAlive::default())
}
