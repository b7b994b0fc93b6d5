//! The options that describe a job, and the request made of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use convoke_api::{
    changes::WorkspaceKind,
    coordination::Coordination,
    spawn::{JobRequest, McpServers, ReviewRequest, Scope},
    values::{Access, ReasoningEffort, Sandbox},
};

use crate::{error::CliError, prompt::PromptSource, quantities, words};

/// A job as the command line describes it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct JobOptions {
    #[command(flatten)]
    source: PromptSource,
    /// Run this program instead of an agent
    #[arg(last = true, value_name = "CMD", conflicts_with_all = ["prompt", "file"])]
    command: Vec<String>,
    #[command(flatten)]
    review: ReviewOptions,
    #[command(flatten)]
    agent: AgentOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    place: PlaceOptions,
    /// Refuse a second job with the same key: answer with the first for 24 hours
    #[arg(long, value_name = "KEY", help_heading = "Scheduling")]
    pub idempotency_key: Option<String>,
}

/// Reviews.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Review instead of a prompt")]
struct ReviewOptions {
    /// Review staged, unstaged and untracked changes
    #[arg(long, group = "review", conflicts_with_all = ["prompt", "file", "command"])]
    review_uncommitted: bool,
    /// Review the changes against a branch
    #[arg(long, value_name = "BRANCH", group = "review", conflicts_with_all = ["prompt", "file", "command"])]
    review_base: Option<String>,
    /// Review the changes of a commit
    #[arg(long, value_name = "COMMIT", group = "review", conflicts_with_all = ["prompt", "file", "command"])]
    review_commit: Option<String>,
}

/// The agent and what it may do.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Agent")]
struct AgentOptions {
    /// Choose the model
    #[arg(short, long)]
    model: Option<String>,
    /// Choose how hard the model thinks
    #[arg(long, value_name = "EFFORT", value_parser = words::effort())]
    effort: Option<ReasoningEffort>,
    /// Choose what the agent may write
    #[arg(short, long, value_name = "SANDBOX", value_parser = words::sandbox())]
    sandbox: Option<Sandbox>,
    /// Let the agent write in its folder; old spelling of `--sandbox workspace-write`
    #[arg(long)]
    full_auto: bool,
    /// Count the job as reader or writer of its working tree
    #[arg(long, value_name = "ACCESS", value_parser = words::access())]
    access: Option<Access>,
    /// Use a Codex profile
    #[arg(short, long, value_name = "NAME")]
    profile: Option<String>,
    /// Set a value of the agent's configuration; may be repeated
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,
    /// Choose the MCP servers the agent gets: inherit, none, or names with commas
    #[arg(long, value_name = "SERVERS", value_parser = mcp_servers)]
    mcp_servers: Option<McpServers>,
    /// Offer none of your skills to the agent
    #[arg(long)]
    no_host_skills: bool,
    /// Require a last message that satisfies the JSON Schema in a file
    #[arg(long, value_name = "FILE")]
    output_schema: Option<PathBuf>,
    /// Continue a conversation of this name, or begin it
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Begin the session anew
    #[arg(long, requires = "session")]
    reset_session: bool,
}

/// Limits.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits (none: no limit)")]
struct LimitOptions {
    /// Limit the running time
    #[arg(long, value_name = "TIME", value_parser = quantities::milliseconds)]
    timeout: Option<u64>,
    /// Limit the time without output
    #[arg(long, value_name = "TIME", value_parser = quantities::milliseconds)]
    idle_timeout: Option<u64>,
    /// Limit the time to the first output
    #[arg(long, value_name = "TIME", value_parser = quantities::milliseconds)]
    first_event_timeout: Option<u64>,
    /// Limit the output
    #[arg(long, value_name = "SIZE", value_parser = quantities::bytes)]
    output_limit: Option<u64>,
    /// Make at most so many attempts; 1 repeats nothing
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: Option<u32>,
}

