//! Pages of a job's events, as the API shows them.

use std::{sync::Arc, time::Duration};

use convoke_api::{
    error::{ApiError, RequestCode},
    events::{EventView, EventsPage, EventsQuery},
};
use convoke_core::{
    event::{EventKind, JobEvent, Source},
    ids::JobId,
};
use convoke_store::{EventFileError, EventPage, read_page};
use serde_json::Value;

use crate::{api_errors, damage, rebuild, results, state::Daemon, wait};

const DEFAULT_EVENTS: u32 = 200;
const MOST_EVENTS: u32 = 2_000;
const DEFAULT_BYTES: u64 = 1024 * 1024;
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A page that can be asked for.
#[derive(Clone, Debug)]
pub struct Request {
    cursor: u64,
    max_events: usize,
    max_bytes: usize,
    content_limit: Option<usize>,
    wait: Duration,
}

impl Request {
    /// Checks a query.
    ///
    /// # Errors
    /// A value is out of its range.
    pub fn parse(query: &EventsQuery) -> Result<Self, ApiError> {
        let cursor = query.cursor.as_deref().unwrap_or("0");
        let cursor = cursor.parse().map_err(|_| {
            ApiError::new(
                RequestCode::BadCursor,
                format!("`cursor` is {cursor:?}, which is no cursor"),
            )
            .with_hint("begin with \"0\" and go on with the `nextCursor` of the page before")
        })?;
        let max_events = query.max_events.unwrap_or(DEFAULT_EVENTS);
        if max_events == 0 || max_events > MOST_EVENTS {
            return Err(ApiError::invalid(format!(
                "`maxEvents` is {max_events}; it must be 1 to {MOST_EVENTS}"
            )));
        }
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Self {
            cursor,
            max_events: usize::try_from(max_events).unwrap_or(1),
            max_bytes: size(query.max_bytes.unwrap_or(DEFAULT_BYTES)),
            content_limit: query.content_limit.map(size),
            wait: Duration::from_millis(query.wait_ms.unwrap_or(0)).min(LONGEST_WAIT),
        })
    }

    /// The page after the one that ended at `cursor`.
    #[must_use]
    pub fn next(&self, cursor: u64) -> Self {
        Self {
            cursor,
            ..self.clone()
        }
    }
}

/// A page and the cursor behind it.
#[derive(Clone, Debug)]
pub struct Page {
    /// As the API shows it.
    pub view: EventsPage,
    /// Where the next one begins.
    pub next: u64,
}

/// Reads a page; waits for the first event if asked to.
///
/// # Errors
/// The cursor is bad or the events cannot be read.
pub async fn read(daemon: &Arc<Daemon>, id: &JobId, request: &Request) -> Result<Page, ApiError> {
    let page = read_now(daemon, id, request).await?;
    if !page.view.events.is_empty() || page.view.done || request.wait.is_zero() {
        return Ok(page);
    }
    let more = more_to_read(daemon, id, request.cursor);
    let _ = tokio::time::timeout(request.wait, more).await;
    read_now(daemon, id, request).await
}

/// Waits until there are events behind the cursor, or the last is written.
async fn more_to_read(daemon: &Daemon, id: &JobId, cursor: u64) {
    if let Some(live) = daemon.live.get(id) {
        let mut progress = live.watch();
        drop(live);
        let seen = progress
            .wait_for(|progress| progress.events_len > cursor || progress.told_the_end())
            .await;
        if seen.is_ok() {
            return;
        }
    }
    // Its events could not be opened, or somebody else follows them now.
    wait::look_again_later().await;
}

async fn read_now(daemon: &Arc<Daemon>, id: &JobId, request: &Request) -> Result<Page, ApiError> {
    // Looked at before reading: an end that comes in between is seen by the
    // next page.
    let over = is_over(daemon, id)?;
    let path = daemon.home.job_events(id);
    let (daemon, id, request) = (Arc::clone(daemon), id.clone(), request.clone());
    let read = tokio::task::spawn_blocking(move || {
        let settled = over && daemon.live.get(&id).is_none();
        if settled && !path.exists() {
            replace(&daemon, &id, "are missing")?;
        }
        let read = || read_page(&path, request.cursor, request.max_events, request.max_bytes);
        let page = match read() {
            Err(EventFileError::Damaged { .. }) if settled => {
                replace(&daemon, &id, "cannot be read")?;
                read()
            }
            Ok(page) if settled && lacks_end(&page, request.cursor) => {
                replace(&daemon, &id, "lack the last one")?;
                read()
            }
            other => other,
        };
        let page = page.map_err(|error| api_errors::of_events(&error))?;
        show(&daemon, &id, &request, page, over)
    });
    read.await
        .map_err(|error| ApiError::new(RequestCode::Internal, error.to_string()))?
}

/// Whether the last page of a settled job ends with something else than its
/// end. One without events says nothing, unless it is the first.
fn lacks_end(page: &EventPage, cursor: u64) -> bool {
    let last = page.events.last().map(|event| event.kind);
    page.at_end && last.map_or(cursor == 0, |kind| kind != EventKind::Final)
}

