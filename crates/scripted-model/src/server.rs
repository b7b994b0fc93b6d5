//! The HTTP server: records each request, asks what comes next, and sends it.

use std::collections::HashSet;
use std::future::IntoFuture;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::next_reply::{Governing, Reply, governing, next_reply};
use crate::recorded::{RecordedRequest, Recorder, WaitTimedOut};
use crate::responses;
use crate::script::Script;
use crate::steps::{FaultScope, HttpError, Step};

/// A running scripted model. Dropping it ends the server.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    shared: Arc<Shared>,
    host: Option<Host>,
}

/// What the server runs in.
#[derive(Debug)]
enum Host {
    Task(JoinHandle<()>),
    Thread(thread::JoinHandle<()>),
}

/// What the handlers and the handle have in common.
#[derive(Debug)]
struct Shared {
    script: Script,
    recorder: Recorder,
    served: Mutex<HashSet<FaultKey>>,
    signals: watch::Sender<Signals>,
}

/// What ends waits early.
#[derive(Debug, Clone, Copy, Default)]
struct Signals {
    /// How often [`ScriptedModel::release_hangs`] was called.
    releases: u64,
    /// The server is to end.
    ended: bool,
}

/// A fault that was served: the thread (none for the whole server), the script it is in, its step number.
type FaultKey = (Option<String>, String, usize);

impl ScriptedModel {
    /// Starts a server on a free loopback port as a task of the current tokio runtime.
    ///
    /// # Errors
    /// When the script cannot be played (kind `InvalidInput`) or no port can be bound.
    pub async fn start(script: Script) -> io::Result<Self> {
        let (listener, address, shared) = prepare(script)?;
        let served = serve(TcpListener::from_std(listener)?, Arc::clone(&shared));
        Ok(Self {
            address,
            shared,
            host: Some(Host::Task(tokio::spawn(served))),
        })
    }

    /// Starts a server on a free loopback port in a thread of its own, for callers that are not async.
    ///
    /// # Errors
    /// As [`ScriptedModel::start`], and when the thread or its runtime cannot be made.
    pub fn start_blocking(script: Script) -> io::Result<Self> {
        let (listener, address, shared) = prepare(script)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let in_thread = Arc::clone(&shared);
        let run = move || {
            runtime.block_on(async {
                // Registering the listener fails only when the process is out of descriptors: then no request is answered.
                if let Ok(listener) = TcpListener::from_std(listener) {
                    serve(listener, in_thread).await;
                }
            });
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new()
            .name("scripted-model".to_owned())
            .spawn(run)?;
        Ok(Self {
            address,
            shared,
            host: Some(Host::Thread(thread)),
        })
    }

    /// The base URL for Codex's `base_url` setting, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All requests so far, in the order of arrival.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.recorder.all()
    }

    /// Blocks the calling thread until the requests meet a condition. Not for use inside the runtime that [`ScriptedModel::start`] was called in.
    ///
    /// # Errors
    /// [`WaitTimedOut`] when they do not in time.
    pub fn wait_for_requests(
        &self,
        timeout: Duration,
        is_met: impl FnMut(&[RecordedRequest]) -> bool,
    ) -> Result<Vec<RecordedRequest>, WaitTimedOut> {
        self.shared.recorder.wait_for(timeout, is_met)
    }

    /// Lets all requests that hang now go on with the step after the `hang`.
    pub fn release_hangs(&self) {
        self.shared
            .signals
            .send_modify(|signals| signals.releases += 1);
    }

    /// Ends the server; hanging and delayed requests end with it.
    pub async fn shutdown(mut self) {
        self.end();
        match self.host.take() {
            // Its end was asked for; a panic in it would have been printed already.
            Some(Host::Task(task)) => drop(task.await),
            Some(Host::Thread(thread)) => drop(tokio::task::spawn_blocking(|| thread.join()).await),
            None => {}
        }
    }

    fn end(&self) {
        self.shared
            .signals
            .send_modify(|signals| signals.ended = true);
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        self.end();
        match self.host.take() {
            Some(Host::Thread(thread)) => drop(thread.join()),
            // The task ends by itself, unless the runtime is gone already.
            Some(Host::Task(_)) | None => {}
        }
    }
}

fn prepare(script: Script) -> io::Result<(StdListener, SocketAddr, Arc<Shared>)> {
    script
        .check()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let signals = watch::Sender::new(Signals::default());
    let shared = Shared {
        script,
        recorder: Recorder::default(),
        served: Mutex::default(),
        signals,
    };
    Ok((listener, address, Arc::new(shared)))
}

/// Serves until the end is signalled. Connections get a short time to end by themselves.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/responses", get(no_web_socket).post(respond))
        .fallback(unknown)
        .with_state(Arc::clone(&shared));
    let (ended, bounded) = (Arc::clone(&shared), Arc::clone(&shared));
    let server = axum::serve(listener, router)
        .with_graceful_shutdown(async move { wait_for_end(&ended).await });
    let bound = async move {
        wait_for_end(&bounded).await;
        tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(200)).await;
    };
    tokio::select! {
        _ = server.into_future() => {}
        () = bound => {}
    }
}

/// Ready once the server is to end. Cancel-safe: it only looks at a watch.
async fn wait_for_end(shared: &Shared) {
    // An error would mean that the sender is gone, which `shared` itself holds.
    let _ = shared
        .signals
        .subscribe()
        .wait_for(|signals| signals.ended)
        .await;
}

/// Ready once hangs are released after this call, or the server is to end. Cancel-safe.
async fn wait_for_release(shared: &Shared) {
    let mut signals = shared.signals.subscribe();
    let before = signals.borrow().releases;
    let _ = signals
        .wait_for(|signals| signals.ended || signals.releases > before)
        .await;
}

