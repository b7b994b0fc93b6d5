//! The protocol itself: versions, listing, what is not there.

use serde_json::json;

use super::{
    daemon::Daemon,
    peer::{Peer, config},
};

#[tokio::test]
async fn versions_of_the_handshake() {
    let daemon = Daemon::start();
    for (asked, answered) in [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        // That version has no handshake any more; the newest with one is said.
        ("2026-07-28", "2025-11-25"),
    ] {
        let (mut peer, said) = Peer::start(config(&daemon), "c", asked).await;
        assert_eq!(said["protocolVersion"], answered);
        assert_eq!(said["serverInfo"]["name"], "convoke");
        assert_eq!(said["serverInfo"]["version"], "1.2.3");
        assert!(
            said["instructions"]
                .as_str()
                .is_some_and(|text| text.starts_with("Use these tools"))
        );
        let listed = peer.request("tools/list", json!({})).await;
        assert_eq!(
            listed["result"]["tools"].as_array().expect("a list").len(),
            20
        );
        peer.end().await.expect("ends well");
    }
    assert!(
        daemon.asked().is_empty(),
        "nothing of this needs the daemon"
    );
}

#[tokio::test]
async fn the_newest_version_needs_no_handshake() {
    let daemon = Daemon::start();
    let mut peer = Peer::silent(config(&daemon));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "claude-code", "version": "2"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let found = peer
        .request("server/discover", json!({"_meta": meta}))
        .await;
    let versions = found["result"]["supportedVersions"]
        .as_array()
        .expect("a list")
        .clone();
    assert!(versions.contains(&json!("2026-07-28")), "{found}");
    let listed = peer.request("tools/list", json!({"_meta": meta})).await;
    assert_eq!(
        listed["result"]["tools"].as_array().expect("a list").len(),
        20
    );
    let pong = peer.call_with("ping", json!({}), meta.clone()).await;
    assert_eq!(pong.text, "pong");
    peer.end().await.expect("ends well");
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let daemon = Daemon::start();
    let mut peer = Peer::codex(config(&daemon)).await;
    for method in ["prompts/list", "resources/list", "resources/templates/list"] {
        let answer = peer.request(method, json!({})).await;
        assert_eq!(answer["error"]["code"], -32601, "{method}: {answer}");
    }
    let answer = peer
        .request("tools/call", json!({"name": "codex_fly", "arguments": {}}))
        .await;
    assert_eq!(answer["error"]["code"], -32602);
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("codex_fly") && message.contains("codex_spawn"),
        "{message}"
    );
}

#[tokio::test]
async fn input_that_ends_at_once_is_no_error() {
    let daemon = Daemon::start();
    Peer::silent(config(&daemon))
        .end()
        .await
        .expect("ends well");
}
