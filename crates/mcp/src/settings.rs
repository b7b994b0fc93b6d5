//! The settings of a job that every tool which starts one understands.

use std::{collections::BTreeMap, path::Path};

use convoke_api::{
    changes::WorkspaceKind,
    coordination::Coordination,
    error::ApiError,
    spawn::{JobRequest, McpServers, Scope},
    values::{Access, ReasoningEffort, Sandbox},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::arguments;

/// What distinguishes one job of a call from the others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Own {
    /// What the agent is to do. It sees only this and the working folder, so say all it needs.
    prompt: String,
    /// Your name for the job, shown in listings.
    label: Option<String>,
    /// Jobs that must complete first: ids, or labels of the same call. Their results are handed to this job.
    needs: Option<Vec<String>>,
}

/// Settings that `defaults` of a group may give for all its jobs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Settings {
    /// Model; Codex's own default if left out.
    model: Option<String>,
    /// How hard the model thinks; Codex's own default if left out.
    reasoning_effort: Option<ReasoningEffort>,
    /// What the agent may write: nothing, the working folder and the temp folders, or everything. Default workspace-write; never more than the caller has itself.
    sandbox: Option<Sandbox>,
    /// Old spelling of sandbox workspace-write; `sandbox` wins.
    full_auto: Option<bool>,
    /// Folder the agent starts in; this session's folder if left out.
    working_directory: Option<String>,
    /// Whether the job counts as reader or as writer of its folder; by default a read-only sandbox makes a reader.
    access: Option<Access>,
    /// Codex profile.
    profile: Option<String>,
    /// Settings for Codex as key=value, in order.
    config_overrides: Option<Vec<String>>,
    /// Further folders the agent may write.
    add_dirs: Option<Vec<String>>,
    /// Where it works: shared, in the working folder as it is (default), worktree, in a copy of its own that begins with what the folder holds now, or overlay (Linux), in the working folder with what it writes in a layer of its own; codex_apply brings its changes back.
    workspace: Option<WorkspaceKind>,
    /// dirty (default): the folder may hold changes, collisions are told. strict: refused unless the git work tree is clean; strict jobs that change the same files are taken back and run again one after the other.
    coordination: Option<Coordination>,
    /// Folders the job is about: it may write below `write` only (they lie in its working folder; jobs that would write in the same ones run one after the other), and is told of `read`.
    scope: Option<Scope>,
    /// MCP servers the agent gets: inherit (all the user has), none, or a list of names.
    mcp_servers: Option<McpServers>,
    /// Whether the user's skills are offered to the agent; default true.
    host_skills: Option<bool>,
    /// JSON Schema that the last message must satisfy.
    #[schemars(with = "Option<BTreeMap<String, Value>>")]
    output_schema: Option<Value>,
    /// Longest running time, milliseconds; 0 means no limit.
    timeout_ms: Option<u64>,
    /// Longest time without output, milliseconds; 0 means no limit.
    idle_timeout_ms: Option<u64>,
    /// Attempts in all, 1 for no repetition: one that fails because of network, provider or a lost runner is repeated in the same conversation. Default 4.
    max_attempts: Option<u32>,
    /// Variables set for the agent.
    env: Option<BTreeMap<String, String>>,
}

/// The job that checked arguments ask for; folders are taken from `folder`.
///
/// # Errors
/// `invalid_argument`.
pub(crate) fn job(arguments: &Map<String, Value>, folder: &Path) -> Result<JobRequest, ApiError> {
    let own: Own = arguments::read(arguments)?;
    let mut request = arguments::read::<Settings>(arguments)?.request(folder);
    request.prompt = Some(own.prompt);
    request.label = own.label;
    request.needs = own.needs.unwrap_or_default();
    Ok(request)
}

/// A job's arguments with what `defaults` says for all. The job's own word
/// wins, and its `fullAuto` counts as its word on the sandbox.
pub(crate) fn with_defaults(
    job: &Map<String, Value>,
    defaults: &Map<String, Value>,
) -> Map<String, Value> {
    let mut merged = job.clone();
    for (name, value) in defaults {
        let own_word = name == "sandbox" && job.get("fullAuto") == Some(&Value::Bool(true));
        if !own_word {
            merged.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    merged
}

/// A path as this server's folder sees it.
pub(crate) fn absolute(path: &str, folder: &Path) -> String {
    folder.join(path).display().to_string()
}

impl Settings {
    fn request(self, folder: &Path) -> JobRequest {
        let add_dirs = self.add_dirs.unwrap_or_default();
        JobRequest {
            model: self.model,
            reasoning_effort: self.reasoning_effort,
            sandbox: self.sandbox,
            full_auto: self.full_auto,
            access: self.access,
            working_directory: self.working_directory.map(|path| absolute(&path, folder)),
            profile: self.profile,
            config_overrides: self.config_overrides.unwrap_or_default(),
            add_dirs: add_dirs.iter().map(|path| absolute(path, folder)).collect(),
            workspace: self.workspace,
            coordination: self.coordination,
            scope: self.scope,
            mcp_servers: self.mcp_servers,
            host_skills: self.host_skills,
            output_schema: self.output_schema,
            timeout_ms: self.timeout_ms,
            idle_timeout_ms: self.idle_timeout_ms,
            max_attempts: self.max_attempts,
            env: self.env.unwrap_or_default(),
            ..JobRequest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn the_jobs_own_word_wins() {
        let defaults = map(json!({"sandbox": "read-only", "model": "m", "env": {"A": "1"}}));
        let merged = with_defaults(&map(json!({"prompt": "p", "model": "n"})), &defaults);
        let request = job(&merged, Path::new("/w")).expect("fits");
        assert_eq!(request.model.as_deref(), Some("n"));
        assert_eq!(request.sandbox, Some(Sandbox::ReadOnly));
        assert_eq!(request.env["A"], "1");
        let merged = with_defaults(&map(json!({"prompt": "p", "fullAuto": true})), &defaults);
        assert_eq!(job(&merged, Path::new("/w")).expect("fits").sandbox, None);
    }

    #[test]
    fn folders_are_taken_from_the_servers() {
        let arguments =
            map(json!({"prompt": "p", "workingDirectory": "sub", "addDirs": ["/abs", "x"]}));
        let request = job(&arguments, Path::new("/w")).expect("fits");
        assert_eq!(request.working_directory.as_deref(), Some("/w/sub"));
        assert_eq!(request.add_dirs, ["/abs", "/w/x"]);
    }
}
