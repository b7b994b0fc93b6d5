//! An MCP client's side of `convoke mcp`, for tests.

use std::{
    io::Write,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{census::pause, environment::TestEnvironment};

/// How long an answer may take in a test.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How long a server may take to end when its stdin has ended.
const END_WITHIN: Duration = Duration::from_secs(30);

/// An MCP client's side of `convoke mcp` over its stdin and stdout, one message
/// a line.
#[derive(Debug)]
pub struct McpClient {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    next_id: i64,
    /// Notifications that came between answers.
    pub heard: Vec<Value>,
}

impl McpClient {
    /// Starts `convoke mcp` in the work folder and shakes hands.
    ///
    /// # Panics
    /// The server does not answer.
    #[must_use]
    pub fn start(environment: &TestEnvironment, arguments: &[&str], client_name: &str) -> Self {
        Self::try_start(environment, arguments, client_name)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same where the server may be killed meanwhile.
    ///
    /// # Errors
    /// The server cannot be started, or does not answer.
    pub fn try_start(
        environment: &TestEnvironment,
        arguments: &[&str],
        client_name: &str,
    ) -> Result<Self, String> {
        let all: Vec<&str> = ["mcp"].iter().chain(arguments).copied().collect();
        let mut command = environment.convoke(&all);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("start the MCP server: {error}"))?;
        let stdout = child
            .stdout
            .take()
            .ok_or("the MCP server's stdout is no pipe")?;
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            use std::io::BufRead;
            for line in std::io::BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
            {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut client = Self {
            child,
            lines,
            next_id: 0,
            heard: Vec::new(),
        };
        let hello = serde_json::json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": client_name, "version": "1"}});
        client.try_request("initialize", hello)?;
        client.send(&notification(
            "notifications/initialized",
            serde_json::json!({}),
        ))?;
        Ok(client)
    }

    /// Sends a request and answers its result.
    ///
    /// # Panics
    /// It is answered with a protocol error, or not within a minute.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.try_request(method, params)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same where the server may be killed meanwhile.
    ///
    /// # Errors
    /// The server is gone, answers with a protocol error, or not within a
    /// minute.
    pub fn try_request(&mut self, method: &str, params: Value) -> Result<Value, String> {
        let id = self.try_send_request(method, params)?;
        self.try_answer(id)
    }

    /// Sends a request without waiting; answers its id.
    ///
    /// # Panics
    /// The server is gone.
    pub fn send_request(&mut self, method: &str, params: Value) -> i64 {
        self.try_send_request(method, params)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_send_request(&mut self, method: &str, params: Value) -> Result<i64, String> {
        self.next_id += 1;
        let id = self.next_id;
        self.send(
            &serde_json::json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}),
        )?;
        Ok(id)
    }

    /// Waits for the answer to a request; notifications are kept in `heard`, other
    /// messages dropped.
    ///
    /// # Panics
    /// It is a protocol error, or does not come within a minute.
    pub fn answer(&mut self, id: i64) -> Value {
        self.try_answer(id)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_answer(&mut self, id: i64) -> Result<Value, String> {
        loop {
            let line = self.lines.recv_timeout(ANSWER_WITHIN).map_err(|error| {
                format!("the MCP server does not answer within a minute: {error}")
            })?;
            let message: Value = serde_json::from_str(&line)
                .map_err(|error| format!("the MCP server's line is no JSON ({error}): {line}"))?;
            if message.get("id").is_none() {
                self.heard.push(message);
                continue;
            }
            if message["id"] != id || message.get("method").is_some() {
                continue;
            }
            return match message.get("error") {
                Some(_) => Err(format!("a protocol error: {message}")),
                None => Ok(message["result"].clone()),
            };
        }
    }

    /// Sends a notification.
    ///
    /// # Panics
    /// The server is gone.
    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&notification(method, params))
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Calls a tool and answers the whole result.
    ///
    /// # Panics
    /// See [`McpClient::request`].
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request(
            "tools/call",
            serde_json::json!({"name": tool, "arguments": arguments}),
        )
    }

    /// The same where the server may be killed meanwhile.
    ///
    /// # Errors
    /// See [`McpClient::try_request`].
    pub fn try_call(&mut self, tool: &str, arguments: Value) -> Result<Value, String> {
        self.try_request(
            "tools/call",
            serde_json::json!({"name": tool, "arguments": arguments}),
        )
    }

    /// Calls a tool, which must succeed, and answers its structured content.
    ///
    /// # Panics
    /// The tool answers with an error.
    pub fn call_ok(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{tool} failed: {result}");
        result["structuredContent"].clone()
    }

    /// Process id of the server.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid fits")
    }

    fn send(&mut self, message: &Value) -> Result<(), String> {
        let stdin = self
            .child
            .stdin
            .as_mut()
            .ok_or("the MCP server's stdin is no pipe")?;
        stdin
            .write_all(format!("{message}\n").as_bytes())
            .map_err(|error| format!("the MCP server does not read: {error}"))
    }
}

fn notification(method: &str, params: Value) -> Value {
    serde_json::json!({"jsonrpc": "2.0", "method": method, "params": params})
}

impl Drop for McpClient {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + END_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                assert!(
                    std::thread::panicking(),
                    "the MCP server did not end with its stdin"
                );
                return;
            }
            pause();
        }
    }
}
