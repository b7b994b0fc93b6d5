//! Which `-c key=value` pairs of a caller are refused.
//!
//! What this program adds comes after the caller's pairs and wins, so most of
//! these refusals are for clarity: a pair that can have no effect, or would
//! take away a guard, is answered with its reason instead of being dropped.

/// Why a `-c` pair is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// It is no `key=value`.
    #[error("the config override {text:?} is not of the form key=value")]
    Form {
        /// The pair.
        text: String,
    },
    /// Its key is one that decides what the worker may do.
    #[error("the config override `{key}` is refused: {reason}")]
    Guarded {
        /// The key, without its value.
        key: String,
        /// Why, and what to use instead.
        reason: &'static str,
    },
}

const SANDBOX: &str = "the sandbox is decided by `sandbox` and the caller's own power";
const APPROVAL: &str = "a worker runs without approvals";
const SUB_AGENTS: &str = "a worker does not start sub-agents";
const PROFILE: &str = "use `profile`";
const ALL_SERVERS: &str = "the whole table cannot be replaced; name one server (`mcp_servers.NAME.…`) or use `mcpServers`";
const CONFINED: &str = "it is none of the keys known to leave the worker's power alone, and a sandboxed caller may set no other; set it in the user's own Codex configuration";

/// Keys of one segment that a sandboxed caller may set.
const HARMLESS: [&str; 15] = [
    "developer_instructions",
    "hide_agent_reasoning",
    "instructions",
    "model",
    "model_auto_compact_token_limit",
    "model_context_window",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "model_verbosity",
    "personality",
    "project_doc_max_bytes",
    "review_model",
    "service_tier",
    "show_raw_agent_reasoning",
    "web_search",
];

/// Settings of one MCP server that a sandboxed caller may set.
const HARMLESS_OF_A_SERVER: [&str; 5] = [
    "disabled_tools",
    "enabled",
    "enabled_tools",
    "startup_timeout_sec",
    "tool_timeout_sec",
];

/// Refuses a `-c` pair that would touch what the worker may do: sandbox,
/// permissions, approvals, sub-agents, profile, or the table of MCP servers as
/// a whole. Single MCP servers are judged when the turn starts, by what
/// `codex mcp list` says with the pair applied.
///
/// # Errors
///
/// [`OverrideError`], naming the key.
pub fn check_override(text: &str) -> Result<(), OverrideError> {
    let (key, segments) = key_of(text)?;
    match guarded(&segments) {
        Some(reason) => Err(OverrideError::Guarded { key, reason }),
        None => Ok(()),
    }
}

/// Refuses, besides what [`check_override`] refuses, every pair that is not
/// known to leave the worker's power alone. It is for a caller who is itself
/// sandboxed: a worker of theirs starts MCP servers, hooks, notifications and
/// credential helpers **outside** the sandbox, and new releases of Codex bring
/// new keys.
///
/// # Errors
///
/// [`OverrideError`], naming the key.
pub fn check_confined_override(text: &str) -> Result<(), OverrideError> {
    check_override(text)?;
    let (key, segments) = key_of(text)?;
    if is_harmless(&segments) {
        return Ok(());
    }
    Err(OverrideError::Guarded {
        key,
        reason: CONFINED,
    })
}

/// Whether a key decides only how the model is asked, what is shown, and which
/// of the user's own servers and their tools are used.
fn is_harmless(segments: &[String]) -> bool {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [key] => HARMLESS.contains(key),
        ["skills", "include_instructions"]
        | ["tools", "web_search_request"]
        | ["tools", "web_search", ..] => true,
        // A key that is split further names another server.
        ["mcp_servers", _, setting] => HARMLESS_OF_A_SERVER.contains(setting),
        _ => false,
    }
}

fn guarded(segments: &[String]) -> Option<&'static str> {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["mcp_servers"] => Some(ALL_SERVERS),
        ["agents", ..] | ["features", "multi_agent" | "multi_agent_v2", ..] => Some(SUB_AGENTS),
        ["profile"] => Some(PROFILE),
        ["permissions" | "default_permissions", ..] => Some(SANDBOX),
        [first, ..] if first.starts_with("sandbox_") => Some(SANDBOX),
        [first, ..] if first.starts_with("approval") => Some(APPROVAL),
        _ => None,
    }
}

