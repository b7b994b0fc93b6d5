//! Starting jobs: `POST /v1/jobs`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    caller::Caller,
    changes::WorkspaceKind,
    coordination::Coordination,
    error::ApiError,
    job::JobView,
    values::{Access, ReasoningEffort, Sandbox},
};

/// Body of `POST /v1/jobs`: one or more jobs, accepted in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpawnRequest {
    /// Who asks.
    pub caller: Caller,
    /// The jobs, in order.
    pub jobs: Vec<JobRequest>,
    /// The same key with the same arguments answers with the same jobs for
    /// 24 hours; with other arguments it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// One job to start. Give exactly one of `prompt`, `review` and `argv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JobRequest {
    /// What the agent is to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A code review by the agent instead of a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewRequest>,
    /// A program and its arguments instead of an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// Your name for the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Model; the agent's own default if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard the model thinks; the agent's own default if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// What the agent may write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// Old spelling of `sandbox: "workspace-write"`; `sandbox` wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_auto: Option<bool>,
    /// Whether the job counts as reader or writer of its tree; by default a
    /// read-only sandbox makes a reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Folder the agent starts in; the caller's own if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Codex profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// `key=value` settings for the agent, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config_overrides: Vec<String>,
    /// Further folders the agent may write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add_dirs: Vec<String>,
    /// Where the job works; `workspace.kind` of the configuration if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceKind>,
    /// What the job expects of a tree that it shares and writes in;
    /// `workspace.coordination` of the configuration if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordination: Option<Coordination>,
    /// The folders the job is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Which of the user's MCP servers the agent gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_servers: Option<McpServers>,
    /// Whether the user's skills are offered to the agent (default true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_skills: Option<bool>,
    /// JSON Schema the last message must satisfy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<serde_json::Value>,
    /// Running time, milliseconds; 0 means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Time without output, milliseconds; 0 means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// Time to the first output, milliseconds; 0 means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_event_timeout_ms: Option<u64>,
    /// Bytes of output; 0 means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_limit_bytes: Option<u64>,
    /// Attempts in all: one that fails because of the network, the provider or
    /// a lost runner is repeated in the same conversation. 1 repeats nothing;
    /// programs are never repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Variables set for the agent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Jobs that must complete first (ids, or labels of the same request);
    /// their results are handed down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Greater starts earlier; 0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// A conversation of yours: created on first use, continued later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Start the session over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_session: Option<bool>,
}

/// The folders a job is about, relative to its working folder or absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scope {
    /// The job may write below these only; they lie in its working folder. Jobs of
    /// which one would write where another one does run one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// What the job reads; the agent is told, and nothing is kept from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
}

/// Which MCP servers a worker gets: `"inherit"`, `"none"` or a list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpServers {
    /// All the user has enabled.
    Inherit,
    /// None.
    None,
    /// Only these.
    Only(Vec<String>),
}

impl Serialize for McpServers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inherit => serializer.serialize_str("inherit"),
            Self::None => serializer.serialize_str("none"),
            Self::Only(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for McpServers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match &value {
            serde_json::Value::String(word) if word == "inherit" => Ok(Self::Inherit),
            serde_json::Value::String(word) if word == "none" => Ok(Self::None),
            serde_json::Value::Array(_) => serde_json::from_value(value)
                .map(Self::Only)
                .map_err(serde::de::Error::custom),
            _ => Err(serde::de::Error::custom(
                "mcpServers is \"inherit\", \"none\" or a list of names",
            )),
        }
    }
}

impl JsonSchema for McpServers {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "McpServers".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                {"type": "string", "enum": ["inherit", "none"]},
                {"type": "array", "items": {"type": "string"}}
            ]
        })
    }
}

/// What a review looks at: exactly one of `uncommitted`, `base`, `commit` and
/// `prompt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReviewRequest {
    /// Instructions of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Staged, unstaged and untracked changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncommitted: Option<bool>,
    /// Changes against this branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Changes of this commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Title of the commit, shown in the summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Answer to `POST /v1/jobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpawnResponse {
    /// One per job asked for, in the same order.
    pub results: Vec<SpawnResult>,
}

/// What came of one job asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpawnResult {
    /// The job, if it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobView>,
    /// Whether the job existed already, by its idempotency key.
    #[serde(default)]
    pub existed: bool,
    /// Notices, such as a default that was narrowed to the caller's power.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// Why it was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
}
