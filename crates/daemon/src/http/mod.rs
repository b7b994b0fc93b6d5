//! The API over HTTP/1.1 on the unix socket.

mod feeds;
mod handlers;
mod peer;
mod runs;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use convoke_api::{
    error::{ApiError, RequestCode},
    paths,
};
use serde::de::DeserializeOwned;
use tokio::net::UnixListener;

use crate::state::Daemon;
pub use peer::Peer;

/// Longest body of a request.
const LONGEST_BODY: usize = 64 * 1024 * 1024;

/// Serves until the daemon ends.
///
/// # Errors
/// The socket cannot be accepted on any more.
pub async fn serve(daemon: Arc<Daemon>, listener: UnixListener) -> std::io::Result<()> {
    let shutdown = daemon.shutdown.clone();
    let router = router(daemon);
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<Peer>(),
    )
    .with_graceful_shutdown(async move { shutdown.cancelled().await })
    .await
}

fn router(daemon: Arc<Daemon>) -> Router {
    Router::new()
        .route(paths::JOBS, get(handlers::list).post(handlers::spawn))
        .route(paths::WAIT, post(handlers::wait))
        .route(paths::JOB, get(handlers::job))
        .route(paths::JOB_EVENTS, get(handlers::events))
        .route(paths::JOB_EVENT_STREAM, get(feeds::job_events))
        .route(paths::JOB_RESULT, get(handlers::result))
        .route(paths::JOB_RELEASE, post(handlers::release))
        .route(paths::JOB_CHANGES, get(handlers::changes))
        .route(paths::CONFLICTS, get(handlers::conflicts))
        .route(paths::VERSIONS, get(handlers::versions))
        .route(paths::RECONCILE, post(handlers::reconcile))
        .route(paths::ROLLBACK, post(handlers::rollback))
        .route(paths::JOB_APPLY, post(handlers::apply))
        .route(paths::JOB_DISCARD, post(handlers::discard))
        .route(paths::JOB_CANCEL, post(handlers::cancel))
        .route(paths::JOB_INTERRUPT, post(handlers::interrupt))
        .route(paths::RUNS, get(runs::list).post(runs::start))
        .route(paths::RUN, get(runs::run))
        .route(paths::RUN_CANCEL, post(runs::cancel))
        .route(paths::RUN_DELIVERED, post(runs::delivered))
        .route(paths::EVENTS, get(feeds::lifecycle))
        .route(paths::SESSIONS, get(handlers::sessions))
        .route(paths::DAEMON, get(handlers::daemon))
        .route(paths::DAEMON_STOP, post(handlers::stop))
        .route(paths::CONFIG, get(handlers::config))
        .route(paths::GC, post(handlers::gc))
        .route(paths::DOCTOR, post(handlers::doctor))
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(daemon)
}

async fn not_found(request: Request) -> Refusal {
    let message = format!("there is no {} {}", request.method(), request.uri().path());
    Refusal(
        ApiError::new(RequestCode::NotFound, message)
            .with_hint("this daemon speaks version 1 of the API"),
    )
}

/// An error as an answer.
#[derive(Debug)]
pub struct Refusal(pub ApiError);

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

/// The body of a request; what is wrong with it is told as an [`ApiError`].
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(Refusal(ApiError::invalid(rejection.body_text()))),
        }
    }
}

/// The query of a request, likewise.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Refusal(ApiError::invalid(rejection.body_text()))),
        }
    }
}
