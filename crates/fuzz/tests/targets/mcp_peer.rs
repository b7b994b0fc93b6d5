//! An MCP client: lines over an in-memory pipe, and what every line of the
//! server must be.

use std::{collections::BTreeMap, time::Duration};

use convoke_client::Client;
use convoke_mcp::{ServeError, ServerConfig, serve};
use serde_json::{Value, json};
use tokio::{
    io::{
        AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, split,
    },
    runtime::Runtime,
    task::JoinHandle,
    time::timeout,
};

use crate::mcp_daemon::Daemon;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The server's surroundings.
pub struct World {
    pub runtime: Runtime,
    pub daemon: Daemon,
    pub config: ServerConfig,
}

impl World {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let daemon = runtime.block_on(async { Daemon::start() });
        let config = ServerConfig {
            client: Client::new(daemon.folder.path().to_owned(), None),
            environment: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]),
            toolsets: vec![convoke_mcp::Toolset::Jobs],
            folder: "/srv/here".into(),
            max_wait: None,
            program_version: "1.2.3".to_owned(),
        };
        Self {
            runtime,
            daemon,
            config,
        }
    }
}

/// A client with its server, over an in-memory pipe.
pub struct Peer {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
    server: JoinHandle<Result<(), ServeError>>,
    /// The ids that were answered.
    heard: Vec<Value>,
}

impl Peer {
    pub fn silent(config: ServerConfig) -> Self {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (reader, writer) = split(far);
        let server = tokio::spawn(serve(config, reader, writer));
        let (reader, writer) = split(near);
        Self {
            lines: BufReader::new(reader).lines(),
            writer,
            server,
            heard: Vec::new(),
        }
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        // A server that ended reads no more; what it said before counts.
        let _ = self.writer.write_all(bytes).await;
        let _ = self.writer.write_all(b"\n").await;
    }

    pub async fn begin(&mut self) -> Option<Value> {
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let answer = self.request("begin", "initialize", params).await?;
        self.say(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await;
        Some(answer)
    }

    /// The answer to a request, if the server has not ended. Whatever else it
    /// says must be of the protocol too.
    pub async fn request(&mut self, id: &str, method: &str, params: Value) -> Option<Value> {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.say(message.to_string().as_bytes()).await;
        let id = Value::from(id);
        loop {
            let said = self.next(&message).await?;
            if said["id"] == id {
                return Some(said);
            }
        }
    }

    /// Waits until a request that was among other lines is answered.
    pub async fn hear(&mut self, id: &Value) {
        while !self.heard.contains(id) {
            let said = self.next(id).await;
            assert!(said.is_some(), "{id} is not answered");
        }
    }

    /// The next message of the server, which must be of the protocol.
    async fn next(&mut self, awaited: &Value) -> Option<Value> {
        let line = timeout(PATIENCE, self.lines.next_line())
            .await
            .unwrap_or_else(|_| panic!("{awaited} is not answered"));
        let line = line.expect("whole texts")?;
        let said: Value = serde_json::from_str(&line).expect("an answer is JSON");
        assert_eq!(said["jsonrpc"], "2.0", "{said}");
        let is_answer = said.get("result").is_some() != said.get("error").is_some();
        assert!(is_answer || said["method"].is_string(), "{said}");
        if is_answer {
            self.heard.push(said["id"].clone());
        }
        Some(said)
    }

    pub async fn end(self) -> Result<(), ServeError> {
        drop((self.lines, self.writer));
        timeout(PATIENCE, self.server)
            .await
            .expect("the server ends with its input")
            .expect("the server does not panic")
    }
}
