//! Calls that succeed: what the daemon is asked, and what the client is told.

use serde_json::{Value, json};

use super::{
    daemon::{Daemon, job, result},
    peer::{Peer, config},
};

fn turn(sandbox: &str) -> Value {
    json!({"threadId": "T1", "callId": "call_1", "x-codex-turn-metadata": {"turn_id": "U1", "sandbox_mode": sandbox}})
}

#[tokio::test]
async fn spawn_says_who_asks_and_what_for() {
    let daemon = Daemon::start();
    let queue = json!({"reason": "cap", "position": 3, "message": "limits.total is 32"});
    let queued = job(
        "j1",
        "queued",
        json!({"queue": queue, "sandbox": "read-only"}),
    );
    daemon.answer(
        "POST /v1/jobs",
        200,
        json!({"results": [{"job": queued, "notices": ["sandbox narrowed to read-only"]}]}),
    );
    let mut setup = config(&daemon);
    setup
        .environment
        .insert("CODEX_MCP_MAX_JOBS".into(), "4".into());
    setup
        .environment
        .insert("CODEX_MCP_DEFAULT_SANDBOX".into(), "read-only".into());
    let mut peer = Peer::codex(setup).await;
    let arguments = json!({
        "prompt": "do it", "workingDirectory": "sub", "reasoningEffort": "xhigh", "timeoutMs": 5000.0,
        "needs": ["a"], "env": {"K": "v"}, "mcpServers": "none", "idempotencyKey": "key",
        "outputSchema": {"type": "object"}, "somethingNew": true, "model": null
    });
    let answer = peer
        .call_with("codex_spawn", arguments, turn("read-only"))
        .await;
    let facts = answer.both();
    assert_eq!(facts["jobId"], "j1");
    assert_eq!(facts["status"], "running");
    assert_eq!(facts["startedAt"], "2026-01-01T00:00:00Z");
    assert_eq!(facts["queue"], queue);
    assert_eq!(facts["sandbox"], "read-only");
    assert_eq!(facts["notices"], json!(["sandbox narrowed to read-only"]));
    assert_eq!(answer.meta["jobId"], "j1");
    let body = daemon.last("POST /v1/jobs").body;
    let caller = &body["caller"];
    assert_eq!(caller["client"], "codex-mcp-client");
    assert_eq!(caller["thread"], "T1");
    assert_eq!(caller["call"], "U1/call_1");
    assert_eq!(caller["sandbox"], "read-only");
    assert_eq!(caller["folder"], "/srv/here");
    assert_eq!(caller["environment"]["PATH"], "/bin");
    assert_eq!(caller["maxJobs"], 4);
    assert_eq!(caller["defaultSandbox"], "read-only");
    assert_eq!(body["idempotencyKey"], "key");
    assert_eq!(
        body["jobs"][0],
        json!({
            "prompt": "do it", "reasoningEffort": "xhigh", "workingDirectory": "/srv/here/sub",
            "mcpServers": "none", "outputSchema": {"type": "object"}, "timeoutMs": 5000,
            "env": {"K": "v"}, "needs": ["a"]
        })
    );
}

#[tokio::test]
async fn a_group_succeeds_in_part_and_in_order() {
    let daemon = Daemon::start();
    let refused = json!({"code": "power_exceeded", "message": "too much", "hint": "ask for less", "retryable": false});
    daemon.answer(
        "POST /v1/jobs",
        200,
        json!({"results": [
            {"job": job("j1", "starting", json!({"label": "one"}))},
            {"error": refused},
        ]}),
    );
    daemon.answer("GET /v1/jobs/j1/events", 200, json!({
        "events": [{"seq": 1, "type": "spawned", "timestamp": "t", "content": {}}], "nextCursor": "9", "done": false
    }));
    let mut peer = Peer::codex(config(&daemon)).await;
    let arguments = json!({
        "defaults": {"model": "m", "sandbox": "read-only"}, "kWrite": 2, "includeHandshake": true, "handshakeMaxEvents": 5,
        "jobs": [{"prompt": "a", "label": "one"}, {"prompt": "b", "label": "two", "model": "n", "needs": ["one"]}]
    });
    let answer = peer.call("codex_spawn_group", arguments).await;
    let results = &answer.both()["results"];
    assert_eq!(results[0]["jobId"], "j1");
    assert_eq!(results[0]["label"], "one");
    let handshake = json!({"events": [{"type": "progress", "timestamp": "t", "content": {"kind": "spawned"}}], "nextCursor": "9", "done": false});
    assert_eq!(results[0]["handshake"], handshake);
    assert_eq!(
        results[1],
        json!({"code": "power_exceeded", "hint": "ask for less", "retryable": false, "error": "too much", "label": "two"})
    );
    assert!(
        answer.facts["notices"][0]
            .as_str()
            .is_some_and(|note| note.contains("limits.writers"))
    );
    let jobs = daemon.last("POST /v1/jobs").body["jobs"].clone();
    assert_eq!(
        jobs[0],
        json!({"prompt": "a", "label": "one", "model": "m", "sandbox": "read-only"})
    );
    assert_eq!(jobs[1]["model"], "n");
    assert_eq!(jobs[1]["needs"], json!(["one"]));
    assert_eq!(
        daemon.last("GET /v1/jobs/j1/events").query["maxEvents"],
        "5"
    );
}

