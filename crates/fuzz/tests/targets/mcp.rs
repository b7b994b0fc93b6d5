//! The MCP server over an in-memory pipe: arguments of tools, and lines that
//! are no messages.

use std::{collections::BTreeSet, sync::Arc};

use convoke_api::{control, spawn::SpawnRequest};
use convoke_mcp::{JobsServer, ServerConfig};
use jsonschema::Validator;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    corpus, harness, json,
    mcp_peer::{Peer, World},
};

/// Keys and words of all tools.
const WORDS: &[&str] = &[
    "prompt",
    "label",
    "needs",
    "model",
    "reasoningEffort",
    "high",
    "sandbox",
    "read-only",
    "fullAuto",
    "workingDirectory",
    "access",
    "write",
    "profile",
    "configOverrides",
    "addDirs",
    "mcpServers",
    "inherit",
    "none",
    "hostSkills",
    "outputSchema",
    "timeoutMs",
    "env",
    "idempotencyKey",
    "jobs",
    "defaults",
    "jobId",
    "jobIds",
    "cursor",
    "maxEvents",
    "force",
    "newPrompt",
    "state",
    "live",
    "base",
    "uncommitted",
    "commit",
    "message",
    "sessionId",
    "limit",
    "full",
    "waitMs",
    "overrides",
    "resetSession",
    "idleTimeoutMs",
];

/// Arguments that are numbers or truths.
const KEYS: &[&str] = &[
    "force",
    "fullAuto",
    "handshakeMaxEvents",
    "hostSkills",
    "idleTimeoutMs",
    "kWrite",
    "limit",
    "maxEvents",
    "mine",
    "resetSession",
    "tailMaxEvents",
    "timeoutMs",
    "uncommitted",
    "waitMs",
];

/// Words of the protocol.
const PROTOCOL: &[&str] = &[
    "{\"jsonrpc\":\"2.0\",",
    "\"id\":1,",
    "\"id\":\"x\",",
    "\"id\":null,",
    "\"method\":\"tools/call\",",
    "\"params\":{\"name\":\"ping\",\"arguments\":{}}}",
    "notifications/cancelled",
    "initialize",
    "\n",
    "\r\n",
    "\u{feff}",
    "[[[[[[[[",
];

/// After any lines a request is answered, and the end of the input is the end.
#[test]
fn mcp_lines() {
    let world = World::start();
    let kept = corpus::kept("mcp_lines", &[]);
    corpus::run("mcp_lines", 150, kept, PROTOCOL, |bytes| {
        world.runtime.block_on(async {
            let mut peer = Peer::silent(world.config.clone());
            peer.begin().await.expect("a handshake");
            peer.say(bytes).await;
            let asked = json!({"name": "ping", "arguments": {"message": "m"}});
            let answer = peer.request("after", "tools/call", asked).await;
            let answer = answer.expect("the server goes on");
            assert_eq!(answer["result"]["content"][0]["text"], "m", "{answer}");
            for id in requests(bytes) {
                peer.hear(&id).await;
            }
            peer.end().await.expect("ends well");
        });
    });
}

/// The ids of well-formed requests among lines, unless any may be cancelled.
fn requests(lines: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(lines);
    if text.contains("cancelled") {
        return Vec::new();
    }
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    let messages = lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let message: Value = serde_json::from_slice(line).ok()?;
        // A key given twice is gone in the value, and refused by the server.
        let is_whole = bare(&String::from_utf8_lossy(line)) == bare(&message.to_string());
        is_whole.then_some(message)
    });
    messages
        .filter(|message| {
            let is_call = ["tools/call", "tools/list", "ping"]
                .iter()
                .any(|method| message["method"] == *method);
            message["jsonrpc"] == "2.0" && is_call && message["params"].is_object()
        })
        .map(|message| message["id"].clone())
        .filter(|id| id.is_string() || id.as_u64().is_some_and(|id| id < 1 << 31))
        .collect()
}

/// Lines before the handshake: it is answered, or the server ends by saying
/// what was wrong.
#[test]
fn mcp_beginnings() {
    let world = World::start();
    let kept = corpus::kept("mcp_lines", &[]);
    corpus::run("mcp_beginnings", 100, kept, PROTOCOL, |bytes| {
        world.runtime.block_on(async {
            let mut peer = Peer::silent(world.config.clone());
            peer.say(bytes).await;
            let answered = peer.begin().await.is_some();
            let ended = peer.end().await;
            assert!(answered || ended.is_err(), "silence");
        });
    });
}

