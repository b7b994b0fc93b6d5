//! Calls that fail say why, in text and in facts.

use serde_json::{Value, json};

use super::{
    daemon::Daemon,
    peer::{Answer, Peer, config},
};

fn assert_refused(answer: &Answer, code: &str, parts: &[&str]) {
    assert!(answer.is_error, "{answer:?}");
    assert_eq!(answer.facts["code"], code, "{answer:?}");
    for part in parts {
        assert!(
            answer.text.contains(part),
            "{part:?} not in {:?}",
            answer.text
        );
    }
    let message = answer.facts["message"].as_str().expect("a message");
    assert!(answer.text.starts_with(message));
    assert!(answer.facts["retryable"].is_boolean());
}

#[tokio::test]
async fn an_unknown_job_is_said_with_advice() {
    let daemon = Daemon::start();
    let mut peer = Peer::codex(config(&daemon)).await;
    for (tool, more) in [
        ("codex_status", json!({})),
        ("codex_result", json!({})),
        ("codex_events", json!({})),
        ("codex_cancel", json!({})),
        ("codex_interrupt", json!({"newPrompt": "p"})),
    ] {
        let mut arguments = more;
        arguments["jobId"] = json!("x");
        let answer = peer.call(tool, arguments).await;
        assert_refused(
            &answer,
            "unknown_job",
            &["Unknown jobId: x Hint: searched /home"],
        );
        assert_eq!(answer.facts["hint"], "searched /home; codex_jobs lists");
    }
}

#[tokio::test]
async fn bad_arguments_name_what_is_allowed() {
    let daemon = Daemon::start();
    let mut peer = Peer::codex(config(&daemon)).await;
    let cases: [(&str, Value, &[&str]); 9] = [
        ("codex_spawn", json!({}), &["`prompt` is missing"]),
        (
            "codex_spawn",
            json!({"prompt": "p", "sandbox": "none"}),
            &[
                "`sandbox`",
                "read-only, workspace-write, danger-full-access",
            ],
        ),
        (
            "codex_spawn",
            json!({"prompt": "p", "reasoningEffort": "huge"}),
            &["none, minimal, low, medium, high, xhigh"],
        ),
        (
            "codex_spawn_group",
            json!({"jobs": []}),
            &["`jobs` is empty"],
        ),
        (
            "codex_spawn_group",
            json!({"jobs": [{"prompt": "p"}, {"prompt": 1}]}),
            &["`jobs[1].prompt`", "a text"],
        ),
        (
            "codex_events",
            json!({"jobId": "j", "maxEvents": 2001}),
            &["`maxEvents` is 2001; it may be 1 to 2000"],
        ),
        (
            "codex_wait_any",
            json!({"jobIds": ["j"], "timeoutMs": 300_001}),
            &["0 to 300000"],
        ),
        (
            "review",
            json!({"base": "main", "commit": "abc"}),
            &["base and commit", "Hint: "],
        ),
        ("codex_jobs", json!({"state": "dead"}), &["queued", "live"]),
    ];
    for (tool, arguments, parts) in cases {
        assert_refused(&peer.call(tool, arguments).await, "invalid_argument", parts);
    }
    assert!(daemon.asked().is_empty());
}

#[tokio::test]
async fn a_wrong_variable_fails_what_starts_jobs_and_nothing_else() {
    let daemon = Daemon::start();
    daemon.answer("GET /v1/jobs", 200, json!({"jobs": [], "nextCursor": null}));
    let mut setup = config(&daemon);
    setup
        .environment
        .insert("CODEX_MCP_DEFAULT_SANDBOX".into(), "open".into());
    let mut peer = Peer::codex(setup).await;
    for (tool, arguments) in [
        ("codex_spawn", json!({"prompt": "p"})),
        ("codex_spawn_group", json!({"jobs": [{"prompt": "p"}]})),
        ("codex", json!({"prompt": "p"})),
        ("review", json!({})),
    ] {
        let parts = [
            "CODEX_MCP_DEFAULT_SANDBOX",
            "\"open\"",
            "read-only, workspace-write or danger-full-access",
        ];
        assert_refused(&peer.call(tool, arguments).await, "config_invalid", &parts);
    }
    assert!(!peer.call("codex_jobs", json!({})).await.is_error);
    let mut setup = config(&daemon);
    setup
        .environment
        .insert("CODEX_MCP_MAX_JOBS".into(), "0".into());
    let mut peer = Peer::codex(setup).await;
    let answer = peer.call("codex_spawn", json!({"prompt": "p"})).await;
    assert_refused(&answer, "config_invalid", &["CODEX_MCP_MAX_JOBS"]);
}

#[tokio::test]
async fn an_unreachable_daemon_is_an_error_of_the_call() {
    let daemon = Daemon::start();
    let empty = tempfile::tempdir().expect("a folder");
    let mut setup = config(&daemon);
    setup.client = convoke_client::Client::new(empty.path().to_owned(), None);
    let mut peer = Peer::codex(setup).await;
    let answer = peer.call("codex_spawn", json!({"prompt": "p"})).await;
    assert_refused(&answer, "daemon_unavailable", &["no daemon", "Hint: "]);
    assert_eq!(answer.facts["retryable"], true);
    assert_eq!(peer.call("ping", json!({})).await.text, "pong");
}
