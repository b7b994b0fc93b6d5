//! The server over a plain socket: the shape of its streams, faults, records and its end.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use convoke_scripted_model::{
    BrokenStream, FaultScope, Hang, HttpError, ResponseFailed, Script, ScriptedModel, Step, Usage,
};
use serde_json::{Value, json};

/// Long enough for a loaded machine; nothing waits for it to pass.
const BOUND: Duration = Duration::from_secs(20);

fn send(model: &ScriptedModel, thread: &str, body: &Value) -> TcpStream {
    let base = model.base_url();
    let (host, path) = base
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "POST /{path}/responses HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nthread-id: {thread}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn ask(model: &ScriptedModel, thread: &str, body: &Value) -> String {
    answer(send(model, thread, body))
}

fn prompt(text: &str) -> Value {
    json!({"model": "m", "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]})
}

fn events(answer: &str) -> Vec<Value> {
    answer
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn kinds(answer: &str) -> Vec<String> {
    events(answer)
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_stream_has_the_shape_codex_reads() {
    let usage = Usage {
        input_tokens: 5,
        output_tokens: 2,
        ..Usage::default()
    };
    let steps = vec![
        Step::Usage(usage),
        Step::Think("hm".into()),
        Step::mcp("a-b", "tool", json!({"x": 1})),
        Step::say("done"),
    ];
    let model = ScriptedModel::start_blocking(Script::always(steps)).unwrap();
    let first = ask(&model, "t1", &prompt("go"));
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
    assert!(
        first.contains("content-type: text/event-stream\r\n"),
        "{first}"
    );
    let events = events(&first);
    let items: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    assert_eq!(
        items[0]["summary"],
        json!([{"type": "summary_text", "text": "hm"}])
    );
    let call = json!({"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "tool", "arguments": "{\"x\":1}", "namespace": "mcp__a_b"});
    assert_eq!(*items[1], call);
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["usage"]["total_tokens"]),
        (&json!("response.completed"), &json!(7))
    );

    let mut next = prompt("go");
    let input = next["input"].as_array_mut().unwrap();
    input.push(call);
    input.push(json!({"type": "function_call_output", "call_id": "call_2", "output": "Wall time: 1 seconds\nOutput:\n{}"}));
    let second = ask(&model, "t1", &next);
    let expected = [
        "response.created",
        "response.output_item.added",
        "response.output_text.delta",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(kinds(&second), expected);

    let requests = model.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        (requests[0].path.as_str(), requests[0].thread_id()),
        ("/v1/responses", Some("t1"))
    );
    assert_eq!(requests[1].messages("user"), ["go"]);
    assert_eq!(requests[1].tool_outputs().len(), 1);
}

#[test]
fn http_errors_come_once_per_thread_or_once_per_server() {
    for (scope, status_in_another_thread) in
        [(FaultScope::Thread, "429"), (FaultScope::Server, "200")]
    {
        let fault = HttpError {
            status: 429,
            retry_after: Some(7),
            once_per: scope,
            ..HttpError::default()
        };
        let line = Script::prompt_line(&[Step::HttpError(fault), Step::say("through")]);
        let model = ScriptedModel::start_blocking(Script::default()).unwrap();
        let status = |thread| {
            ask(&model, thread, &prompt(&line))
                .split(' ')
                .nth(1)
                .unwrap()
                .to_owned()
        };
        let first = ask(&model, "t1", &prompt(&line));
        assert!(
            first.starts_with("HTTP/1.1 429 ") && first.contains("retry-after: 7\r\n"),
            "{first}"
        );
        assert_eq!(status("t1"), "200");
        assert_eq!(status("t2"), status_in_another_thread);
    }
}

#[test]
fn streams_fail_and_break_as_scripted() {
    let failed = ResponseFailed {
        code: "insufficient_quota".into(),
        message: "no money".into(),
        ..ResponseFailed::default()
    };
    let steps = [
        Step::ResponseFailed(failed),
        Step::BrokenStream(BrokenStream {
            clean: true,
            ..BrokenStream::default()
        }),
        Step::BrokenStream(BrokenStream::default()),
        Step::say("end"),
    ];
    let line = prompt(&Script::prompt_line(&steps));
    let model = ScriptedModel::start_blocking(Script::default()).unwrap();
    let failed = events(&ask(&model, "t", &line));
    assert_eq!(
        failed.last().unwrap()["response"]["error"],
        json!({"code": "insufficient_quota", "message": "no money"})
    );
    let clean = ask(&model, "t", &line);
    assert_eq!(kinds(&clean), ["response.created"]);
    // A body of chunks that breaks has no last, empty chunk.
    let broken = ask(&model, "t", &line);
    assert!(
        broken.contains("transfer-encoding: chunked") && !broken.ends_with("0\r\n\r\n"),
        "{broken}"
    );
    assert!(kinds(&ask(&model, "t", &line)).contains(&"response.completed".to_owned()));
}

#[test]
fn a_hang_lasts_until_it_is_released() {
    for mid_stream in [false, true] {
        let line = prompt(&Script::prompt_line(&[
            Step::Hang(Hang {
                mid_stream,
                ..Hang::default()
            }),
            Step::say("free"),
        ]));
        let model = ScriptedModel::start_blocking(Script::default()).unwrap();
        let mut hanging = send(&model, "t", &line);
        model
            .wait_for_requests(BOUND, |requests| requests.len() == 1)
            .unwrap();
        if mid_stream {
            hanging.read_exact(&mut [0; 1]).unwrap();
        }
        hanging.set_nonblocking(false).unwrap();
        // The request is recorded just before it starts to hang: release until the answer is there.
        hanging
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let mut text = Vec::new();
        for _ in 0..500 {
            model.release_hangs();
            if hanging.read_to_end(&mut text).is_ok() {
                break;
            }
        }
        assert!(String::from_utf8_lossy(&text).contains("response.completed"));
    }
}

#[test]
fn bad_scripts_are_refused_and_told() {
    let refused =
        ScriptedModel::start_blocking(Script::always(vec![Step::say("${nope}")])).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("conversation 1, step 1: ${nope}"),
        "{refused}"
    );
    let model = ScriptedModel::start_blocking(Script::default()).unwrap();
    let told = ask(&model, "t", &prompt("SCRIPT: [{\"sey\":\"x\"}]"));
    assert!(
        told.starts_with("HTTP/1.1 400 ") && told.contains("unknown variant `sey`"),
        "{told}"
    );
    let unmatched = ask(&model, "t", &prompt("hello"));
    assert!(
        unmatched.contains("no script matches the prompt: hello"),
        "{unmatched}"
    );
}

#[tokio::test]
async fn the_end_of_the_server_ends_a_hang() {
    let model = ScriptedModel::start(Script::always(vec![Step::hang()]))
        .await
        .unwrap();
    let address = model.base_url();
    let mut hanging = send(&model, "t", &prompt("x"));
    let reader = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        // Either an error answer or a closed connection is an end.
        let _ = hanging.read_to_string(&mut text);
        text
    });
    model.shutdown().await;
    let text = tokio::time::timeout(BOUND, reader).await.unwrap().unwrap();
    assert!(
        text.is_empty() || text.contains("the server ended"),
        "{text}"
    );
    let host = address
        .strip_prefix("http://")
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    assert!(TcpStream::connect(host).is_err());
}
