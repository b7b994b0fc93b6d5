//! An MCP client: JSON lines over an in-memory stream.

use std::{collections::BTreeMap, time::Duration};

use convoke_client::Client;
use convoke_mcp::{JobsServer, ServeError, ServerConfig, serve};
use serde_json::{Value, json};
use tokio::{
    io::{
        AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, split,
    },
    task::JoinHandle,
    time::timeout,
};

use super::daemon::Daemon;

/// No step of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn config(daemon: &Daemon) -> ServerConfig {
    ServerConfig {
        client: Client::new(daemon.home().to_owned(), None),
        environment: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
        toolsets: vec![convoke_mcp::Toolset::Jobs],
        folder: "/srv/here".into(),
        max_wait: None,
        program_version: "1.2.3".into(),
    }
}

/// One client with its server.
pub struct Peer {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
    server: JoinHandle<Result<(), ServeError>>,
    tools: BTreeMap<String, jsonschema::Validator>,
    next: u64,
    /// Notifications that came between answers.
    pub heard: Vec<Value>,
}

impl Peer {
    /// A client that has not said anything yet.
    pub fn silent(config: ServerConfig) -> Self {
        let tools = JobsServer::new(config.clone())
            .tools()
            .iter()
            .map(|tool| {
                let schema =
                    Value::Object(tool.output_schema.as_deref().expect("published").clone());
                let validator = jsonschema::validator_for(&schema).expect("a schema");
                (tool.name.to_string(), validator)
            })
            .collect();
        let (near, far) = tokio::io::duplex(1 << 20);
        let (reader, writer) = split(far);
        let server = tokio::spawn(serve(config, reader, writer));
        let (reader, writer) = split(near);
        let lines = BufReader::new(reader).lines();
        Self {
            lines,
            writer,
            server,
            tools,
            next: 1,
            heard: Vec::new(),
        }
    }

    /// A client after the handshake.
    pub async fn start(config: ServerConfig, name: &str, version: &str) -> (Self, Value) {
        let mut peer = Self::silent(config);
        let answer = peer
            .request(
                "initialize",
                json!({
                    "protocolVersion": version, "capabilities": {},
                    "clientInfo": {"name": name, "version": "9"}
                }),
            )
            .await;
        peer.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        (peer, answer["result"].clone())
    }

    pub async fn codex(config: ServerConfig) -> Self {
        Self::start(config, "codex-mcp-client", "2025-06-18")
            .await
            .0
    }

    pub async fn say(&mut self, message: Value) {
        self.writer
            .write_all(format!("{message}\n").as_bytes())
            .await
            .expect("written");
    }

    /// Sends a request without waiting for its answer.
    pub async fn begin(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        id
    }

    pub async fn answer(&mut self, id: u64) -> Value {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line())
                .await
                .expect("an answer in time");
            let line = line.expect("readable").expect("not the end");
            let message: Value = serde_json::from_str(&line).expect("JSON");
            if message["id"] == id {
                return message;
            }
            self.heard.push(message);
        }
    }

    pub async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params).await;
        self.answer(id).await
    }

    /// Calls a tool; the answer's structured content is checked against the
    /// tool's published schema.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Answer {
        self.call_with(tool, arguments, json!({})).await
    }

    pub async fn call_with(&mut self, tool: &str, arguments: Value, meta: Value) -> Answer {
        let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
        let id = self.begin("tools/call", params).await;
        self.called(tool, id).await
    }

    pub async fn called(&mut self, tool: &str, id: u64) -> Answer {
        let message = self.answer(id).await;
        let result = message
            .get("result")
            .unwrap_or_else(|| panic!("{tool}: {message}"));
        let facts = result["structuredContent"].clone();
        let validator = &self.tools[tool];
        if let Err(error) = validator.validate(&facts) {
            panic!("{tool}: {error}\n{facts:#}");
        }
        Answer {
            text: result["content"][0]["text"]
                .as_str()
                .expect("a text")
                .to_owned(),
            facts,
            is_error: result["isError"] == true,
            meta: result["_meta"].clone(),
        }
    }

    /// Ends the input and waits for the server's end.
    pub async fn end(self) -> Result<(), ServeError> {
        drop((self.lines, self.writer));
        timeout(PATIENCE, self.server)
            .await
            .expect("ends in time")
            .expect("no panic")
    }
}

/// What a call came to.
#[derive(Debug)]
pub struct Answer {
    pub text: String,
    pub facts: Value,
    pub is_error: bool,
    pub meta: Value,
}

impl Answer {
    /// The facts, which the text must carry too.
    pub fn both(&self) -> &Value {
        assert!(!self.is_error, "{self:?}");
        let text: Value = serde_json::from_str(&self.text).expect("the text is JSON");
        assert_eq!(text, self.facts);
        &self.facts
    }
}
