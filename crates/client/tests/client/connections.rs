//! Keeping, losing and renewing connections.

use std::io::ErrorKind;

use axum::{Json, Router, http::StatusCode, routing::get};
use convoke_api::{
    control::WaitRequest,
    error::{ApiError, RequestCode},
    spawn::SpawnRequest,
};
use convoke_client::{Client, ClientError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
};

use super::server::{Count, Home, plain};

#[tokio::test]
async fn errors_of_the_daemon_are_handed_on() {
    let home = Home::new();
    let router = Router::new().route(
        "/v1/jobs/{job}",
        get(|| async {
            let error =
                ApiError::new(RequestCode::UnknownJob, "Unknown jobId: x").with_hint("codex_jobs");
            (StatusCode::NOT_FOUND, Json(error))
        }),
    );
    home.serve("s", router);
    home.announce("s");
    let client = Client::new(home.path().to_owned(), None);
    let error = client
        .job("x")
        .await
        .expect_err("no such job")
        .to_api_error();
    assert_eq!(error.code, RequestCode::UnknownJob);
    assert_eq!(error.hint.as_deref(), Some("codex_jobs"));
    let other = client.config().await.expect_err("no JSON");
    assert!(matches!(other, ClientError::Protocol { .. }), "{other:?}");
}

#[tokio::test]
async fn a_replaced_daemon_is_found_again() {
    let home = Home::new();
    let (first, second) = (Count::default(), Count::default());
    let server = home.serve("one", plain(first.clone()));
    home.announce("one");
    let client = Client::new(home.path().to_owned(), None);
    client.config().await.expect("answered");
    client.config().await.expect("answered");
    server.abort();
    assert!(server.await.expect_err("aborted").is_cancelled());
    fs_err::remove_file(home.socket("one")).expect("removed");
    home.serve("two", plain(second.clone()));
    home.announce("two");
    // The kept connection belongs to a task of the first server, which may
    // still answer it; a new connection cannot.
    Client::new(home.path().to_owned(), None)
        .config()
        .await
        .expect("answered");
    assert_eq!((first.get(), second.get()), (2, 1));
}

/// A server that reads a request and hangs up, `times` times, then serves.
fn hang_up(home: &Home, times: u32, then: Router) -> Count {
    let listener = UnixListener::bind(home.socket("s")).expect("binds");
    let seen = Count::default();
    let counted = seen.clone();
    tokio::spawn(async move {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.expect("reads");
            assert!(read > 0);
            counted.add();
        }
        axum::serve(listener, then).await.expect("serves");
    });
    home.announce("s");
    seen
}

#[tokio::test]
async fn reads_and_waits_are_asked_again_once() {
    let home = Home::new();
    let (answered, seen) = {
        let answered = Count::default();
        (answered.clone(), hang_up(&home, 1, plain(answered)))
    };
    let client = Client::new(home.path().to_owned(), None);
    client.config().await.expect("asked again");
    assert_eq!((seen.get(), answered.get()), (1, 1));

    let home = Home::new();
    let answered = Count::default();
    let seen = hang_up(&home, 1, plain(answered.clone()));
    let client = Client::new(home.path().to_owned(), None);
    let wait = WaitRequest {
        job_ids: vec!["j".into()],
        timeout_ms: 60_000,
    };
    let answer = client.wait(&wait).await.expect("asked again");
    assert_eq!(answer.completed_job_id.as_deref(), Some("j"));
    assert_eq!((seen.get(), answered.get()), (1, 1));
}

#[tokio::test]
async fn jobs_are_asked_for_again_only_with_a_key() {
    let home = Home::new();
    let answered = Count::default();
    let seen = hang_up(&home, 2, plain(answered.clone()));
    let client = Client::new(home.path().to_owned(), None);
    let mut request = SpawnRequest::default();
    let error = client.spawn(&request).await.expect_err("lost");
    assert_eq!(error.to_api_error().code, RequestCode::DaemonUnavailable);
    assert_eq!((seen.get(), answered.get()), (1, 0));
    request.idempotency_key = Some("k".into());
    client.spawn(&request).await.expect("asked again");
    assert_eq!((seen.get(), answered.get()), (2, 1));
}

#[tokio::test]
async fn a_closed_idle_connection_is_no_failure() {
    let home = Home::new();
    let listener = UnixListener::bind(home.socket("s")).expect("binds");
    home.announce("s");
    let server = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.expect("accepts");
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.expect("reads") > 0 {
                let body = r#"{"results":[]}"#;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.expect("writes");
            }
        }
    });
    let client = Client::new(home.path().to_owned(), None);
    // Changing requests, which are never repeated once they were written.
    client
        .spawn(&SpawnRequest::default())
        .await
        .expect("answered");
    client
        .spawn(&SpawnRequest::default())
        .await
        .expect("answered on a new connection");
    server.await.expect("ended");
}

#[tokio::test]
async fn no_daemon_is_an_error_with_advice() {
    let home = Home::new();
    let client = Client::new(home.path().to_owned(), None);
    let error = client.config().await.expect_err("no daemon").to_api_error();
    assert_eq!(error.code, RequestCode::DaemonUnavailable);
    assert!(
        error.message.contains(&home.path().display().to_string()),
        "{error:?}"
    );
    assert!(error.hint.is_some());
    // A left-over file is the same.
    home.announce("s");
    let error = client.config().await.expect_err("no daemon");
    let source = std::error::Error::source(&error).expect("a cause");
    let cause = source
        .downcast_ref::<std::io::Error>()
        .expect("of the system");
    assert_eq!(cause.kind(), ErrorKind::NotFound);
}
