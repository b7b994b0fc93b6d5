//! One function per request. They check the peer, call what does the work, and
//! answer.

use std::sync::Arc;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
};
use convoke_api::{
    changes::{
        ApplyRequest, ApplyResponse, ChangesQuery, Conflicts, ConflictsQuery, DiscardRequest,
        DiscardResponse, JobChanges, ReconcileRequest, ReconcileResponse, RollbackRequest,
        RollbackResponse,
    },
    control::{
        CancelRequest, CancelResponse, InterruptRequest, InterruptResponse, ReleaseResponse,
        WaitRequest, WaitResponse,
    },
    daemon::{ConfigView, DaemonView, SettingView, StopRequest},
    doctor::{DoctorReport, DoctorRequest},
    error::ApiError,
    events::{EventsPage, EventsQuery},
    gc::{GcRequest, GcResponse},
    job::{JobView, JobsPage, JobsQuery},
    result::{JobResult, ResultQuery, SessionView, SessionsPage, SessionsQuery},
    spawn::{SpawnRequest, SpawnResponse},
    versions::{FileVersions, VersionsQuery},
};
use convoke_core::ids::JobId;

use super::{Body, Peer, Query, Refusal};
use crate::{
    acceptance, api_errors, apply as applying, changes, conflicts, control, doctor, event_pages,
    gc as collector, leftovers, lists, reconcile, results, rollback, state::Daemon, status,
    versions as files, views, wait,
};

pub(super) type Shared = State<Arc<Daemon>>;
pub(super) type Answer<T> = Result<Json<T>, Refusal>;

/// The job a path names, if the peer may read about it.
pub fn readable(daemon: &Daemon, peer: &Peer, name: &str) -> Result<JobId, ApiError> {
    if let Some(own) = peer.own_job()? {
        // A worker learns nothing of other jobs, not even whether they exist.
        return if own.as_str() == name {
            Ok(own.clone())
        } else {
            Err(peer.refused())
        };
    }
    let id = wait::resolve(daemon, name)?.ok_or_else(|| api_errors::unknown_job(daemon, name))?;
    peer.may_read(&id)?;
    Ok(id)
}

pub async fn spawn(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<SpawnRequest>,
) -> Answer<SpawnResponse> {
    peer.may_do_all()?;
    // In a task of its own: a client that goes away does not undo it half-way.
    let task = daemon.tasks.spawn({
        let daemon = Arc::clone(&daemon);
        async move { acceptance::spawn(&daemon, request).await }
    });
    Ok(Json(joined(task.await)?))
}

pub async fn list(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(query): Query<JobsQuery>,
) -> Answer<JobsPage> {
    peer.may_do_all()?;
    Ok(Json(lists::jobs(&daemon, &query)?))
}

pub async fn job(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
) -> Answer<JobView> {
    let id = readable(&daemon, &peer, &name)?;
    Ok(Json(views::of_id(&daemon, &id)?))
}

