//! Who makes a call, from what its client says with it.
//!
//! Codex sends with every call `threadId`, `callId` and
//! `x-codex-turn-metadata`, an object whose `sandbox_mode` is spelled as on its
//! command line. Claude Code sends `claudecode/toolUseId`.

use std::time::Duration;

use convoke_api::{
    caller::Caller,
    error::{ApiError, RequestCode},
    values::Sandbox,
};
use rmcp::{RoleServer, service::RequestContext};
use serde_json::{Map, Value};

use crate::server::ServerConfig;

const MAX_JOBS: &str = "CODEX_MCP_MAX_JOBS";
const DEFAULT_SANDBOX: &str = "CODEX_MCP_DEFAULT_SANDBOX";

/// Longest wait of one call, by client; each stays below the client's own
/// time-out.
const WAIT_UNKNOWN: Duration = Duration::from_secs(50);
const WAIT_CODEX: Duration = Duration::from_secs(110);
const WAIT_CLAUDE: Duration = Duration::from_secs(240);

/// Who asks, for a request that starts a job.
///
/// # Errors
/// `config_invalid` when a variable of the server's environment is wrong.
pub(crate) fn of_spawn(
    config: &ServerConfig,
    context: &RequestContext<RoleServer>,
) -> Result<Caller, ApiError> {
    let mut caller = of_call(config, context);
    caller.max_jobs = max_jobs(config)?;
    caller.default_sandbox = default_sandbox(config)?;
    Ok(caller)
}

/// Who asks.
pub(crate) fn of_call(config: &ServerConfig, context: &RequestContext<RoleServer>) -> Caller {
    let client = context.client_info();
    let said = Said::of(&context.meta);
    Caller {
        client: client
            .as_ref()
            .map_or_else(|| "mcp".to_owned(), |info| info.name.clone()),
        client_version: client.map(|info| info.version),
        thread: said.thread,
        call: said.call,
        sandbox: said.sandbox,
        folder: config.folder.display().to_string(),
        environment: config.environment.clone(),
        max_jobs: None,
        default_sandbox: None,
    }
}

/// The owner's name, as the daemon shows it with each job.
pub(crate) fn owner(caller: &Caller) -> String {
    match &caller.thread {
        Some(thread) => format!("thread:{thread}"),
        None => format!("client:{}:{}", caller.client, caller.folder),
    }
}

/// How long one call may wait for this client.
pub(crate) fn longest_wait(
    config: &ServerConfig,
    context: &RequestContext<RoleServer>,
) -> Duration {
    let name = context
        .client_info()
        .map(|info| info.name.to_lowercase())
        .unwrap_or_default();
    match config.max_wait {
        Some(limit) => limit,
        None if name.contains("codex") => WAIT_CODEX,
        None if name.contains("claude") => WAIT_CLAUDE,
        None => WAIT_UNKNOWN,
    }
}

/// What the metadata of a call says.
#[derive(Debug, Default, PartialEq)]
struct Said {
    thread: Option<String>,
    call: Option<String>,
    sandbox: Option<Sandbox>,
}

impl Said {
    fn of(meta: &Map<String, Value>) -> Self {
        let text = |from: &Map<String, Value>, key: &str| {
            from.get(key)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let turn = turn_metadata(meta);
        let thread = text(meta, "threadId").or_else(|| text(&turn, "thread_id"));
        // Models may number their calls anew in each turn.
        let call = text(meta, "callId").map(|call| match text(&turn, "turn_id") {
            Some(turn) => format!("{turn}/{call}"),
            None => call,
        });
        Self {
            thread,
            call: call.or_else(|| text(meta, "claudecode/toolUseId")),
            sandbox: text(&turn, "sandbox_mode").map(|mode| sandbox(&mode)),
        }
    }
}

/// Codex's facts of the turn: an object, in a text for some versions.
fn turn_metadata(meta: &Map<String, Value>) -> Map<String, Value> {
    match meta.get("x-codex-turn-metadata") {
        Some(Value::Object(turn)) => turn.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Map::new(),
    }
}

/// A sandbox by any spelling; one that is not known gives no power.
fn sandbox(mode: &str) -> Sandbox {
    match mode.to_lowercase().replace(['_', ' '], "-").as_str() {
        "danger-full-access" | "dangerfullaccess" => Sandbox::DangerFullAccess,
        "workspace-write" | "workspacewrite" => Sandbox::WorkspaceWrite,
        _ => Sandbox::ReadOnly,
    }
}

fn max_jobs(config: &ServerConfig) -> Result<Option<u32>, ApiError> {
    let Some(text) = set(config, MAX_JOBS) else {
        return Ok(None);
    };
    match text.parse::<u32>() {
        Ok(count) if count > 0 => Ok(Some(count)),
        _ => Err(wrong(MAX_JOBS, text, "a whole number from 1 on")),
    }
}

fn default_sandbox(config: &ServerConfig) -> Result<Option<Sandbox>, ApiError> {
    let Some(text) = set(config, DEFAULT_SANDBOX) else {
        return Ok(None);
    };
    match serde_json::from_value(Value::from(text)) {
        Ok(sandbox) => Ok(Some(sandbox)),
        Err(_) => Err(wrong(
            DEFAULT_SANDBOX,
            text,
            "read-only, workspace-write or danger-full-access",
        )),
    }
}

/// An empty variable counts as not set.
fn set<'a>(config: &'a ServerConfig, name: &str) -> Option<&'a str> {
    config
        .environment
        .get(name)
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
}

fn wrong(name: &str, text: &str, allowed: &str) -> ApiError {
    ApiError::new(
        RequestCode::ConfigInvalid,
        format!("{name} is {text:?}; it may be {allowed}"),
    )
    .with_hint(format!(
        "correct {name} in the MCP server's registration and start a new session"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(meta: Value) -> Said {
        Said::of(meta.as_object().expect("an object"))
    }

    #[test]
    fn codex_says_thread_call_and_sandbox() {
        let turn = json!({"thread_id": "T", "turn_id": "U", "sandbox": "seccomp", "sandbox_mode": "workspace-write"});
        let expected = || Said {
            thread: Some("T".into()),
            call: Some("U/call_1".into()),
            sandbox: Some(Sandbox::WorkspaceWrite),
        };
        assert_eq!(
            said(json!({"threadId": "T", "callId": "call_1", "x-codex-turn-metadata": turn})),
            expected()
        );
        assert_eq!(
            said(json!({"callId": "call_1", "x-codex-turn-metadata": turn.to_string()})),
            expected()
        );
    }

    #[test]
    fn claude_says_the_call() {
        let claude = said(json!({"claudecode/toolUseId": "toolu_1"}));
        assert_eq!(claude.call.as_deref(), Some("toolu_1"));
        assert_eq!((claude.thread, claude.sandbox), (None, None));
    }

    #[test]
    fn an_unknown_sandbox_gives_no_power() {
        assert_eq!(sandbox("external-sandbox"), Sandbox::ReadOnly);
        assert_eq!(sandbox("DangerFullAccess"), Sandbox::DangerFullAccess);
    }
}
