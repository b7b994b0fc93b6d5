//! The steps a script is made of: plain data, strict on reading (an unknown key or step name is an error).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One step, written as an object with one key: `{"say": "done"}`, `{"shell": {"cmd": "ls"}}`.
///
/// `say` and the calls are *items*: Codex keeps them in the conversation. One model request plays the steps up to and including
/// the first item that closes the response: a `say`, or a call without `more`. All texts and arguments may hold `${…}` references.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// An assistant message that ends the turn.
    Say(String),
    /// An assistant message that does not end the response: the next step follows in the same one.
    Note(String),
    /// A reasoning item; the next step follows in the same response.
    Think(String),
    /// A shell command (`exec_command`).
    Shell(Shell),
    /// A patch, applied by `apply_patch` in a here-document.
    Patch(Patch),
    /// A call of an MCP tool.
    Mcp(McpCall),
    /// A call of any other function tool.
    Call(FunctionCall),
    /// One call, repeated (one model request each) until its output meets a condition.
    RepeatUntil(RepeatUntil),
    /// Wait so many milliseconds before the answer.
    DelayMs(u64),
    /// The token numbers of the response this step is part of.
    Usage(Usage),
    /// Fault: answer with an HTTP error instead of a stream.
    HttpError(HttpError),
    /// Fault: a stream that ends with `response.failed`.
    ResponseFailed(ResponseFailed),
    /// Fault: a stream that ends before `response.completed`.
    BrokenStream(BrokenStream),
    /// Fault: no answer until the client disconnects, [`crate::ScriptedModel::release_hangs`] is called or the server ends.
    Hang(Hang),
}

/// A shell command.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shell {
    /// What to run; Codex hands it to the user's shell.
    pub cmd: String,
    /// Folder to run it in; Codex's working folder when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// How long Codex waits for the command before it answers with "still running", in milliseconds (Codex clamps it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yield_time_ms: Option<u64>,
    /// Name by which later steps refer to the output.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// True: the next step follows in the same response (parallel calls).
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// A patch in the `apply_patch` format.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// The whole patch, from `*** Begin Patch` to `*** End Patch`. No line may be just `EOF`.
    pub text: String,
    /// Name by which later steps refer to the output.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// True: the next step follows in the same response.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// A call of an MCP tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpCall {
    /// The server's name as configured in Codex; hyphens become underscores in the namespace.
    pub server: String,
    /// The bare tool name.
    pub tool: String,
    /// The arguments; `{}` when left out.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// Name by which later steps refer to the output.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// True: the next step follows in the same response (parallel calls).
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// A call of a function tool by its wire name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionCall {
    /// The function's name, for example `write_stdin`.
    pub function: String,
    /// The namespace that lists it, when it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The arguments; `{}` when left out.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// Name by which later steps refer to the output.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// True: the next step follows in the same response (parallel calls).
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// One call repeated until its last output meets a condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepeatUntil {
    /// A `shell`, `patch`, `mcp` or `call` step without `more`.
    pub call: Box<Step>,
    /// When to go on with the next step.
    pub until: Until,
    /// Give up (HTTP 400, a failed turn) after so many calls.
    #[serde(default = "default_max")]
    pub max: u32,
    /// Wait so many milliseconds before each call but the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub every_ms: u64,
}

/// A condition on a tool output: exactly one of `not_null` and `equals`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// Dotted path into the output; empty for the output itself. A path that is not there counts as null.
    #[serde(default)]
    pub path: String,
    /// `true`: the value is there and not null; `false`: it is null or missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_null: Option<bool>,
    /// The value equals this one (which may hold `${…}` references).
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub equals: Option<Value>,
}

/// Token numbers as they come back in `turn.completed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input_tokens: u64,
    /// The cached part of the input tokens.
    pub cached_input_tokens: u64,
    /// All output tokens, reasoning included.
    pub output_tokens: u64,
    /// The reasoning part of the output tokens.
    pub reasoning_output_tokens: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            input_tokens: 100,
            cached_input_tokens: 0,
            output_tokens: 10,
            reasoning_output_tokens: 0,
        }
    }
}

/// How long a fault counts as served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultScope {
    /// Once per Codex thread: a new thread with the same script meets it again.
    #[default]
    Thread,
    /// Once per server: a second attempt in a new thread gets past it.
    Server,
}

/// An HTTP error answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpError {
    /// Status code, 400–599.
    pub status: u16,
    /// The body: a string is sent as it is, anything else as JSON. Left out: an OpenAI-shaped error naming the status.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub body: Option<Value>,
    /// `Retry-After` in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Further headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whether it comes once per thread or once per server.
    #[serde(default)]
    pub once_per: FaultScope,
}

/// A stream that ends with `response.failed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseFailed {
    /// Error code, for example `context_length_exceeded`, `insufficient_quota`, `rate_limit_exceeded`, `server_is_overloaded`.
    pub code: String,
    /// Error message.
    pub message: String,
    /// Whether it comes once per thread or once per server.
    #[serde(default)]
    pub once_per: FaultScope,
}

/// A stream that ends early: the items before it (`think`, `note`, calls with `more`) are sent, `response.completed` is not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenStream {
    /// True: the HTTP body ends properly; false: the connection breaks in the middle of it.
    #[serde(default)]
    pub clean: bool,
    /// Whether it comes once per thread or once per server.
    #[serde(default)]
    pub once_per: FaultScope,
}

