//! A daemon in the test's own process that answers from a script and records
//! what it was asked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use convoke_api::daemon::{DAEMON_FILE, DaemonFile};
use serde_json::{Value, json};
use tokio::net::UnixListener;

/// One request: method and path, query and body.
#[derive(Clone, Debug)]
pub struct Asked {
    pub what: String,
    pub query: BTreeMap<String, String>,
    pub body: Value,
}

#[derive(Default)]
struct Script {
    answers: BTreeMap<String, (u16, Value)>,
    asked: Vec<Asked>,
}

/// The daemon and its state home.
#[derive(Clone)]
pub struct Daemon {
    script: Arc<Mutex<Script>>,
    folder: Arc<tempfile::TempDir>,
}

impl Daemon {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let daemon = Self {
            script: Arc::default(),
            folder: Arc::new(folder),
        };
        let socket = daemon.home().join("s");
        let file = DaemonFile {
            version: 1,
            socket: socket.display().to_string(),
            pid: std::process::id(),
            program_version: "0".into(),
            api_versions: vec![1],
        };
        let text = serde_json::to_string(&file).expect("serialises");
        fs_err::write(daemon.home().join(DAEMON_FILE), text).expect("written");
        let listener = UnixListener::bind(socket).expect("binds");
        let router = Router::new().fallback(answer).with_state(daemon.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        daemon
    }

    pub fn home(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Answers `what` (such as `GET /v1/jobs`) so from now on.
    pub fn answer(&self, what: &str, status: u16, body: Value) {
        self.script
            .lock()
            .expect("unbroken")
            .answers
            .insert(what.to_owned(), (status, body));
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.script.lock().expect("unbroken").asked.clone()
    }

    /// The last request for `what`.
    pub fn last(&self, what: &str) -> Asked {
        let asked = self.asked();
        let found = asked.iter().rev().find(|asked| asked.what == what);
        found
            .unwrap_or_else(|| panic!("{what} was not asked: {asked:?}"))
            .clone()
    }
}

async fn answer(State(daemon): State<Daemon>, request: Request) -> Response {
    let what = format!("{} {}", request.method(), request.uri().path());
    let query = request.uri().query().unwrap_or("").to_owned();
    let query = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .expect("a body");
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let answer = {
        let mut script = daemon.script.lock().expect("unbroken");
        script.asked.push(Asked {
            what: what.clone(),
            query,
            body,
        });
        script.answers.get(&what).cloned()
    };
    match answer {
        // A wait that nobody answers.
        Some((0, _)) => std::future::pending().await,
        Some((status, body)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, Json(body)).into_response()
        }
        None => {
            let error = json!({"code": "unknown_job", "message": "Unknown jobId: x", "hint": "searched /home; codex_jobs lists", "retryable": false});
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
    }
}

/// A job as the daemon shows it, with some fields of one's own.
pub fn job(id: &str, state: &str, more: Value) -> Value {
    let mut job = json!({
        "jobId": id, "kind": "agent", "agent": "codex", "state": state, "label": null,
        "workingDirectory": "/w", "sandbox": "workspace-write", "access": "write", "model": null,
        "summary": "do it", "acceptedAt": "2026-01-01T00:00:00Z", "startedAt": null,
        "finishedAt": null, "attempts": 1, "thread": null, "parentJobId": null, "needs": [],
        "queue": null, "process": null, "exitCode": null, "exitSignal": null, "code": null,
        "message": null, "hint": null, "retryable": false, "leftovers": [],
        "limits": {"timeoutMs": 0, "idleTimeoutMs": 0, "firstEventTimeoutMs": 0, "outputLimitBytes": 0},
        "owner": "user:0"
    });
    for (name, value) in more.as_object().expect("an object") {
        job[name] = value.clone();
    }
    job
}

/// A result as the daemon shows it.
pub fn result(job: Value, message: Option<&str>) -> Value {
    json!({
        "job": job, "finalMessage": message, "truncated": false, "artifact": null, "output": null,
        "modifiedFiles": {"claimed": ["a.txt"], "observed": null},
        "integrity": {"headBefore": null, "headAfter": "abc", "refsChanged": [], "statusBefore": [], "statusAfter": ["?? a.txt"]},
        "usage": {"input_tokens": 1}, "sandboxDenied": [], "stdoutTail": "out", "stderrTail": "err",
        "artifacts": "/home/jobs/j"
    })
}
