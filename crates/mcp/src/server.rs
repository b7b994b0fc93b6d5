//! The server: what it is, and from a call to the tool that answers it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use convoke_client::Client;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestMethod, CompleteRequestParams,
        CompleteResult, Implementation, InitializeResult, ListPromptsRequestMethod,
        ListPromptsResult, ListResourceTemplatesRequestMethod, ListResourceTemplatesResult,
        ListResourcesRequestMethod, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, Tool,
    },
    service::{RequestContext, ServerInitializeError},
};
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments, catalog, changes, control, delegate, delegate_catalog,
    end_of_input::NotesEnd,
    errors::{self, Failure, Outcome},
    events, help, jobs, result, sessions, spawn, spawn_group, status, synchronous, test_hooks,
    wait,
};

/// A set of tools that a server can offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolset {
    /// Background jobs: `codex_spawn` and what belongs to it.
    Jobs,
    /// Delegated runs with a folder each: `delegate_run` and what belongs to it.
    Delegate,
}

/// What a server is told by whoever starts it.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The way to the daemon.
    pub client: Client,
    /// The environment of the server's process, as it was at the start.
    pub environment: BTreeMap<String, String>,
    /// What it offers.
    pub toolsets: Vec<Toolset>,
    /// The server's working folder, absolute: jobs start there by default.
    pub folder: PathBuf,
    /// Longest wait of one call; by the client's name if left out.
    pub max_wait: Option<Duration>,
    /// Version of the program.
    pub program_version: String,
}

/// Why a server ended other than by the end of its input.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client did not begin as the protocol says.
    #[error("the MCP client did not begin as the protocol says")]
    Begin(#[source] Box<ServerInitializeError>),
    /// SIGTERM cannot be listened for.
    #[error("cannot listen for SIGTERM")]
    Signal(#[source] std::io::Error),
    /// The server's task broke.
    #[error("the MCP server broke")]
    Broken(#[source] tokio::task::JoinError),
}

/// The chosen toolsets for one MCP client.
#[derive(Clone, Debug)]
pub struct JobsServer {
    config: Arc<ServerConfig>,
    tools: Arc<Vec<Tool>>,
    input_ended: CancellationToken,
}

/// One call of one tool, its arguments checked.
pub(crate) struct Call {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) context: RequestContext<RoleServer>,
    pub(crate) arguments: Map<String, Value>,
    /// Says that the client is gone.
    pub(crate) input_ended: CancellationToken,
}

/// Serves one client on stdin and stdout until stdin ends or SIGTERM comes.
///
/// # Errors
/// [`ServeError`]; the end of the input is no error.
pub async fn serve_stdio(config: ServerConfig) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
    let (reader, writer) = rmcp::transport::io::stdio_pipes();
    tokio::select! {
        served = serve(config, reader, writer) => served,
        _ = terminate.recv() => Ok(()),
    }
}

/// Serves one client on any pair of streams until the input ends. Dropping the
/// future ends the server; no job is touched by either.
///
/// # Errors
/// [`ServeError`]; the end of the input is no error.
pub async fn serve<R, W>(config: ServerConfig, reader: R, writer: W) -> Result<(), ServeError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let ended = CancellationToken::new();
    let _end_with_this_future = ended.clone().drop_guard();
    let server = JobsServer::new(config);
    let reader = NotesEnd::new(reader, server.input_ended.clone());
    let running = match server.serve_with_ct((reader, writer), ended).await {
        Ok(running) => running,
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(ServeError::Begin(Box::new(error))),
    };
    running
        .waiting()
        .await
        .map(drop)
        .map_err(ServeError::Broken)
}