/// The events of a job that is over can be told again from its journals.
fn replace(daemon: &Daemon, id: &JobId, what: &str) -> Result<(), ApiError> {
    let job = daemon
        .store
        .job(id)
        .map_err(|error| api_errors::of_store(&error))?;
    let Some(job) = job else { return Ok(()) };
    let replaced = rebuild::replace(daemon, &job);
    let done = match &replaced {
        Ok(()) => "they were written anew from its records and journals".to_owned(),
        Err(error) => format!("they cannot be written anew: {}", crate::error_chain(error)),
    };
    damage::report(&daemon.home, &format!("events of job {id} {what}"), &done);
    replaced
        .map_err(|error| ApiError::new(RequestCode::StateUnavailable, crate::error_chain(&error)))
}

fn is_over(daemon: &Daemon, id: &JobId) -> Result<bool, ApiError> {
    if let Some(live) = daemon.live.get(id) {
        return Ok(live.watch().borrow().told_the_end());
    }
    let standings = daemon
        .store
        .job_outcomes(std::slice::from_ref(id))
        .map_err(|error| api_errors::of_store(&error))?;
    Ok(standings
        .into_iter()
        .any(|(_, standing)| standing.is_some_and(|standing| standing.ended)))
}

fn show(
    daemon: &Daemon,
    id: &JobId,
    request: &Request,
    page: EventPage,
    over: bool,
) -> Result<Page, ApiError> {
    // The last event may have come since the job was looked at.
    let ends = page
        .events
        .last()
        .is_some_and(|event| event.kind == EventKind::Final);
    let done = page.at_end && (over || ends);
    let events: Result<Vec<EventView>, ApiError> = page
        .events
        .into_iter()
        .map(|event| view(daemon, id, event, request.content_limit))
        .collect();
    let view = EventsPage {
        events: events?,
        next_cursor: page.next.to_string(),
        done,
    };
    Ok(Page {
        view,
        next: page.next,
    })
}

fn view(
    daemon: &Daemon,
    id: &JobId,
    event: JobEvent,
    limit: Option<usize>,
) -> Result<EventView, ApiError> {
    let mut view = EventView {
        seq: event.seq,
        attempt: match event.src {
            Source::Journal { attempt, .. } => Some(attempt),
            Source::Lifecycle(_) => None,
        },
        kind: event.kind.as_str().to_owned(),
        timestamp: event.at.to_rfc3339(),
        content: event.content,
        truncated: false,
        artifact: None,
    };
    let Some(limit) = limit else { return Ok(view) };
    let whole = view.content.to_string();
    if whole.len() <= limit {
        return Ok(view);
    }
    let path = daemon
        .home
        .job_artifacts(id)
        .join(format!("event-{}.json", event.seq));
    results::keep(&path, whole.as_bytes())?;
    shorten(&mut view.content, limit);
    view.truncated = true;
    view.artifact = Some(path.display().to_string());
    Ok(view)
}

/// Cuts the longest texts of a content until it fits.
fn shorten(content: &mut Value, limit: usize) {
    // Each round halves what the longest text may have; a content of very many
    // short parts is replaced as a whole in the end.
    let mut longest = limit;
    while content.to_string().len() > limit && longest > 16 {
        longest /= 2;
        cut_texts(content, longest);
    }
    if content.to_string().len() > limit {
        let text = content.to_string();
        *content =
            serde_json::json!({"kind": content["kind"], "cut": results::cut(&text, limit / 2)});
    }
}

fn cut_texts(value: &mut Value, longest: usize) {
    match value {
        Value::String(text) if text.len() > longest => {
            let kept = results::cut(text, longest).to_owned();
            *text = format!("{kept}…");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| cut_texts(item, longest)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| cut_texts(field, longest)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_cut_within_characters_never() {
        let mut content = serde_json::json!({"kind": "x", "output": "ü".repeat(5_000), "list": ["short", "y".repeat(9_000)]});
        shorten(&mut content, 4_096);
        assert!(content.to_string().len() <= 4_096);
        assert_eq!(content["list"][0], "short");
        assert!(content["output"].as_str().expect("text").starts_with("üü"));
    }

    #[test]
    fn a_content_of_many_parts_is_replaced() {
        let mut content = serde_json::json!({"kind": "x", "list": vec!["abc"; 5_000]});
        shorten(&mut content, 4_096);
        assert!(content.to_string().len() <= 4_096);
        assert_eq!(content["kind"], "x");
    }

    #[test]
    fn queries_are_checked() {
        let bad = EventsQuery {
            cursor: Some("next".into()),
            ..EventsQuery::default()
        };
        assert_eq!(
            Request::parse(&bad).expect_err("no cursor").code,
            RequestCode::BadCursor
        );
        let none = EventsQuery {
            max_events: Some(0),
            ..EventsQuery::default()
        };
        assert!(Request::parse(&none).is_err());
    }
}
