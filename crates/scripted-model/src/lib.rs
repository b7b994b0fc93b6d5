//! A Responses endpoint that plays a script: for the demo, the drill and the tests.
//!
//! Real Codex talks to it as it talks to OpenAI's Responses API (server-sent events), but the "model" follows a [`Script`].
//! Start it with [`ScriptedModel::start`] (async) or [`ScriptedModel::start_blocking`], write [`codex_config`] into the
//! `config.toml` of a `CODEX_HOME`, run `codex exec`, then look at [`ScriptedModel::requests`].
//!
//! A script comes from one of two places:
//! - **In the prompt**: a line `SCRIPT: [steps…]` ([`Script::prompt_line`] writes one). One server without any registration
//!   serves every job. The latest user message with such a line governs what follows it.
//! - **Keyed**: [`Conversation`]s whose `match` occurs in the first prompt of the thread.
//!
//! The position in a script is read from the conversation that Codex sends, not from server state: every assistant message and
//! every function call in `input` is one played step. So `exec resume`, a killed and restarted Codex and a restarted server all
//! go on at the right step. Only *faults* (`http_error`, `response_failed`, `broken_stream`, `hang`) leave no trace in a
//! conversation; the server remembers which of them it served (per thread, by the `thread-id` header, or per server).
//!
//! ```json
//! [{"mcp": {"server": "convoke", "tool": "codex_spawn", "arguments": {"prompt": "…"}, "as": "job"}},
//!  {"repeat_until": {"call": {"mcp": {"server": "convoke", "tool": "codex_wait_any",
//!                    "arguments": {"jobIds": ["${job.jobId}"], "timeoutMs": 1000}, "as": "wait"}},
//!                    "until": {"path": "completedJobId", "not_null": true}, "max": 60}},
//!  {"say": "finished: ${wait.completedJobId}"}]
//! ```
//!
//! `script` holds the step types, `template` the `${…}` references, `conversation` reads what Codex sent, `next_reply` decides
//! what comes next, `responses` encodes it, `server` serves it.

mod codex_config;
mod conversation;
mod next_reply;
mod recorded;
mod responses;
mod script;
mod server;
mod steps;
mod template;

pub use codex_config::{MODEL_NAME, PROVIDER_NAME, codex_config, codex_config_overrides};
pub use recorded::{RecordedRequest, WaitTimedOut};
pub use script::{Conversation, Script, ScriptError};
pub use server::ScriptedModel;
pub use steps::{
    BrokenStream, FaultScope, FunctionCall, Hang, HttpError, McpCall, Patch, RepeatUntil,
    ResponseFailed, Shell, Step, Until, Usage,
};