#[tokio::test]
async fn status_uses_four_words_and_adds_the_rest() {
    let daemon = Daemon::start();
    let killed = json!({
        "finishedAt": "2026-01-01T00:01:00Z", "exitSignal": 9, "code": "timed_out", "message": "too long",
        "hint": "raise timeoutMs", "retryable": true
    });
    daemon.answer("GET /v1/jobs/j1", 200, job("j1", "failed", killed));
    let process = json!({"pid": 7, "containment": "pid_namespace", "lastOutputAt": null});
    daemon.answer(
        "GET /v1/jobs/j2",
        200,
        job("j2", "finishing", json!({"process": process})),
    );
    let mut peer = Peer::codex(config(&daemon)).await;
    let answer = peer.call("codex_status", json!({"jobId": "j1"})).await;
    let facts = answer.both();
    assert_eq!(facts["status"], "failed");
    assert_eq!(facts["exitCode"], Value::Null);
    assert!(
        facts
            .as_object()
            .expect("an object")
            .contains_key("exitCode")
    );
    assert_eq!(facts["code"], "timed_out");
    assert_eq!(facts["retryable"], true);
    let answer = peer.call("codex_status", json!({"jobId": "j2"})).await;
    let facts = answer.both();
    assert_eq!(
        (&facts["status"], &facts["state"]),
        (&json!("running"), &json!("finishing"))
    );
    assert!(facts.get("exitCode").is_none());
    assert_eq!(
        facts["process"],
        json!({"pid": 7, "containment": "pid_namespace"})
    );
}

#[tokio::test]
async fn a_result_is_the_final_message() {
    let daemon = Daemon::start();
    let done = job("j", "completed", json!({"exitCode": 0}));
    daemon.answer(
        "GET /v1/jobs/j/result",
        200,
        result(done, Some("All done.")),
    );
    let mut peer = Peer::codex(config(&daemon)).await;
    let answer = peer.call("codex_result", json!({"jobId": "j"})).await;
    assert_eq!(answer.text, "All done.");
    assert_eq!(answer.facts["finalMessage"], "All done.");
    assert_eq!(
        answer.facts["modifiedFiles"],
        json!({"claimed": ["a.txt"], "observed": null})
    );
    assert!(answer.facts.get("stdoutTail").is_none());
    let asked = daemon.last("GET /v1/jobs/j/result").query;
    assert_eq!(
        (asked["full"].as_str(), asked["messageLimit"].as_str()),
        ("false", "24576")
    );
    let answer = peer
        .call("codex_result", json!({"jobId": "j", "view": "full"}))
        .await;
    let facts = answer.both();
    assert_eq!(facts["stdoutTail"], "out");
    assert_eq!(facts["integrity"]["headAfter"], "abc");
    assert_eq!(daemon.last("GET /v1/jobs/j/result").query["full"], "true");
}

