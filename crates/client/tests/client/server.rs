//! A server in the test's own process, and the `daemon.json` that names it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use convoke_api::daemon::{DAEMON_FILE, DaemonFile};
use serde_json::{Value, json};
use tokio::{net::UnixListener, task::JoinHandle};

/// Counts the requests of one server.
#[derive(Clone, Default)]
pub struct Count(pub Arc<AtomicU32>);

impl Count {
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
    pub fn add(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// A state home in a temporary folder.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self) -> PathBuf {
        self.path().join(DAEMON_FILE)
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn address(&self, name: &str) -> String {
        let file = DaemonFile {
            version: 1,
            socket: self.socket(name).display().to_string(),
            pid: std::process::id(),
            program_version: "0".into(),
            api_versions: vec![1],
        };
        serde_json::to_string(&file).expect("serialises")
    }

    pub fn announce(&self, name: &str) {
        fs_err::write(self.file(), self.address(name)).expect("written");
    }

    pub fn serve(&self, name: &str, router: Router) -> JoinHandle<()> {
        let listener = UnixListener::bind(self.socket(name)).expect("the socket binds");
        tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") })
    }
}

/// Answers `GET /v1/config` and waits, counting.
pub fn plain(count: Count) -> Router {
    async fn config(State(count): State<Count>) -> Json<Value> {
        count.add();
        Json(json!({"settings": [], "later": 1}))
    }
    async fn wait(State(count): State<Count>) -> Json<Value> {
        count.add();
        Json(
            json!({"completedJobId": "j", "state": "completed", "timedOut": false, "missingJobIds": []}),
        )
    }
    async fn spawn(State(count): State<Count>) -> Json<Value> {
        count.add();
        Json(json!({"results": []}))
    }
    Router::new()
        .route("/v1/config", get(config))
        .route("/v1/jobs/wait", post(wait))
        .route("/v1/jobs", post(spawn))
        .with_state(count)
}
