//! Builds the stored form of one job from one request.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use convoke_api::{
    caller::Caller,
    coordination,
    error::{ApiError, RequestCode},
    spawn::{JobRequest, McpServers},
};
use convoke_core::{
    coordination::Coordination,
    ids::JobId,
    limits::Limits,
    mask::Masker,
    owner::Owner,
    retry::RetryPolicy,
    sandbox::{Access, Sandbox},
    spec::{AgentTask, AgentWork, JobSpec, McpServers as SpecServers, Resume, SPEC_VERSION, Work},
};
use convoke_store::{IdempotencyKey, NewJob, Resolved};

use super::{Built, RunPlan, check, owner_of, scope, session_turn, turns_of, workspace};
use crate::{
    api_errors,
    config::{Ceiling, Config, ceiling_of},
    discovery, environment, power,
    state::Daemon,
};

/// What building needs to know besides the request.
pub struct Context<'a> {
    pub daemon: &'a Arc<Daemon>,
    pub config: &'a Config,
    pub caller: &'a Caller,
    /// Labels of the same request.
    pub labels: &'a HashMap<String, JobId>,
    pub continuation: Option<&'a Continuation>,
    /// What makes the job a run.
    pub plan: Option<&'a RunPlan>,
    /// The turn before in the job's session, if it is in the same request.
    pub earlier_turn: Option<&'a JobId>,
}

/// A job that goes on where another one stops.
#[derive(Clone, Debug)]
pub struct Continuation {
    /// The job that stops.
    pub previous: Box<convoke_core::job::Job>,
}

/// Builds a job.
///
/// # Errors
/// An argument is not valid, or asks for more power than allowed.
pub async fn build(
    context: &Context<'_>,
    request: &JobRequest,
    id: JobId,
    idempotency: Option<IdempotencyKey>,
) -> Result<Built, ApiError> {
    let caller_folder = &folder_of(context.caller)?;
    let folder = check::folder(
        "workingDirectory",
        request.working_directory.as_deref().unwrap_or(""),
        caller_folder,
    )?;
    let tree = convoke_workspace::repository::top_level(&folder).unwrap_or_else(|| folder.clone());
    let ceiling = ceiling_of(&folder).map_err(|error| api_errors::of_config(&error))?;
    let bounds = power::Bounds {
        caller: context.caller.sandbox.map(Sandbox::from),
        caller_folder,
        policy: context.config.max_sandbox,
        repository: ceiling.max_sandbox,
    };
    let (sandbox, mut notices) = sandbox_of(context, request, &bounds)?;
    power::check_folder(&bounds, sandbox, "workingDirectory", &folder)?;
    check::variables(&request.env, bounds.caller)?;
    let environment =
        environment::of_job(context.config, &request.env, &context.caller.environment);
    let owner = owner_of(context.caller);
    let (work, after) = work_of(context, request, &bounds, sandbox, &owner)?;
    if matches!(work, Work::Agent(_)) {
        find_codex(context.config, &environment, &folder)?;
    }
    let without_secrets = work.without_secrets(&Masker::of_environment(&environment));
    let (work, secret_work) = match without_secrets {
        Some(hidden) => (hidden, Some(work)),
        None => (work, None),
    };
    let access = power::access_of(request.access.map(Access::from), sandbox);
    let scope = scope::of_request(request, &folder, sandbox, access)?;
    let place = (&id, tree.as_path(), sandbox);
    let (workspace, notice) = workspace::of_request(context, request, place).await?;
    notices.extend(notice);
    let spec = JobSpec {
        version: SPEC_VERSION,
        work,
        label: request.label.as_deref().map(check::label).transpose()?,
        working_directory: folder,
        tree,
        sandbox,
        access,
        workspace,
        coordination: coordination_of(request, context.config),
        scope,
        limits: limits_of(request, context.config, &ceiling),
        retry: retry_of(request, context.config)?,
        needs: needs_of(context, request, &id)?,
        after,
        priority: request.priority.unwrap_or(0),
        owner_cap: owner_cap(context.caller)?,
        parent: context.continuation.map(|c| c.previous.id.clone()),
        run: context.plan.map(|plan| Box::new(plan.run.clone())),
    };
    if request.coordination == Some(coordination::Coordination::Strict) && !spec.is_strict() {
        notices.push(without_effect(&spec));
    }
    if spec.is_strict() && matches!(spec.work, Work::Command { .. }) {
        notices.push(STRICT_PROGRAM.to_owned());
    }
    Ok(Built {
        new: NewJob {
            id,
            at: super::now(),
            spec,
            owner,
            idempotency,
            queue_limit: context.config.queue_limit,
        },
        environment,
        secret_work,
        notices,
        kept: context.plan.map(|plan| plan.kept.clone()),
    })
}

fn coordination_of(request: &JobRequest, config: &Config) -> Coordination {
    match request.coordination.unwrap_or(config.coordination) {
        coordination::Coordination::Dirty => Coordination::Dirty,
        coordination::Coordination::Strict => Coordination::Strict,
    }
}

