//! One function per request about delegated runs.

use std::sync::Arc;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
};
use convoke_api::delegate::{
    CancelRunResponse, RunQuery, RunView, RunsPage, RunsQuery, StartRunRequest,
};

use super::{
    Body, Peer, Query,
    handlers::{Answer, Shared, joined},
};
use crate::delegate;

pub async fn start(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<StartRunRequest>,
) -> Answer<RunView> {
    peer.may_do_all()?;
    // In a task of its own: a client that goes away does not undo it half-way.
    let task = daemon.tasks.spawn({
        let daemon = Arc::clone(&daemon);
        async move { delegate::start(&daemon, request).await }
    });
    Ok(Json(joined(task.await)?))
}

pub async fn list(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(query): Query<RunsQuery>,
) -> Answer<RunsPage> {
    peer.may_do_all()?;
    Ok(Json(delegate::list(&daemon, &query)?))
}

pub async fn run(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Query(query): Query<RunQuery>,
) -> Answer<RunView> {
    peer.may_do_all()?;
    let view = match delegate::find(&daemon, &name) {
        Ok(job) => delegate::run(&daemon, &job.id, query).await?,
        Err(unknown) => delegate::forgotten(&name, query).await.ok_or(unknown)?,
    };
    Ok(Json(view))
}

pub async fn cancel(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
) -> Answer<CancelRunResponse> {
    peer.may_do_all()?;
    let job = delegate::find(&daemon, &name)?;
    Ok(Json(delegate::cancel(&daemon, &job).await?))
}

pub async fn delivered(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
) -> Answer<()> {
    peer.may_do_all()?;
    let job = delegate::find(&daemon, &name)?;
    Ok(Json(delegate::delivered(&daemon, &job)?))
}
