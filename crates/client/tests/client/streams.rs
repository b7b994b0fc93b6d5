//! The feeds go on where they were.

use std::{collections::BTreeMap, convert::Infallible};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
    routing::get,
};
use convoke_api::events::EventsQuery;
use convoke_client::Client;
use serde_json::json;

use super::server::{Count, Home};

fn event(seq: u64, kind: &str) -> String {
    let event = json!({"seq": seq, "type": kind, "timestamp": "t", "content": {"n": seq}});
    format!("id: {}\ndata: {event}\n\n", seq * 10)
}

fn answer(parts: Vec<String>) -> Response {
    let parts = parts
        .into_iter()
        .map(|part| Ok::<_, Infallible>(Bytes::from(part)));
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(futures_util::stream::iter(parts)))
        .expect("a response")
}

#[tokio::test]
async fn a_jobs_events_resume_by_cursor() {
    let home = Home::new();
    let count = Count::default();
    let router = Router::new()
        .route(
            "/v1/jobs/{job}/events/stream",
            get(|State(count): State<Count>, Query(query): Query<BTreeMap<String, String>>| async move {
                let cursor = query.get("cursor").map_or("", String::as_str);
                match (count.add(), cursor) {
                    (1, "0") => {
                        let (whole, cut) = (event(1, "spawned"), event(2, "message"));
                        let (cut, _) = cut.split_at(cut.len() / 2);
                        answer(vec![": here\n\n".into(), whole, cut.to_owned()])
                    }
                    (2, "10") => answer(vec![event(2, "message"), event(3, "final")]),
                    other => panic!("asked for {other:?}"),
                }
            }),
        )
        .with_state(count.clone());
    home.serve("s", router);
    home.announce("s");
    let client = Client::new(home.path().to_owned(), None);
    let query = EventsQuery {
        cursor: Some("0".into()),
        ..EventsQuery::default()
    };
    let mut stream = client.event_stream("j", &query);
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await {
        seen.push(event.expect("an event").seq);
    }
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(stream.cursor(), Some("30"));
    assert_eq!(count.get(), 2);
}

#[tokio::test]
async fn lifecycle_events_resume_after_the_last() {
    let home = Home::new();
    let router = Router::new().route(
        "/v1/events",
        get(|headers: HeaderMap| async move {
            let last = headers.get("last-event-id").map(|id| id.to_str().expect("text").parse::<u64>().expect("a number"));
            let next = last.expect("always resumed") + 1;
            let event = json!({"seq": next, "jobId": "j", "timestamp": "t", "type": "job.ended", "data": {}});
            answer(vec![format!("id: {next}\ndata: {event}\n\n")])
        }),
    );
    home.serve("s", router);
    home.announce("s");
    let mut stream = Client::new(home.path().to_owned(), None).lifecycle_stream(Some(4));
    for expected in 5..9 {
        assert_eq!(stream.next().await.expect("an event").seq, expected);
    }
}