/// Any arguments of any tool: an answer of the published form, nothing asked of
/// the daemon that it could not read, and a refusal of what the schema refuses.
#[test]
fn mcp_arguments() {
    let world = World::start();
    let tools = Tool::all(&world.config);
    // Known arguments with single values, so that some calls are let through.
    let few = vec((select(KEYS), json::leaf(WORDS)), 0..4).prop_map(|few| {
        let few = few.into_iter().map(|(key, value)| (key.to_owned(), value));
        plausible(few.collect())
    });
    let arguments = prop_oneof![
        1 => json::object(WORDS, WORDS),
        2 => json::object(WORDS, WORDS).prop_map(plausible),
        3 => few,
    ];
    let calls = vec((select(tools), arguments), 1..5);
    harness::run("mcp_arguments", 100, &calls, |calls| {
        world.runtime.block_on(async {
            let mut peer = Peer::silent(world.config.clone());
            peer.begin().await.expect("a handshake");
            for (tool, arguments) in calls {
                let asked = json!({"name": tool.name, "arguments": arguments});
                let answer = peer.request("call", "tools/call", asked).await;
                tool.check(&arguments, &answer.expect("the server goes on"));
                world.daemon.take().iter().for_each(check_asked);
            }
            peer.end().await.expect("ends well");
        });
    });
}

/// Gives what most tools need, so that a call gets past the first check.
fn plausible(mut arguments: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in [
        ("prompt", json!("p")),
        ("newPrompt", json!("p")),
        ("jobId", json!("j")),
        ("jobIds", json!(["j"])),
        ("jobs", json!([{"prompt": "p"}])),
    ] {
        arguments.entry(key).or_insert(value);
    }
    arguments
}

/// A tool with its published schemas.
#[derive(Clone)]
struct Tool {
    name: String,
    input: Arc<Validator>,
    output: Arc<Validator>,
}

impl std::fmt::Debug for Tool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Tool {
    fn all(config: &ServerConfig) -> Vec<Self> {
        let validator = |schema: &Map<String, Value>| {
            let schema = Value::Object(schema.clone());
            Arc::new(jsonschema::validator_for(&schema).expect("a schema"))
        };
        let server = JobsServer::new(config.clone());
        let tools: Vec<Self> = server
            .tools()
            .iter()
            .map(|tool| Self {
                name: tool.name.to_string(),
                input: validator(&tool.input_schema),
                output: validator(tool.output_schema.as_deref().expect("published")),
            })
            .collect();
        let names: BTreeSet<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names.len(), tools.len());
        tools
    }

    fn check(&self, arguments: &Map<String, Value>, answer: &Value) {
        let result = &answer["result"];
        assert!(result.is_object(), "a call is answered: {answer}");
        let facts = &result["structuredContent"];
        if let Err(error) = self.output.validate(facts) {
            panic!("{}: {error}\n{facts:#}", self.name);
        }
        let text = result["content"][0]["text"].as_str();
        assert!(text.is_some_and(|text| !text.is_empty()), "{answer}");
        let given = without_nulls(Value::Object(arguments.clone()));
        if !self.input.is_valid(&given) {
            assert_eq!(result["isError"], true, "{}: {given}", self.name);
            assert_eq!(facts["code"], "invalid_argument", "{answer}");
        }
    }
}

/// Null stands for "left out".
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// What the daemon was asked it can read.
fn check_asked((what, body): &(String, Vec<u8>)) {
    let read = |result: Result<(), serde_json::Error>| {
        result.unwrap_or_else(|error| panic!("{what}: {error}: {}", body.escape_ascii()));
    };
    match what.as_str() {
        "POST /v1/jobs" => {
            let request: SpawnRequest = serde_json::from_slice(body).expect("a request");
            assert!(!request.jobs.is_empty());
            for job in &request.jobs {
                let works = [
                    job.prompt.is_some(),
                    job.review.is_some(),
                    job.argv.is_some(),
                ];
                assert_eq!(works.into_iter().filter(|is| *is).count(), 1, "{job:?}");
            }
        }
        "POST /v1/jobs/wait" => {
            read(serde_json::from_slice::<control::WaitRequest>(body).map(drop))
        }
        what if what.ends_with("/interrupt") => {
            read(serde_json::from_slice::<control::InterruptRequest>(body).map(drop));
        }
        what if what.ends_with("/cancel") => {
            read(serde_json::from_slice::<control::CancelRequest>(body).map(drop));
        }
        _ => {}
    }
}
