//! Who makes a request, as the client process tells it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::Sandbox;

/// What a client says of itself. The daemon trusts none of it beyond what the
/// peer's user id allows: it only ever narrows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Caller {
    /// `cli`, or `clientInfo.name` of the MCP handshake.
    pub client: String,
    /// Version of that client.
    pub client_version: Option<String>,
    /// The conversation the call comes from (Codex `threadId`).
    pub thread: Option<String>,
    /// Name of this one call (Codex `callId`, Claude `toolUseId`): guards
    /// against a client's own repetition.
    pub call: Option<String>,
    /// The caller's own sandbox; a job gets no more.
    pub sandbox: Option<Sandbox>,
    /// Absolute working folder of the client process.
    pub folder: String,
    /// The client's environment; the daemon takes from it what `env.pass`
    /// names.
    pub environment: BTreeMap<String, String>,
    /// At most so many running jobs for this owner (`CODEX_MCP_MAX_JOBS`).
    pub max_jobs: Option<u32>,
    /// Sandbox of jobs that ask for none (`CODEX_MCP_DEFAULT_SANDBOX`).
    pub default_sandbox: Option<Sandbox>,
}