/// Said of programs that are strict.
const STRICT_PROGRAM: &str = "programs do not tell what they write or when: what two strict programs did to \
     the same file at once is not noticed unless their scopes tell it apart, and nothing is run again";

/// Why it makes no difference that a job is strict.
fn without_effect(spec: &JobSpec) -> String {
    let why = match spec.workspace.is_shared() {
        true => "it only reads",
        false => "it works apart from the tree",
    };
    format!("`coordination: \"strict\"` makes no difference to this job: {why}")
}

/// The folder of the caller's process, canonical if it is still there.
///
/// # Errors
/// It is not absolute.
pub fn folder_of(caller: &Caller) -> Result<PathBuf, ApiError> {
    let folder = Path::new(&caller.folder);
    if !folder.is_absolute() {
        return Err(ApiError::invalid(
            "`caller.folder` must be an absolute path",
        ));
    }
    Ok(fs_err::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()))
}

/// What is to be done, and the jobs that must be over before it.
fn work_of(
    context: &Context<'_>,
    request: &JobRequest,
    bounds: &power::Bounds<'_>,
    sandbox: Sandbox,
    owner: &Owner,
) -> Result<(Work, Vec<JobId>), ApiError> {
    if let Some(argv) = &request.argv {
        return Ok((command_work(context, request, argv)?, Vec::new()));
    }
    let mut work = agent_work(context, request, bounds, sandbox)?;
    let (resume, after) = conversation(context, request, owner)?;
    work.resume = resume;
    Ok((Work::Agent(Box::new(work)), after))
}

/// What an agent goes on from, and the jobs that must be over before it.
fn conversation(
    context: &Context<'_>,
    request: &JobRequest,
    owner: &Owner,
) -> Result<(Option<Resume>, Vec<JobId>), ApiError> {
    if let Some(continuation) = context.continuation {
        let previous = continuation.previous.id.clone();
        return Ok((Some(Resume::Job(previous.clone())), vec![previous]));
    }
    if let Some(thread) = context.plan.and_then(|plan| plan.thread.as_ref()) {
        let resume = Resume::Thread(thread.clone());
        return Ok((Some(resume), turns_of(context.daemon, thread)));
    }
    let Some(session) = &request.session else {
        return Ok((None, Vec::new()));
    };
    let (resume, live) = session_turn(
        context.daemon,
        owner,
        session,
        request.reset_session.unwrap_or(false),
        context.earlier_turn,
    )?;
    Ok((resume, live.into_iter().collect()))
}

fn sandbox_of(
    context: &Context<'_>,
    request: &JobRequest,
    bounds: &power::Bounds<'_>,
) -> Result<(Sandbox, Vec<String>), ApiError> {
    if request.argv.is_some() {
        // A command is run as it is; a caller with a sandbox of its own has
        // none to give away.
        if bounds
            .caller
            .is_some_and(|caller| caller != Sandbox::DangerFullAccess)
        {
            return Err(ApiError::new(
                RequestCode::PowerExceeded,
                "`argv` asks for a command job, which runs without a sandbox; the calling session has one",
            )
            .with_hint("start an agent with a prompt instead"));
        }
        return Ok((Sandbox::DangerFullAccess, Vec::new()));
    }
    let full_auto = request
        .full_auto
        .unwrap_or(false)
        .then_some(Sandbox::WorkspaceWrite);
    let asked = request.sandbox.map(Sandbox::from).or(full_auto);
    let default = match (&request.review, context.caller.default_sandbox) {
        // A review reads.
        (Some(_), _) => Sandbox::ReadOnly,
        (None, Some(default)) => default.into(),
        (None, None) => Sandbox::WorkspaceWrite,
    };
    let grant = power::grant_sandbox(bounds, asked, default)?;
    Ok((grant.sandbox, grant.notice.into_iter().collect()))
}

fn command_work(
    context: &Context<'_>,
    request: &JobRequest,
    argv: &[String],
) -> Result<Work, ApiError> {
    if request.prompt.is_some() || request.review.is_some() || context.continuation.is_some() {
        return Err(ApiError::invalid(
            "`argv` cannot be combined with `prompt` or `review`",
        ));
    }
    let usable = argv.first().is_some_and(|program| !program.is_empty());
    if !usable || argv.iter().any(|word| word.contains('\0')) {
        return Err(ApiError::invalid(
            "`argv` must begin with a program and hold no NUL characters",
        ));
    }
    Ok(Work::Command {
        argv: argv.to_vec(),
    })
}

