//! How a turn of `codex exec` is started.
//!
//! Every option stands before `resume` or `review`: both take fewer of their
//! own, and Codex applies those of `exec` to them. The prompt goes in by stdin,
//! because as an argument it could look like an option or be too long.

use std::path::Path;

use convoke_core::{
    sandbox::Sandbox,
    scope::Scope,
    spec::{AgentTask, AgentWork, ReviewTarget},
};

use super::{
    overrides::{OverrideError, check_override},
    probe::{Capabilities, Registration},
    prompt::{self, NeededResult, compose},
    recursion_guard::{Guards, guards, toml_string},
};
use crate::driver::{Interrupt, Launch};

/// The reasoning efforts Codex knows.
pub const REASONING_EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];

/// How the lines begin by which Codex says that it tries to reach its provider
/// again: about one a minute, without end.
const WAITING: &str = r#"{"type":"error","message":"Reconnecting"#;

/// What a turn is started from.
#[derive(Clone, Copy, Debug)]
pub struct LaunchRequest<'a> {
    /// The program, absolute.
    pub program: &'a Path,
    /// What it can do.
    pub capabilities: &'a Capabilities,
    /// The work.
    pub work: &'a AgentWork,
    /// What the agent may write.
    pub sandbox: Sandbox,
    /// The folders it is about, within the working folder.
    pub scope: Option<&'a Scope>,
    /// The folder it starts in, absolute.
    pub working_directory: &'a Path,
    /// The conversation to continue, as Codex names it (a UUID). What
    /// `work.resume` says must be resolved before.
    pub thread: Option<&'a str>,
    /// The prompt of a conversation that should have been continued but never
    /// came to be; given before this one's.
    pub earlier_prompt: Option<&'a str>,
    /// File that holds `work.output_schema`.
    pub output_schema: Option<&'a Path>,
    /// Whether Codex is to refuse a folder that is in no git repository.
    pub needs_repository: bool,
    /// The MCP servers the turn would get, with those of this program marked.
    pub registrations: &'a [Registration],
    /// What the needed jobs came to. A review other than one with a prompt
    /// has no place for them, and they are left out.
    pub results: &'a [NeededResult],
}

/// Why a turn cannot be started as asked.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A path cannot stand on a command line.
    #[error("the {what} {path:?} is not valid UTF-8")]
    Path {
        /// What the path is.
        what: &'static str,
        /// The path, as far as it can be shown.
        path: String,
    },
    /// A value cannot stand on a command line.
    #[error("the {what} {value:?} is empty, begins with `-` or contains control characters")]
    Value {
        /// What the value is.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// Not a reasoning effort.
    #[error("`{0}` is not a reasoning effort (one of none, minimal, low, medium, high, xhigh)")]
    ReasoningEffort(String),
    /// A config override is refused.
    #[error("a config override cannot be passed on")]
    Override(#[source] OverrideError),
    /// Codex starts afresh, without a word, for a name it does not know.
    #[error("`{0}` is not a Codex thread id (a UUID)")]
    Thread(String),
    /// A review has no conversation.
    #[error("a review cannot continue a conversation")]
    ReviewResume,
    /// A folder of the scope lies where the sandbox does not reach.
    #[error("the folder {0} of the scope does not lie in the working folder")]
    Scope(String),
    /// The job asks for an MCP server that is not there.
    #[error("the MCP server `{0}` is not registered with Codex")]
    UnknownServer(String),
}

/// Checks a reasoning effort.
///
/// # Errors
///
/// [`LaunchError::ReasoningEffort`].
pub fn check_reasoning_effort(effort: &str) -> Result<(), LaunchError> {
    if REASONING_EFFORTS.contains(&effort) {
        Ok(())
    } else {
        Err(LaunchError::ReasoningEffort(effort.to_owned()))
    }
}

/// The command line and stdin of a turn.
///
/// # Errors
///
/// [`LaunchError`], when the request cannot be put on a command line safely.
pub fn launch(request: &LaunchRequest<'_>) -> Result<Launch, LaunchError> {
    let mut line = Line::default();
    line.push([path("program", request.program)?, "exec"]);
    line.push(["--json", "--color", "never"]);
    if !request.needs_repository {
        line.push(["--skip-git-repo-check"]);
    }
    let profile = permission_profile(request)?;
    if profile.is_none() {
        line.push(["-s", request.sandbox.as_str()]);
    }
    line.push(["-C", path("working folder", request.working_directory)?]);
    options(&mut line, request)?;
    config(&mut line, request)?;
    if let Some(filesystem) = profile {
        line.config(&format!("default_permissions={}", toml_string(PROFILE)));
        line.config(&format!(
            "permissions.{PROFILE}={{filesystem={filesystem}}}"
        ));
    }
    let stdin = task(&mut line, request)?;
    Ok(Launch {
        argv: line.0,
        stdin,
        interrupt: Interrupt::Int,
        waiting: vec![WAITING.to_owned()],
    })
}

/// Arguments, as they are gathered.
#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn push<'a>(&mut self, arguments: impl IntoIterator<Item = &'a str>) {
        self.0.extend(arguments.into_iter().map(str::to_owned));
    }

    fn config(&mut self, pair: &str) {
        self.push(["-c", pair]);
    }
}