/// No answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hang {
    /// True: the response headers and `response.created` are sent first.
    #[serde(default)]
    pub mid_stream: bool,
    /// Whether it comes once per thread or once per server.
    #[serde(default)]
    pub once_per: FaultScope,
}

impl Step {
    /// An assistant message that ends the turn.
    pub fn say(text: impl Into<String>) -> Self {
        Self::Say(text.into())
    }

    /// A shell command.
    pub fn shell(cmd: impl Into<String>) -> Self {
        Self::Shell(Shell {
            cmd: cmd.into(),
            ..Shell::default()
        })
    }

    /// A patch.
    pub fn patch(text: impl Into<String>) -> Self {
        Self::Patch(Patch {
            text: text.into(),
            ..Patch::default()
        })
    }

    /// A patch that adds one file.
    pub fn add_file(path: &str, content: &str) -> Self {
        let lines: String = content.lines().map(|line| format!("+{line}\n")).collect();
        Self::patch(format!(
            "*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch"
        ))
    }

    /// A call of an MCP tool. `arguments` must be a JSON object; anything else is sent as `{}`.
    pub fn mcp(server: impl Into<String>, tool: impl Into<String>, arguments: Value) -> Self {
        let arguments = if let Value::Object(map) = arguments {
            map
        } else {
            Map::new()
        };
        Self::Mcp(McpCall {
            server: server.into(),
            tool: tool.into(),
            arguments,
            ..McpCall::default()
        })
    }

    /// The same call with a name for its output; steps that are no calls stay as they are.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if let Some(slot) = self.name_slot() {
            *slot = Some(name.into());
        }
        self
    }

    /// Repeat this call until `path` in its output is not null, at most `max` times.
    #[must_use]
    pub fn until_not_null(self, path: impl Into<String>, max: u32) -> Self {
        let until = Until {
            path: path.into(),
            not_null: Some(true),
            equals: None,
        };
        Self::RepeatUntil(RepeatUntil {
            call: Box::new(self),
            until,
            max,
            every_ms: 0,
        })
    }

    /// Repeat this call until `path` in its output equals `value`, at most `max` times.
    #[must_use]
    pub fn until_equals(self, path: impl Into<String>, value: impl Into<Value>, max: u32) -> Self {
        let until = Until {
            path: path.into(),
            not_null: None,
            equals: Some(value.into()),
        };
        Self::RepeatUntil(RepeatUntil {
            call: Box::new(self),
            until,
            max,
            every_ms: 0,
        })
    }

    /// An HTTP error with an OpenAI-shaped body.
    pub fn http_error(status: u16, error_type: &str, message: &str) -> Self {
        let body = json!({"error": {"type": error_type, "code": error_type, "message": message}});
        Self::HttpError(HttpError {
            status,
            body: Some(body),
            ..HttpError::default()
        })
    }

    /// No answer until the client is gone.
    pub fn hang() -> Self {
        Self::Hang(Hang::default())
    }

    /// The name under which the output of this call can be referred to.
    pub(crate) fn output_name(&self) -> Option<&str> {
        match self {
            Self::Shell(step) => step.name.as_deref(),
            Self::Patch(step) => step.name.as_deref(),
            Self::Mcp(step) => step.name.as_deref(),
            Self::Call(step) => step.name.as_deref(),
            Self::RepeatUntil(step) => step.call.output_name(),
            _ => None,
        }
    }

    /// True for the four kinds of calls.
    pub(crate) fn is_call(&self) -> bool {
        matches!(
            self,
            Self::Shell(_) | Self::Patch(_) | Self::Mcp(_) | Self::Call(_)
        )
    }

    /// True when the next step follows in the same response.
    pub(crate) fn goes_on(&self) -> bool {
        match self {
            Self::Shell(step) => step.more,
            Self::Patch(step) => step.more,
            Self::Mcp(step) => step.more,
            Self::Call(step) => step.more,
            Self::Say(_) | Self::RepeatUntil(_) => false,
            _ => true,
        }
    }

    /// The step's name in a script, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Say(_) => "say",
            Self::Note(_) => "note",
            Self::Think(_) => "think",
            Self::Shell(_) => "shell",
            Self::Patch(_) => "patch",
            Self::Mcp(_) => "mcp",
            Self::Call(_) => "call",
            Self::RepeatUntil(_) => "repeat_until",
            Self::DelayMs(_) => "delay_ms",
            Self::Usage(_) => "usage",
            Self::HttpError(_) => "http_error",
            Self::ResponseFailed(_) => "response_failed",
            Self::BrokenStream(_) => "broken_stream",
            Self::Hang(_) => "hang",
        }
    }

    /// The scope of a fault; `None` for every other step.
    pub(crate) fn fault_scope(&self) -> Option<FaultScope> {
        match self {
            Self::HttpError(fault) => Some(fault.once_per),
            Self::ResponseFailed(fault) => Some(fault.once_per),
            Self::BrokenStream(fault) => Some(fault.once_per),
            Self::Hang(fault) => Some(fault.once_per),
            _ => None,
        }
    }

    fn name_slot(&mut self) -> Option<&mut Option<String>> {
        match self {
            Self::Shell(step) => Some(&mut step.name),
            Self::Patch(step) => Some(&mut step.name),
            Self::Mcp(step) => Some(&mut step.name),
            Self::Call(step) => Some(&mut step.name),
            Self::RepeatUntil(step) => step.call.name_slot(),
            _ => None,
        }
    }
}

/// Keeps an explicit `null` apart from a missing key.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn default_max() -> u32 {
    100
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde calls"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde calls"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
