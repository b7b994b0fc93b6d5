//! An MCP client's side of `convoke mcp`, for tests.

use std::{
    io::Write,
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::environment::TestEnvironment;

/// How long an answer may take in a test.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// An MCP client's side of `convoke mcp` over its stdin and stdout, one message
/// a line.
#[derive(Debug)]
pub struct McpClient {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    next_id: i64,
}

impl McpClient {
    /// Starts `convoke mcp` in the work folder and shakes hands.
    ///
    /// # Panics
    /// The server does not answer.
    #[must_use]
    pub fn start(environment: &TestEnvironment, arguments: &[&str], client_name: &str) -> Self {
        let all: Vec<&str> = ["mcp"].iter().chain(arguments).copied().collect();
        let mut command = environment.convoke(&all);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the MCP server starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
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
        };
        let hello = serde_json::json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": client_name, "version": "1"}});
        client.request("initialize", hello);
        client.notify("notifications/initialized", serde_json::json!({}));
        client
    }

    /// Sends a request and answers its result.
    ///
    /// # Panics
    /// It is answered with a protocol error, or not within a minute.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send_request(method, params);
        self.answer(id)
    }

    /// Sends a request without waiting; answers its id.
    ///
    /// # Panics
    /// The server is gone.
    pub fn send_request(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        let id = self.next_id;
        self.send(
            &serde_json::json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}),
        );
        id
    }

    /// Waits for the answer to a request; other messages are dropped.
    ///
    /// # Panics
    /// It is a protocol error, or does not come within a minute.
    pub fn answer(&mut self, id: i64) -> Value {
        loop {
            let line = self
                .lines
                .recv_timeout(ANSWER_WITHIN)
                .expect("the MCP server answers within a minute");
            let message: Value = serde_json::from_str(&line).expect("a JSON message a line");
            if message["id"] == id && message.get("method").is_none() {
                assert!(
                    message.get("error").is_none(),
                    "a protocol error: {message}"
                );
                return message["result"].clone();
            }
        }
    }

    /// Sends a notification.
    ///
    /// # Panics
    /// The server is gone.
    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&serde_json::json!({"jsonrpc": "2.0", "method": method, "params": params}));
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

    fn send(&mut self, message: &Value) {
        let stdin = self.child.stdin.as_mut().expect("stdin is a pipe");
        stdin
            .write_all(format!("{message}\n").as_bytes())
            .expect("the MCP server reads");
    }
}

impl Drop for McpClient {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