#[tokio::test]
async fn a_cancelled_job_does_not_look_like_success() {
    let daemon = Daemon::start();
    let cancelled = || job("j", "cancelled", json!({"code": "requested"}));
    daemon.answer(
        "GET /v1/jobs/j/result",
        200,
        result(cancelled(), Some("Half way.")),
    );
    let mut peer = Peer::codex(config(&daemon)).await;
    let answer = peer.call("codex_result", json!({"jobId": "j"})).await;
    assert_eq!(answer.text, "[canceled] job j requested\n\nHalf way.");
    assert_eq!(answer.facts["status"], "canceled");
    daemon.answer("GET /v1/jobs/j/result", 200, result(cancelled(), None));
    let answer = peer.call("codex_result", json!({"jobId": "j"})).await;
    assert!(
        answer
            .text
            .contains("modifiedFiles:\n(none)\nstatus: canceled\nexitCode: none"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn events_come_in_pages_of_known_types() {
    let daemon = Daemon::start();
    daemon.answer("GET /v1/jobs/j/events", 200, json!({
        "events": [
            {"seq": 1, "type": "queued", "timestamp": "t", "content": {"reason": "cap"}},
            {"seq": 2, "attempt": 1, "type": "message", "timestamp": "t", "content": {"text": "hi"}, "truncated": true, "artifact": "/a"},
        ],
        "nextCursor": "77", "done": false
    }));
    let mut peer = Peer::codex(config(&daemon)).await;
    let answer = peer.call("codex_events", json!({"jobId": "j"})).await;
    assert_eq!(
        answer.both(),
        &json!({
            "events": [
                {"type": "progress", "timestamp": "t", "content": {"reason": "cap", "kind": "queued"}},
                {"type": "message", "timestamp": "t", "content": {"text": "hi"}, "truncated": true, "artifact": "/a"},
            ],
            "nextCursor": "77", "done": false
        })
    );
    let asked = daemon.last("GET /v1/jobs/j/events").query;
    let expected = [
        ("contentLimit", "4096"),
        ("cursor", "0"),
        ("maxBytes", "32768"),
        ("maxEvents", "200"),
    ];
    assert_eq!(
        asked
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect::<Vec<_>>(),
        expected
    );
}

#[tokio::test]
async fn cancel_and_interrupt() {
    let daemon = Daemon::start();
    daemon.answer(
        "POST /v1/jobs/j/cancel",
        200,
        json!({"success": true, "job": job("j", "stopping", json!({}))}),
    );
    daemon.answer(
        "POST /v1/jobs/j/interrupt",
        200,
        json!({
            "previous": job("j", "cancelled", json!({})), "previousState": "running",
            "newJob": job("k", "starting", json!({})), "reason": null
        }),
    );
    daemon.answer("GET /v1/jobs/j/events", 200, json!({
        "events": (1..=9).map(|n| json!({"seq": n, "type": "message", "timestamp": "t", "content": n})).collect::<Vec<_>>(),
        "nextCursor": "9", "done": true
    }));
    let mut peer = Peer::codex(config(&daemon)).await;
    let answer = peer
        .call("codex_cancel", json!({"jobId": "j", "force": true}))
        .await;
    assert_eq!(answer.both()["success"], true);
    assert_eq!(answer.facts["status"], "running");
    assert_eq!(daemon.last("POST /v1/jobs/j/cancel").body["force"], true);
    let arguments = json!({
        "jobId": "j", "newPrompt": "else", "includeEventTail": true, "tailMaxEvents": 2,
        "overrides": {"sandbox": "read-only", "workingDirectory": "sub"}
    });
    let answer = peer.call("codex_interrupt", arguments).await;
    let facts = answer.both();
    assert_eq!(facts["previousJobId"], "j");
    assert_eq!(
        (&facts["previousStatus"], &facts["currentStatus"]),
        (&json!("running"), &json!("canceled"))
    );
    assert_eq!(
        (&facts["respawned"], &facts["newJobId"]),
        (&json!(true), &json!("k"))
    );
    let tail = facts["eventTail"].as_array().expect("a list");
    assert_eq!(
        tail.iter()
            .map(|event| event["content"].clone())
            .collect::<Vec<_>>(),
        [8, 9]
    );
    let body = daemon.last("POST /v1/jobs/j/interrupt").body;
    assert_eq!(
        (&body["newPrompt"], &body["waitMs"]),
        (&json!("else"), &json!(250))
    );
    assert_eq!(
        body["overrides"],
        json!({"sandbox": "read-only", "workingDirectory": "/srv/here/sub"})
    );
}

#[tokio::test]
async fn listings_ask_for_the_callers_own() {
    let daemon = Daemon::start();
    daemon.answer(
        "GET /v1/jobs",
        200,
        json!({"jobs": [job("j", "completed", json!({}))], "nextCursor": null}),
    );
    let session = json!({"id": "s", "createdAt": "a", "lastAccessedAt": "b", "turnCount": 2});
    daemon.answer("GET /v1/sessions", 200, json!({"sessions": [session]}));
    let mut peer = Peer::codex(config(&daemon)).await;
    let answer = peer
        .call_with(
            "codex_jobs",
            json!({"mine": true, "state": "done", "limit": 3.0}),
            turn("read-only"),
        )
        .await;
    let first = &answer.both()["jobs"][0];
    assert_eq!(
        (&first["status"], &first["state"]),
        (&json!("done"), &json!("completed"))
    );
    for always in ["label", "finishedAt", "code", "parentJobId", "queue"] {
        assert_eq!(first.get(always), Some(&Value::Null), "{always}");
    }
    assert_eq!(answer.facts["nextCursor"], Value::Null);
    let asked = daemon.last("GET /v1/jobs").query;
    assert_eq!(asked["owner"], "thread%3AT1");
    assert_eq!(
        (asked["state"].as_str(), asked["limit"].as_str()),
        ("completed", "3")
    );
    let answer = peer.call("listSessions", json!({})).await;
    assert_eq!(
        serde_json::from_str::<Value>(&answer.text).expect("JSON"),
        json!([session])
    );
    assert_eq!(answer.facts, json!({"sessions": [session]}));
    assert_eq!(
        daemon.last("GET /v1/sessions").query["owner"],
        "client%3Acodex-mcp-client%3A%2Fsrv%2Fhere"
    );
}

#[tokio::test]
async fn ping_and_help_need_no_daemon() {
    let daemon = Daemon::start();
    let mut peer = Peer::codex(config(&daemon)).await;
    assert_eq!(peer.call("ping", json!({})).await.text, "pong");
    assert_eq!(
        peer.call("ping", json!({"message": "hey"})).await.facts,
        json!({"message": "hey"})
    );
    assert!(
        peer.call("help", json!({}))
            .await
            .text
            .contains("codex_wait_any")
    );
    assert!(daemon.asked().is_empty());
}

#[tokio::test]
async fn codex_waits_and_answers_the_message() {
    let daemon = Daemon::start();
    daemon.answer(
        "POST /v1/jobs",
        200,
        json!({"results": [{"job": job("j", "starting", json!({}))}]}),
    );
    daemon.answer("POST /v1/jobs/wait", 200, json!({"completedJobId": "j", "state": "completed", "timedOut": false, "missingJobIds": []}));
    let done = job("j", "completed", json!({"exitCode": 0}));
    daemon.answer("GET /v1/jobs/j/result", 200, result(done, Some("Hello.")));
    let mut peer = Peer::codex(config(&daemon)).await;
    let arguments = json!({"prompt": "hi", "sessionId": "s", "resetSession": true, "model": "m"});
    let answer = peer.call("codex", arguments).await;
    assert_eq!((answer.text.as_str(), answer.is_error), ("Hello.", false));
    assert_eq!(answer.meta, json!({"sessionId": "s", "model": "m"}));
    assert_eq!(
        (&answer.facts["status"], &answer.facts["finalMessage"]),
        (&json!("done"), &json!("Hello."))
    );
    let sent = daemon.last("POST /v1/jobs").body["jobs"][0].clone();
    assert_eq!(
        sent,
        json!({"prompt": "hi", "model": "m", "session": "s", "resetSession": true})
    );
    assert_eq!(daemon.last("POST /v1/jobs/wait").body["timeoutMs"], 110_000);

    let failed = job(
        "j",
        "failed",
        json!({"exitCode": 1, "code": "auth", "message": "not logged in", "hint": "codex login"}),
    );
    daemon.answer("GET /v1/jobs/j/result", 200, result(failed, None));
    let answer = peer.call("review", json!({"base": "main"})).await;
    assert!(answer.is_error);
    assert!(
        answer
            .text
            .starts_with("[failed] job j auth: not logged in Hint: codex login"),
        "{}",
        answer.text
    );
    assert_eq!(
        (&answer.facts["code"], &answer.facts["jobId"]),
        (&json!("auth"), &json!("j"))
    );
    let sent = daemon.last("POST /v1/jobs").body["jobs"][0].clone();
    assert_eq!(
        sent,
        json!({"review": {"base": "main"}, "sandbox": "read-only"})
    );
}

#[tokio::test]
async fn work_that_outlasts_the_call_goes_on() {
    let daemon = Daemon::start();
    daemon.answer(
        "POST /v1/jobs",
        200,
        json!({"results": [{"job": job("j", "starting", json!({}))}]}),
    );
    daemon.answer(
        "POST /v1/jobs/wait",
        200,
        json!({"completedJobId": null, "state": null, "timedOut": true, "missingJobIds": []}),
    );
    let mut peer = Peer::codex(config(&daemon)).await;
    let answer = peer.call("codex", json!({"prompt": "hi"})).await;
    let facts = answer.both();
    assert_eq!(
        (&facts["jobId"], &facts["status"]),
        (&json!("j"), &json!("running"))
    );
    assert!(
        facts["note"]
            .as_str()
            .is_some_and(|note| note.contains("codex_wait_any"))
    );
}
