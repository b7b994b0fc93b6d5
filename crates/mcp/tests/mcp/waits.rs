//! Waiting: capped, cancellable, and never touching a job.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    daemon::Daemon,
    peer::{Peer, config},
};

fn outcome(job: Option<&str>, missing: &[&str]) -> Value {
    json!({"completedJobId": job, "state": job.map(|_| "failed"), "timedOut": job.is_none() && missing.is_empty(), "missingJobIds": missing})
}

#[tokio::test]
async fn both_keys_are_always_there() {
    let daemon = Daemon::start();
    daemon.answer("POST /v1/jobs/wait", 200, outcome(None, &[]));
    let mut peer = Peer::codex(config(&daemon)).await;
    let answer = peer.call("codex_wait_any", json!({"jobIds": ["j"]})).await;
    assert_eq!(
        answer.both(),
        &json!({"completedJobId": null, "timedOut": true})
    );
    assert_eq!(
        daemon.last("POST /v1/jobs/wait").body,
        json!({"jobIds": ["j"], "timeoutMs": 0})
    );
    daemon.answer("POST /v1/jobs/wait", 200, outcome(None, &["j"]));
    let answer = peer
        .call(
            "codex_wait_any",
            json!({"jobIds": ["j"], "timeoutMs": 300_000}),
        )
        .await;
    assert_eq!(
        answer.both(),
        &json!({"completedJobId": null, "timedOut": false, "missingJobIds": ["j"]})
    );
    daemon.answer("POST /v1/jobs/wait", 200, outcome(Some("j"), &[]));
    let answer = peer.call("codex_wait_any", json!({"jobIds": ["j"]})).await;
    assert_eq!(
        answer.both(),
        &json!({"completedJobId": "j", "timedOut": false, "status": "failed"})
    );
}

#[tokio::test]
async fn a_wait_ends_before_its_clients_patience() {
    let daemon = Daemon::start();
    daemon.answer("POST /v1/jobs/wait", 200, outcome(None, &[]));
    for (client, max_wait, expected) in [
        ("codex-mcp-client", None, 110_000),
        ("claude-code", None, 240_000),
        ("opencode", None, 50_000),
        ("codex-mcp-client", Some(Duration::from_secs(7)), 7_000),
    ] {
        let mut setup = config(&daemon);
        setup.max_wait = max_wait;
        let (mut peer, _) = Peer::start(setup, client, "2025-06-18").await;
        let answer = peer
            .call(
                "codex_wait_any",
                json!({"jobIds": ["j"], "timeoutMs": 250_000}),
            )
            .await;
        let facts = answer.both();
        assert_eq!(
            (&facts["timedOut"], &facts["waitedMs"]),
            (&json!(true), &json!(expected))
        );
        assert!(
            facts["note"]
                .as_str()
                .is_some_and(|note| note.contains("again"))
        );
        assert_eq!(
            daemon.last("POST /v1/jobs/wait").body["timeoutMs"],
            expected
        );
    }
}

/// Waits until the daemon was asked for something.
async fn asked(daemon: &Daemon, what: &str) {
    let found = async {
        while !daemon.asked().iter().any(|asked| asked.what == what) {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, found)
        .await
        .unwrap_or_else(|_| panic!("{what} was not asked"));
}

#[tokio::test]
async fn a_cancelled_call_ends_the_wait_only() {
    let daemon = Daemon::start();
    daemon.answer("POST /v1/jobs/wait", 0, Value::Null);
    let mut peer = Peer::codex(config(&daemon)).await;
    let arguments = json!({"jobIds": ["j"], "timeoutMs": 60_000});
    let id = peer
        .begin(
            "tools/call",
            json!({"name": "codex_wait_any", "arguments": arguments}),
        )
        .await;
    asked(&daemon, "POST /v1/jobs/wait").await;
    peer.say(
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}),
    )
    .await;
    // The server goes on, and nothing but the wait was asked of the daemon.
    assert_eq!(peer.call("ping", json!({})).await.text, "pong");
    assert_eq!(daemon.asked().len(), 1);
    peer.end().await.expect("ends well");
}

#[tokio::test]
async fn the_end_of_input_ends_the_server_in_the_middle_of_a_wait() {
    let daemon = Daemon::start();
    daemon.answer("POST /v1/jobs/wait", 0, Value::Null);
    let mut peer = Peer::codex(config(&daemon)).await;
    let arguments = json!({"jobIds": ["j"], "timeoutMs": 60_000});
    peer.begin(
        "tools/call",
        json!({"name": "codex_wait_any", "arguments": arguments}),
    )
    .await;
    asked(&daemon, "POST /v1/jobs/wait").await;
    peer.end().await.expect("ends well");
}