fn agent_work(
    context: &Context<'_>,
    request: &JobRequest,
    bounds: &power::Bounds<'_>,
    sandbox: Sandbox,
) -> Result<AgentWork, ApiError> {
    let task = match (&request.prompt, &request.review) {
        (Some(prompt), None) => AgentTask::Prompt {
            prompt: check::prompt("prompt", prompt)?,
        },
        (None, Some(review)) => {
            let (target, title) = check::review(review)?;
            AgentTask::Review { target, title }
        }
        (None, None) => {
            return Err(
                ApiError::invalid("`prompt` is missing").with_hint("say what the agent is to do")
            );
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "`prompt` and `review` cannot be combined",
            ));
        }
    };
    if let Some(schema) = &request.output_schema {
        check::output_schema(schema)?;
    }
    let mut add_dirs = Vec::new();
    for folder in &request.add_dirs {
        let folder = check::folder("addDirs", folder, bounds.caller_folder)?;
        power::check_folder(bounds, sandbox, "addDirs", &folder)?;
        add_dirs.push(folder);
    }
    let profile = request
        .profile
        .clone()
        .or_else(|| context.config.codex_profile.clone());
    if profile.as_ref().is_some_and(|name| {
        name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            || name.starts_with(['-', '.'])
    }) {
        return Err(ApiError::invalid(
            "`profile` must be the name of a Codex profile: letters, digits, `-`, `_` and `.`",
        ));
    }
    Ok(AgentWork {
        task,
        model: request.model.clone().filter(|model| !model.is_empty()),
        reasoning_effort: request
            .reasoning_effort
            .map(|effort| effort.as_str().to_owned()),
        profile,
        config_overrides: check::overrides(&request.config_overrides, bounds.caller)?,
        add_dirs,
        mcp_servers: match &request.mcp_servers {
            None | Some(McpServers::Inherit) => SpecServers::Inherit,
            Some(McpServers::None) => SpecServers::None,
            Some(McpServers::Only(names)) => SpecServers::Only(names.clone()),
        },
        host_skills: request.host_skills.unwrap_or(true),
        output_schema: request.output_schema.clone(),
        resume: None,
        session: request.session.clone(),
    })
}

/// Refuses at once what could only fail later.
fn find_codex(
    config: &Config,
    environment: &discovery::Environment,
    folder: &Path,
) -> Result<(), ApiError> {
    if let Some(program) = &config.codex_binary {
        if program.is_file() {
            return Ok(());
        }
        return Err(ApiError::new(
            RequestCode::AgentMissing,
            format!(
                "`codex.binary` is {}, which does not exist",
                program.display()
            ),
        )
        .with_hint("correct it in config.toml"));
    }
    let path = environment.get("PATH").map(String::as_str);
    if discovery::look_up("codex", path, folder).is_some() {
        return Ok(());
    }
    Err(ApiError::new(
        RequestCode::AgentMissing,
        format!(
            "no program `codex` in the PATH of the caller ({})",
            path.unwrap_or("not set")
        ),
    )
    .with_hint(
        "install it (`npm install -g @openai/codex`), or name it as `codex.binary` in config.toml",
    ))
}

fn limits_of(request: &JobRequest, config: &Config, ceiling: &Ceiling) -> Limits {
    let limits = Limits {
        wall_ms: request.timeout_ms.unwrap_or(config.limits.wall_ms),
        idle_ms: request.idle_timeout_ms.unwrap_or(config.limits.idle_ms),
        first_event_ms: request
            .first_event_timeout_ms
            .unwrap_or(match request.argv {
                // A command may well be silent until it ends.
                Some(_) => 0,
                None => config.limits.first_event_ms,
            }),
        output_bytes: request
            .output_limit_bytes
            .unwrap_or(config.limits.output_bytes),
    };
    ceiling.narrow(limits)
}

fn retry_of(request: &JobRequest, config: &Config) -> Result<RetryPolicy, ApiError> {
    match (&request.argv, request.max_attempts) {
        (_, Some(0)) => Err(ApiError::invalid(
            "`maxAttempts` is 0; it must be 1 or more, and 1 repeats nothing",
        )),
        (Some(_), Some(2..)) => Err(ApiError::invalid(
            "`maxAttempts` is for agents: a program run again could do twice what it did by half",
        )),
        (Some(_), _) => Ok(RetryPolicy::never()),
        (None, asked) => Ok(RetryPolicy {
            attempts: asked.unwrap_or(config.retry.attempts),
            ..config.retry
        }),
    }
}

/// Needed jobs: labels of the same request first, then ids.
fn needs_of(
    context: &Context<'_>,
    request: &JobRequest,
    own: &JobId,
) -> Result<Vec<JobId>, ApiError> {
    let mut needs = Vec::new();
    for name in &request.needs {
        let id = match context.labels.get(name) {
            Some(id) => id.clone(),
            None => existing(context, name)?,
        };
        if id == *own {
            return Err(ApiError::invalid(format!(
                "`needs` names the job itself (`{name}`)"
            )));
        }
        if !needs.contains(&id) {
            needs.push(id);
        }
    }
    Ok(needs)
}

fn existing(context: &Context<'_>, name: &str) -> Result<JobId, ApiError> {
    match context
        .daemon
        .store
        .resolve_prefix(name)
        .map_err(|error| api_errors::of_store(&error))?
    {
        Resolved::One(id) => Ok(id),
        _ => Err(api_errors::unknown_job(context.daemon, name)),
    }
}

fn owner_cap(caller: &Caller) -> Result<Option<u32>, ApiError> {
    match caller.max_jobs {
        Some(0) => Err(ApiError::new(
            RequestCode::ConfigInvalid,
            "CODEX_MCP_MAX_JOBS is 0; it must be 1 or more",
        )),
        cap => Ok(cap),
    }
}