fn options(line: &mut Line, request: &LaunchRequest<'_>) -> Result<(), LaunchError> {
    let work = request.work;
    if let Some(profile) = &work.profile {
        line.push(["-p", value("profile", profile)?]);
    }
    for folder in &work.add_dirs {
        line.push(["--add-dir", path("added folder", folder)?]);
    }
    if let Some(file) = request.output_schema {
        line.push(["--output-schema", path("output schema", file)?]);
    }
    if let Some(model) = &work.model {
        line.push(["-m", value("model", model)?]);
    }
    Ok(())
}

/// The `-c` pairs: overrides, then effort, then what must win.
fn config(line: &mut Line, request: &LaunchRequest<'_>) -> Result<(), LaunchError> {
    let work = request.work;
    if let convoke_core::spec::McpServers::Only(names) = &work.mcp_servers {
        let known = |name: &&String| !request.registrations.iter().any(|r| r.name == **name);
        if let Some(unknown) = names.iter().find(known) {
            return Err(LaunchError::UnknownServer(unknown.clone()));
        }
    }
    let Guards {
        before_overrides,
        after_overrides,
    } = guards(
        request.registrations,
        &work.mcp_servers,
        request.capabilities,
    );
    before_overrides.iter().for_each(|pair| line.config(pair));
    for pair in &work.config_overrides {
        check_override(pair).map_err(LaunchError::Override)?;
        line.config(pair);
    }
    if let Some(effort) = &work.reasoning_effort {
        check_reasoning_effort(effort)?;
        line.config(&format!("model_reasoning_effort={}", toml_string(effort)));
    }
    if !work.host_skills {
        let pairs = &request.capabilities.host_skills_off;
        pairs.iter().for_each(|pair| line.config(pair));
    }
    after_overrides.iter().for_each(|pair| line.config(pair));
    Ok(())
}

/// Name of the permission profile that a scope becomes. The user's own settings of a
/// profile of this name would be part of it.
const PROFILE: &str = "convoke_scope";

/// The files that a job with a scope may write, in the form of a permission
/// profile; none where the scope says no more than the sandbox.
///
/// The temp folders stay writable, because compilers and test runners need them;
/// without a word on `.` a working folder that lies in one would be writable as a
/// whole.
fn permission_profile(request: &LaunchRequest<'_>) -> Result<Option<String>, LaunchError> {
    let scope = request.scope.filter(|scope| !scope.write.is_empty());
    let Some(scope) = scope.filter(|_| request.sandbox == Sandbox::WorkspaceWrite) else {
        return Ok(None);
    };
    let mut folders = String::from("\".\"=\"read\"");
    for folder in &scope.write {
        let relative = folder
            .strip_prefix(request.working_directory)
            .map_err(|_| LaunchError::Scope(folder.display().to_string()))?;
        if relative.as_os_str().is_empty() {
            return Ok(None);
        }
        let relative = toml_string(path("folder of the scope", relative)?);
        folders.push_str(&format!(",{relative}=\"write\""));
    }
    Ok(Some(format!(
        "{{\":root\"=\"read\",\":tmpdir\"=\"write\",\":slash_tmp\"=\"write\",\":workspace_roots\"={{{folders}}}}}"
    )))
}

/// The subcommand and its arguments; the answer is the text for stdin.
fn task(line: &mut Line, request: &LaunchRequest<'_>) -> Result<String, LaunchError> {
    let text = |prompt: &str| {
        let mut text = compose(request.results, request.earlier_prompt, prompt);
        if let Some(scope) = request.scope {
            text.push_str(&prompt::scope_note(scope, request.working_directory));
        }
        text
    };
    match &request.work.task {
        AgentTask::Prompt { prompt } => {
            if let Some(thread) = request.thread {
                line.push(["resume", uuid(thread)?]);
            }
            line.push(["-"]);
            Ok(text(prompt))
        }
        AgentTask::Review { .. } if request.thread.is_some() => Err(LaunchError::ReviewResume),
        AgentTask::Review { target, title } => {
            line.push(["review"]);
            if let Some(title) = title {
                let title: String = title
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect();
                line.push([format!("--title={title}").as_str()]);
            }
            match target {
                ReviewTarget::Uncommitted => line.push(["--uncommitted"]),
                ReviewTarget::Base { branch } => line.push(["--base", value("base", branch)?]),
                ReviewTarget::Commit { sha } => line.push(["--commit", value("commit", sha)?]),
                ReviewTarget::Custom { prompt } => {
                    line.push(["-"]);
                    return Ok(text(prompt));
                }
            }
            Ok(String::new())
        }
    }
}

fn path<'a>(what: &'static str, path: &'a Path) -> Result<&'a str, LaunchError> {
    path.to_str().ok_or_else(|| LaunchError::Path {
        what,
        path: path.to_string_lossy().into_owned(),
    })
}

fn value<'a>(what: &'static str, value: &'a str) -> Result<&'a str, LaunchError> {
    let odd = value.is_empty() || value.starts_with('-') || value.contains(char::is_control);
    if odd {
        let value = value.to_owned();
        return Err(LaunchError::Value { what, value });
    }
    Ok(value)
}

fn uuid(thread: &str) -> Result<&str, LaunchError> {
    let groups: Vec<&str> = thread.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hex = |group: &&str| group.bytes().all(|b| b.is_ascii_hexdigit());
    if lengths == [8, 4, 4, 4, 12] && groups.iter().all(hex) {
        Ok(thread)
    } else {
        Err(LaunchError::Thread(thread.to_owned()))
    }
}

#[cfg(test)]
mod tests;