pub async fn events(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Answer<EventsPage> {
    let id = readable(&daemon, &peer, &name)?;
    let request = event_pages::Request::parse(&query)?;
    Ok(Json(event_pages::read(&daemon, &id, &request).await?.view))
}

pub async fn result(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Query(query): Query<ResultQuery>,
) -> Answer<JobResult> {
    let id = readable(&daemon, &peer, &name)?;
    Ok(Json(results::of_job(&daemon, &id, query).await?))
}

pub async fn wait(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<WaitRequest>,
) -> Answer<WaitResponse> {
    peer.may_do_all()?;
    Ok(Json(wait::wait_any(&daemon, &request).await?))
}

pub async fn gc(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<GcRequest>,
) -> Answer<GcResponse> {
    peer.may_do_all()?;
    Ok(Json(collector::collect(&daemon, &request).await?))
}

pub async fn changes(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Query(query): Query<ChangesQuery>,
) -> Answer<JobChanges> {
    let id = readable(&daemon, &peer, &name)?;
    Ok(Json(changes::of_job(&daemon, &id, query).await?))
}

pub async fn conflicts(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(query): Query<ConflictsQuery>,
) -> Answer<Conflicts> {
    peer.may_do_all()?;
    Ok(Json(conflicts::of(&daemon, query).await?))
}

pub async fn versions(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(query): Query<VersionsQuery>,
) -> Answer<FileVersions> {
    peer.may_do_all()?;
    Ok(Json(files::of_file(&daemon, query).await?))
}

pub async fn reconcile(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<ReconcileRequest>,
) -> Answer<ReconcileResponse> {
    peer.may_do_all()?;
    // In a task of its own: a client that goes away does not undo it half-way.
    let task = daemon.tasks.spawn({
        let daemon = Arc::clone(&daemon);
        async move { reconcile::start(&daemon, request).await }
    });
    Ok(Json(joined(task.await)?))
}

pub async fn rollback(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<RollbackRequest>,
) -> Answer<RollbackResponse> {
    peer.may_do_all()?;
    // In a task of its own: a client that goes away does not end it half-way.
    let task = daemon.tasks.spawn({
        let daemon = Arc::clone(&daemon);
        async move { rollback::take_back(&daemon, request).await }
    });
    Ok(Json(joined(task.await)?))
}

pub async fn apply(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<ApplyRequest>,
) -> Answer<ApplyResponse> {
    peer.may_do_all()?;
    let id = readable(&daemon, &peer, &name)?;
    // In a task of its own: a client that goes away does not end it half-way.
    let task = daemon.tasks.spawn({
        let daemon = Arc::clone(&daemon);
        async move { applying::apply(&daemon, &id, request).await }
    });
    Ok(Json(joined(task.await)?))
}

pub async fn discard(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<DiscardRequest>,
) -> Answer<DiscardResponse> {
    peer.may_do_all()?;
    let id = readable(&daemon, &peer, &name)?;
    let task = daemon.tasks.spawn({
        let daemon = Arc::clone(&daemon);
        async move { applying::discard(&daemon, &id, request).await }
    });
    Ok(Json(joined(task.await)?))
}

pub async fn release(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
) -> Answer<ReleaseResponse> {
    peer.may_do_all()?;
    let id = readable(&daemon, &peer, &name)?;
    Ok(Json(leftovers::release(&daemon, &id).await?))
}

pub async fn cancel(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<CancelRequest>,
) -> Answer<CancelResponse> {
    peer.may_do_all()?;
    let id = readable(&daemon, &peer, &name)?;
    Ok(Json(control::cancel(&daemon, &id, &request).await?))
}

pub async fn interrupt(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(name): Path<String>,
    Body(request): Body<InterruptRequest>,
) -> Answer<InterruptResponse> {
    peer.may_do_all()?;
    let id = readable(&daemon, &peer, &name)?;
    let task = daemon.tasks.spawn({
        let daemon = Arc::clone(&daemon);
        async move { control::interrupt(&daemon, &id, request).await }
    });
    Ok(Json(joined(task.await)?))
}

pub async fn sessions(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(query): Query<SessionsQuery>,
) -> Answer<SessionsPage> {
    peer.may_do_all()?;
    let sessions = lists::sessions(&daemon, query.owner.as_deref())?;
    Ok(Json(SessionsPage {
        sessions: sessions.into_iter().map(session_view).collect(),
    }))
}

fn session_view(session: convoke_store::Session) -> SessionView {
    SessionView {
        id: session.id,
        created_at: session.created_at.to_rfc3339(),
        last_accessed_at: session.last_accessed_at.to_rfc3339(),
        turn_count: session.turn_count,
    }
}

pub async fn daemon(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Answer<DaemonView> {
    peer.may_do_all()?;
    Ok(Json(status::of(&daemon)))
}

pub async fn stop(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<StopRequest>,
) -> Answer<()> {
    peer.may_do_all()?;
    status::stop(&daemon, request.jobs);
    Ok(Json(()))
}

pub async fn config(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Answer<ConfigView> {
    peer.may_do_all()?;
    let config = daemon
        .config()
        .map_err(|error| api_errors::of_config(&error))?;
    let shown = |setting: crate::config::Setting| SettingView {
        key: setting.key.to_owned(),
        value: setting.value,
        origin: setting.origin,
    };
    Ok(Json(ConfigView {
        settings: config.settings().into_iter().map(shown).collect(),
    }))
}

pub async fn doctor(
    State(daemon): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(request): Body<DoctorRequest>,
) -> Answer<DoctorReport> {
    peer.may_do_all()?;
    Ok(Json(doctor::examine(&daemon, &request.caller).await))
}

pub(super) fn joined<T>(
    result: Result<Result<T, ApiError>, tokio::task::JoinError>,
) -> Result<T, ApiError> {
    result.unwrap_or_else(|error| {
        Err(ApiError::new(
            convoke_api::error::RequestCode::Internal,
            format!("the request was not carried out: {error}"),
        ))
    })
}