/// The list of models: empty, in the shape that both Codex (`models`) and OpenAI clients (`data`) read.
async fn models(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    record(&shared, request).await;
    axum::Json(json!({"models": [], "object": "list", "data": []})).into_response()
}

/// Codex's built-in provider tries a WebSocket first; this status makes it turn to HTTP at once.
async fn no_web_socket(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    record(&shared, request).await;
    error(
        StatusCode::UPGRADE_REQUIRED,
        "no_web_socket",
        "the scripted model serves HTTP only",
    )
}

async fn unknown(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let recorded = record(&shared, request).await;
    error(
        StatusCode::NOT_FOUND,
        "not_found",
        &format!(
            "the scripted model does not serve {} {}",
            recorded.method, recorded.path
        ),
    )
}

async fn respond(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let recorded = record(&shared, request).await;
    match play(&shared, &recorded).await {
        Ok(response) => response,
        // 400 is not retried, so a bad script fails the turn at once with its message.
        Err(problem) => error(
            StatusCode::BAD_REQUEST,
            "script_error",
            &format!("scripted model: {problem}"),
        ),
    }
}

async fn play(shared: &Arc<Shared>, recorded: &RecordedRequest) -> Result<Response, String> {
    let governing = governing(&shared.script, &recorded.body)?;
    loop {
        let reply = decide(shared, &governing, recorded.thread_id())?;
        let due = tokio::time::Instant::now() + reply.delay;
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = wait_for_end(shared) => return Err("the server ended during a delay".to_owned()),
        }
        match &reply.fault {
            Some((_, Step::Hang(hang))) if !hang.mid_stream => {
                wait_for_release(shared).await;
                if shared.signals.borrow().ended {
                    return Err("the server ended during a hang".to_owned());
                }
            }
            Some((_, fault)) => return Ok(faulty(shared, fault, &reply, governing.items_before)),
            None => {
                let mut text = responses::opening(&reply.items, governing.items_before);
                text.push_str(&responses::completed(reply.usage, governing.items_before));
                return Ok(event_stream(Body::from(text)));
            }
        }
    }
}

/// The next answer; a fault in it counts as served from here on.
fn decide(shared: &Shared, governing: &Governing, thread: Option<&str>) -> Result<Reply, String> {
    let script = Script::prompt_line(&governing.steps);
    let key = |at: usize| {
        let scope = governing.steps[at].fault_scope().unwrap_or_default();
        let thread = (scope == FaultScope::Thread).then(|| thread.unwrap_or_default().to_owned());
        (thread, script.clone(), at)
    };
    // Held over decision and note, so that two requests at once do not both get a fault that comes once.
    let mut served = shared.served.lock().unwrap_or_else(PoisonError::into_inner);
    let reply = next_reply(governing, |at| served.contains(&key(at)))?;
    if let Some((at, _)) = reply.fault {
        served.insert(key(at));
    }
    Ok(reply)
}

fn faulty(shared: &Arc<Shared>, fault: &Step, reply: &Reply, items_before: usize) -> Response {
    let opening = || responses::opening(&reply.items, items_before);
    match fault {
        Step::HttpError(fault) => http_error(fault),
        Step::ResponseFailed(fault) => event_stream(Body::from(
            opening() + &responses::failed(fault, items_before),
        )),
        Step::BrokenStream(fault) if fault.clean => event_stream(Body::from(opening())),
        Step::BrokenStream(_) => {
            let broken = stream::once(async {
                // Lets the connection send what it has; without a pause it would drop that with the error.
                tokio::task::yield_now().await;
                Err(io::Error::other("the script breaks the stream here"))
            });
            event_stream(Body::from_stream(
                stream::once(async_ok(opening())).chain(broken),
            ))
        }
        _ => {
            let (shared, usage) = (Arc::clone(shared), reply.usage);
            let rest = async move {
                wait_for_release(&shared).await;
                async_ok(responses::completed(usage, items_before)).await
            };
            event_stream(Body::from_stream(
                stream::once(async_ok(opening())).chain(stream::once(rest)),
            ))
        }
    }
}

async fn async_ok(text: String) -> Result<Bytes, io::Error> {
    Ok(Bytes::from(text))
}

fn http_error(fault: &HttpError) -> Response {
    let body = match &fault.body {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => responses::error_body(
            "scripted_error",
            &format!("scripted status {}", fault.status),
        )
        .to_string(),
    };
    let is_json = !matches!(fault.body, Some(Value::String(_)));
    let content_type = if is_json {
        "application/json"
    } else {
        "text/plain"
    };
    let mut response = Response::builder()
        .status(fault.status)
        .header(header::CONTENT_TYPE, content_type);
    if let Some(seconds) = fault.retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    for (name, value) in &fault.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap_or_else(|problem| {
        error(
            StatusCode::BAD_REQUEST,
            "script_error",
            &format!("scripted model: http_error cannot be sent: {problem}"),
        )
    })
}

fn event_stream(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn error(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, axum::Json(responses::error_body(kind, message))).into_response()
}

/// Reads the whole request and adds it to the list. A body that is no JSON is kept as a string.
async fn record(shared: &Shared, request: Request) -> RecordedRequest {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let body = match serde_json::from_slice(&bytes) {
        Ok(body) => body,
        Err(_) if bytes.is_empty() => Value::Null,
        Err(_) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
    };
    let text =
        |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let recorded = RecordedRequest {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        body,
        at: Instant::now(),
    };
    shared.recorder.push(recorded.clone());
    recorded
}
