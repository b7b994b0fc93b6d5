//! Reads what was asked for: every default filled in, every folder absolute.

use std::path::{Path, PathBuf};

use convoke_api::{
    caller::Caller,
    delegate::{DelegateRequest, SkillsMode},
    error::{ApiError, RequestCode},
    values::{ReasoningEffort, Sandbox},
};
use convoke_runs::{
    controllers::{
        delegate::{MAX_SKILLS, ROLE, Request},
        skills::Mode,
    },
    files::{run_folder, skills::Places},
};
use sha2::{Digest, Sha256};

use crate::acceptance;

/// How hard the model thinks if the call does not say.
const EFFORT: &str = "CODEX_DELEGATE_REASONING_EFFORT";
/// Longest role, characters.
const LONGEST_ROLE: usize = 200;

/// What was asked for, if it can be done.
///
/// # Errors
/// An argument or a variable is not valid.
pub fn read(given: &DelegateRequest, caller: &Caller) -> Result<Request, ApiError> {
    if given.cwd.is_empty() {
        return Err(ApiError::invalid("`cwd` is missing")
            .with_hint("name the folder in which the agent is to work"));
    }
    let cwd = acceptance::folder("cwd", &given.cwd, &acceptance::folder_of(caller)?)?;
    let continues = given.thread_id.is_some();
    if given.task.trim().is_empty() && !continues {
        return Err(ApiError::invalid("`task` is empty").with_hint("say what the agent is to do"));
    }
    if given.thread_id.as_deref() == Some("") {
        return Err(ApiError::invalid("`thread_id` is empty")
            .with_hint("an earlier answer names it as `subagent_thread_id`"));
    }
    if given.max_skills == Some(0) {
        return Err(ApiError::invalid(
            "`max_skills` is 0; it must be 1 or more, and `skills_mode` \"none\" chooses none",
        ));
    }
    Ok(Request {
        cwd,
        task: given.task.clone(),
        thread_id: given.thread_id.clone(),
        role: role(given)?,
        skills_mode: match given.skills_mode {
            None | Some(SkillsMode::Auto) => Mode::Auto,
            Some(SkillsMode::Explicit) => Mode::Explicit,
            Some(SkillsMode::None) => Mode::None,
        },
        skills: given.skills.clone(),
        max_skills: given.max_skills.unwrap_or(MAX_SKILLS),
        include_repo_skills: given.include_repo_skills.unwrap_or(true),
        include_global_skills: given.include_global_skills.unwrap_or(true),
        sandbox: sandbox(given).as_str().to_owned(),
        skip_git_repo_check: given.skip_git_repo_check.unwrap_or(false),
        model: given.model.clone().filter(|model| !model.is_empty()),
        reasoning_effort: effort(given, caller)?.map(|effort| effort.as_str().to_owned()),
        config_overrides: given.config_overrides.clone(),
    })
}

/// What the agent may write if nothing is said of it: nothing.
fn sandbox(given: &DelegateRequest) -> convoke_core::sandbox::Sandbox {
    given.sandbox.unwrap_or(Sandbox::ReadOnly).into()
}

fn role(given: &DelegateRequest) -> Result<String, ApiError> {
    let role = given.role.as_deref().map_or(ROLE, str::trim);
    let role = if role.is_empty() { ROLE } else { role };
    if role.chars().count() > LONGEST_ROLE || role.chars().any(char::is_control) {
        return Err(ApiError::invalid(format!(
            "`role` must have at most {LONGEST_ROLE} characters and no control characters"
        )));
    }
    Ok(role.to_owned())
}

fn effort(given: &DelegateRequest, caller: &Caller) -> Result<Option<ReasoningEffort>, ApiError> {
    let read = |text: &str| serde_json::from_value(serde_json::Value::from(text)).ok();
    let values = "none, minimal, low, medium, high or xhigh";
    let filled = |text: &&str| !text.trim().is_empty();
    if let Some(text) = given.reasoning_effort.as_deref().filter(filled) {
        return read(text).map(Some).ok_or_else(|| {
            ApiError::invalid(format!(
                "`reasoning_effort` is {text:?}; it may be {values}"
            ))
        });
    }
    let set = caller.environment.get(EFFORT).map(String::as_str);
    let Some(text) = set.filter(filled) else {
        return Ok(None);
    };
    read(text.trim()).map(Some).ok_or_else(|| {
        let message = format!("{EFFORT} is {text:?}; it may be {values}");
        ApiError::new(RequestCode::ConfigInvalid, message)
            .with_hint(format!("correct {EFFORT} in the environment of the caller"))
    })
}

/// What two requests have in common that ask for the same, in the same Codex home.
#[must_use]
pub fn digest(request: &Request, places: &Places) -> String {
    let asked = (request, &places.codex_home);
    let text = serde_json::to_vec(&asked).expect("texts and numbers are JSON");
    let digest = Sha256::digest(&text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The requester's own folders: its Codex home, from its environment, not ours.
#[must_use]
pub fn places(request: &Request, caller: &Caller) -> Places {
    let set = |name: &str| {
        let value = caller.environment.get(name)?;
        let is_set = !value.is_empty();
        is_set.then(|| Path::new(&caller.folder).join(value))
    };
    let home = set("HOME");
    let codex_home = set("CODEX_HOME").or_else(|| Some(home.as_ref()?.join(".codex")));
    Places {
        folder: request.cwd.clone(),
        top_level: convoke_workspace::repository::top_level(&request.cwd),
        codex_home,
        home,
    }
}

/// The folder in which the requester's runs lie.
///
/// # Errors
/// The requester has no home.
pub fn runs_folder(places: &Places) -> Result<PathBuf, ApiError> {
    let home = places.codex_home.as_ref().ok_or_else(|| {
        ApiError::new(
            RequestCode::ConfigInvalid,
            "neither CODEX_HOME nor HOME is set in the caller's environment, so there is no place for the run's folder",
        )
        .with_hint("set CODEX_HOME for the caller (`env_vars` of the MCP server's registration)")
    })?;
    Ok(run_folder::runs_folder(home))
}