impl JobsServer {
    /// A server; the daemon is not touched.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self {
            tools: Arc::new(catalog::tools(&config.toolsets)),
            config: Arc::new(config),
            input_ended: CancellationToken::new(),
        }
    }

    fn delegates(&self) -> bool {
        self.config.toolsets.contains(&Toolset::Delegate)
    }

    #[expect(
        deprecated,
        reason = "the newest specification gives log messages up; clients in use know them"
    )]
    fn capabilities(&self) -> ServerCapabilities {
        let builder = ServerCapabilities::builder();
        match self.delegates() {
            true => builder.enable_logging().enable_tools().build(),
            false => builder.enable_tools().build(),
        }
    }

    /// What the client is told at the start, of each toolset.
    fn instructions(&self) -> String {
        let of = |toolset: &Toolset| match toolset {
            Toolset::Jobs => help::INSTRUCTIONS,
            Toolset::Delegate => delegate_catalog::INSTRUCTIONS,
        };
        let parts: Vec<&str> = self.config.toolsets.iter().map(of).collect();
        parts.join("\n")
    }

    /// The tools as published.
    #[must_use]
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    async fn answer(
        &self,
        tool: &Tool,
        given: Option<Map<String, Value>>,
        context: RequestContext<RoleServer>,
    ) -> Outcome {
        let arguments = arguments::check(&tool.input_schema, given)?;
        let call = Call {
            config: Arc::clone(&self.config),
            context,
            arguments,
            input_ended: self.input_ended.clone(),
        };
        test_hooks::reach("call_checked", &tool.name);
        let outcome = match tool.name.as_ref() {
            "codex" => synchronous::codex(&call).await,
            "codex_spawn" => spawn::codex_spawn(&call).await,
            "codex_spawn_group" => spawn_group::codex_spawn_group(&call).await,
            "codex_status" => status::codex_status(&call).await,
            "codex_result" => result::codex_result(&call).await,
            "codex_cancel" => control::codex_cancel(&call).await,
            "codex_events" => events::codex_events(&call).await,
            "codex_wait_any" => wait::codex_wait_any(&call).await,
            "codex_interrupt" => control::codex_interrupt(&call).await,
            "codex_jobs" => jobs::codex_jobs(&call).await,
            "codex_changes" => changes::codex_changes(&call).await,
            "codex_conflicts" => changes::codex_conflicts(&call).await,
            "codex_reconcile" => changes::codex_reconcile(&call).await,
            "codex_apply" => changes::codex_apply(&call).await,
            "codex_discard" => changes::codex_discard(&call).await,
            "codex_rollback" => changes::codex_rollback(&call).await,
            "delegate_run" => delegate::delegate_run(&call).await,
            "delegate_resume" => delegate::delegate_resume(&call).await,
            "delegate_status" => delegate::delegate_status(&call).await,
            "delegate_cancel" => delegate::delegate_cancel(&call).await,
            "review" => synchronous::review(&call).await,
            "listSessions" => sessions::list_sessions(&call).await,
            "ping" => help::ping(&call),
            "help" => help::help(),
            other => unreachable!("{other} is published without an answer"),
        };
        test_hooks::reach("call_done", &tool.name);
        outcome
    }
}

impl ServerHandler for JobsServer {
    fn get_info(&self) -> InitializeResult {
        let capabilities = self.capabilities();
        InitializeResult::new(capabilities)
            .with_server_info(Implementation::new(
                "convoke",
                self.config.program_version.clone(),
            ))
            .with_instructions(self.instructions())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = self.tools.iter().find(|tool| tool.name == request.name) else {
            let known: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_ref()).collect();
            let message = format!(
                "Unknown tool: {}; there are {}",
                request.name,
                known.join(", ")
            );
            return Err(ErrorData::invalid_params(message, None));
        };
        match self.answer(tool, request.arguments, context).await {
            Ok(result) => Ok(result.into()),
            Err(Failure::Refused(error)) => Ok(errors::refused(&error).into()),
            Err(Failure::Cancelled) => Err(errors::cancelled()),
        }
    }

    /// The few messages that are sent name a run, which no client may miss: they are
    /// sent whatever the level.
    #[expect(
        deprecated,
        reason = "the newest specification gives log messages up; clients in use know them"
    )]
    async fn set_level(
        &self,
        _: rmcp::model::SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        match self.delegates() {
            true => Ok(()),
            false => Err(ErrorData::method_not_found::<
                rmcp::model::SetLevelRequestMethod,
            >()),
        }
    }

    // What is not there is said to be not there, rather than answered empty.

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<
            ListResourceTemplatesRequestMethod,
        >())
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }
}