/// Where and when the job runs.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Scheduling")]
struct PlaceOptions {
    /// Name the job
    #[arg(short, long)]
    label: Option<String>,
    /// Start the agent in this folder instead of the current one
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    cd: Option<PathBuf>,
    /// Choose where the job works: in the folder as it is (shared), in a copy of its own that begins with what the folder holds now (worktree), or in the folder as it is with what it writes in a layer of its own (overlay; Linux)
    #[arg(long, value_name = "WORKSPACE", value_parser = words::workspace())]
    workspace: Option<WorkspaceKind>,
    /// Choose what the job expects of a folder that it shares and writes in: nothing (dirty), or a git work tree without changes (strict); strict jobs that change the same files are taken back and run again one after the other
    #[arg(long, value_name = "COORDINATION", value_parser = words::coordination())]
    coordination: Option<Coordination>,
    /// Let the job write below this folder of its working folder only; jobs that would write in the same one run one after the other; may be repeated
    #[arg(long, value_name = "DIR")]
    scope: Vec<String>,
    /// Tell the agent that what it needs is in this folder; may be repeated
    #[arg(long, value_name = "DIR")]
    scope_read: Vec<String>,
    /// Let the agent write in a further folder; may be repeated
    #[arg(long, value_name = "DIR")]
    add_dir: Vec<PathBuf>,
    /// Set a variable for the job; may be repeated
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = key_value)]
    env: Vec<(String, String)>,
    /// Wait for another job to complete and hand its result down; may be repeated
    #[arg(long, value_name = "JOB", value_delimiter = ',')]
    needs: Vec<String>,
    /// Start before jobs of lower priority
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i32>,
}

impl JobOptions {
    /// The request. Reads the prompt and the schema.
    ///
    /// # Errors
    /// A file cannot be read or is not right, or there is no prompt.
    pub fn into_request(self) -> Result<JobRequest, CliError> {
        let mut request = JobRequest::default();
        if !self.command.is_empty() {
            request.argv = Some(self.command);
        } else if let Some(review) = self.review.into_request() {
            request.review = Some(review);
        } else {
            request.prompt = Some(self.source.read()?);
        }
        self.agent.fill(&mut request)?;
        self.place.fill(&mut request)?;
        request.timeout_ms = self.limits.timeout;
        request.idle_timeout_ms = self.limits.idle_timeout;
        request.first_event_timeout_ms = self.limits.first_event_timeout;
        request.output_limit_bytes = self.limits.output_limit;
        request.max_attempts = self.limits.max_attempts;
        Ok(request)
    }
}

impl ReviewOptions {
    fn into_request(self) -> Option<ReviewRequest> {
        let any =
            self.review_uncommitted || self.review_base.is_some() || self.review_commit.is_some();
        any.then(|| ReviewRequest {
            uncommitted: self.review_uncommitted.then_some(true),
            base: self.review_base,
            commit: self.review_commit,
            ..ReviewRequest::default()
        })
    }
}

impl AgentOptions {
    fn fill(self, request: &mut JobRequest) -> Result<(), CliError> {
        request.model = self.model;
        request.reasoning_effort = self.effort;
        request.sandbox = self.sandbox;
        request.full_auto = self.full_auto.then_some(true);
        request.access = self.access;
        request.profile = self.profile;
        request.config_overrides = self
            .config
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        request.mcp_servers = self.mcp_servers;
        request.host_skills = self.no_host_skills.then_some(false);
        request.output_schema = self.output_schema.as_deref().map(read_json).transpose()?;
        request.session = self.session;
        request.reset_session = self.reset_session.then_some(true);
        Ok(())
    }
}

impl PlaceOptions {
    fn fill(self, request: &mut JobRequest) -> Result<(), CliError> {
        request.label = self.label;
        request.working_directory = self.cd.as_deref().map(absolute).transpose()?;
        request.add_dirs = self
            .add_dir
            .iter()
            .map(|folder| absolute(folder))
            .collect::<Result<_, _>>()?;
        request.workspace = self.workspace;
        request.coordination = self.coordination;
        if !self.scope.is_empty() || !self.scope_read.is_empty() {
            request.scope = Some(Scope {
                write: self.scope,
                read: self.scope_read,
            });
        }
        request.env = self.env.into_iter().collect::<BTreeMap<_, _>>();
        request.needs = self.needs;
        request.priority = self.priority;
        Ok(())
    }
}

/// A path as the daemon can use it: relative ones are relative to us.
pub fn absolute(path: &Path) -> Result<String, CliError> {
    let path = std::path::absolute(path).map_err(CliError::file("find", path))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| CliError::usage(format!("the path is not UTF-8: {}", path.display())))
}

fn read_json(file: &Path) -> Result<serde_json::Value, CliError> {
    let text = fs_err::read_to_string(file).map_err(CliError::file("read", file))?;
    serde_json::from_str(&text).map_err(|source| CliError::Invalid {
        message: format!("{} is not JSON", file.display()),
        source: source.into(),
    })
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form KEY=VALUE")),
    }
}

fn mcp_servers(text: &str) -> Result<McpServers, String> {
    Ok(match text {
        "inherit" => McpServers::Inherit,
        "none" => McpServers::None,
        names => McpServers::Only(
            names
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
        ),
    })
}

#[cfg(test)]
mod tests;