/// The key as written and its segments. Quotes and spaces around a segment
/// are taken off, although Codex does not: a key must not pass here because of
/// a spelling that some release may read.
fn key_of(text: &str) -> Result<(String, Vec<String>), OverrideError> {
    let refused = || OverrideError::Form {
        text: text.chars().take(200).collect(),
    };
    let (key, _) = text.split_once('=').ok_or_else(refused)?;
    let key = key.trim();
    let segments: Vec<String> = key
        .split('.')
        .map(|part| part.trim().trim_matches(['"', '\'']).trim().to_owned())
        .collect();
    let odd = key.contains(char::is_control) || text.contains('\0') || key.starts_with('-');
    if odd || segments.iter().any(String::is_empty) {
        return Err(refused());
    }
    Ok((key.to_owned(), segments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guarded_keys_are_refused_by_name() {
        for text in [
            "sandbox_mode=\"danger-full-access\"",
            " sandbox_mode = x",
            "\"sandbox_mode\"=x",
            "sandbox_workspace_write.network_access=true",
            "default_permissions=\"job\"",
            "permissions.job={}",
            "approval_policy=\"on-request\"",
            "approvals_reviewer=x",
            "agents.enabled=true",
            "agents={enabled=true}",
            "features.multi_agent=true",
            "features.multi_agent_v2.enabled=true",
            "features . multi_agent=true",
            "profile=\"x\"",
            "mcp_servers={}",
        ] {
            let error = check_override(text).unwrap_err();
            let OverrideError::Guarded { key, .. } = &error else {
                panic!("{text}: {error}");
            };
            assert!(error.to_string().contains(key.as_str()));
            assert!(!error.to_string().contains("danger-full-access"));
        }
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for text in ["", "model", "=x", "a..b=1", "--oss=1", "a\nb=1", "a=\0"] {
            let error = check_override(text).unwrap_err();
            assert!(matches!(error, OverrideError::Form { .. }), "{text:?}");
        }
    }

    #[test]
    fn other_keys_pass() {
        for text in [
            "model=\"x\"",
            "model_reasoning_effort=high",
            "features.web_search_request=true",
            "mcp_servers.docs.enabled=false",
            "tools.web_search=true",
            "developer_instructions=\"a=b\nc\"",
        ] {
            assert_eq!(check_override(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_sandboxed_caller_may_set_harmless_keys_only() {
        for text in [
            "model=\"x\"",
            " model_reasoning_effort = high",
            "tools.web_search=true",
            "tools.web_search.context_size=\"low\"",
            "skills.include_instructions=false",
            "mcp_servers.x.enabled=false",
            "mcp_servers.x.enabled_tools=[]",
            "mcp_servers.x.tool_timeout_sec=5",
        ] {
            assert_eq!(check_confined_override(text), Ok(()), "{text}");
        }
        for text in [
            "mcp_servers.x.command=\"sh\"",
            "mcp_servers.enabled_tools.command=\"sh\"",
            "mcp_servers.x={command=\"sh\"}",
            "mcp_servers.enabled_tools={command=\"sh\"}",
            "mcp_servers.x.enabled_tools.command=\"sh\"",
            "mcp_servers.\"a.b\".enabled=true",
            "notify=[\"sh\"]",
            "projects.\"/x\".trust_level=\"trusted\"",
            "model.x=1",
            "model_providers.x.auth.command=\"sh\"",
            "features.anything=true",
            "tools={web_search=true}",
            "a_key_of_a_later_release=1",
            "sandbox_mode=\"danger-full-access\"",
        ] {
            let error = check_confined_override(text).unwrap_err();
            let OverrideError::Guarded { key, .. } = &error else {
                panic!("{text}: {error}");
            };
            assert!(error.to_string().contains(key.as_str()));
        }
        let error = check_confined_override("model").unwrap_err();
        assert!(matches!(error, OverrideError::Form { .. }));
    }
}
