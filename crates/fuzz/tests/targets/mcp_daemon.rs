//! A daemon in the test's own process that starts nothing: it keeps what it
//! was asked and answers with one error.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, http::StatusCode};
use convoke_api::{
    daemon::{DAEMON_FILE, DaemonFile},
    error::{ApiError, RequestCode},
};
use tokio::net::UnixListener;

/// The daemon's state home and what it was asked.
#[derive(Clone)]
pub struct Daemon {
    /// Holds `daemon.json` and the socket.
    pub folder: Arc<tempfile::TempDir>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Method and path of a request, and its body.
pub type Asked = (String, Vec<u8>);

impl Daemon {
    /// Starts it on the present runtime.
    pub fn start() -> Self {
        let daemon = Self {
            folder: Arc::new(tempfile::tempdir().expect("a temporary folder")),
            asked: Arc::default(),
        };
        let home = daemon.folder.path();
        let socket = home.join("s");
        let file = DaemonFile {
            version: 1,
            socket: socket.display().to_string(),
            pid: std::process::id(),
            program_version: "0".to_owned(),
            api_versions: vec![1],
        };
        let text = serde_json::to_string(&file).expect("serialises");
        fs_err::write(home.join(DAEMON_FILE), text).expect("written");
        let listener = UnixListener::bind(socket).expect("binds");
        let router = Router::new().fallback(answer).with_state(daemon.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        daemon
    }

    /// What was asked since the last call.
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().expect("unbroken"))
    }
}

async fn answer(
    State(daemon): State<Daemon>,
    request: axum::extract::Request,
) -> (StatusCode, Json<ApiError>) {
    let what = format!("{} {}", request.method(), request.uri().path());
    let body = axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .expect("a body");
    let asked = (what, body.to_vec());
    daemon.asked.lock().expect("unbroken").push(asked);
    let error = ApiError::new(RequestCode::UnknownJob, "there are no jobs here");
    (StatusCode::NOT_FOUND, Json(error))
}
