//! Checks of single arguments. Bad input changes nothing and is answered with
//! the name of the argument.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use convoke_agents::codex_exec::overrides;
use convoke_api::{
    error::{ApiError, RequestCode},
    spawn::ReviewRequest,
};
use convoke_core::{sandbox::Sandbox, spec::ReviewTarget};

use crate::{environment, error_chain};

/// Longest prompt, bytes.
const LONGEST_PROMPT: usize = 16 * 1024 * 1024;

/// Longest label, characters.
const LONGEST_LABEL: usize = 200;

/// Variables through which a sandboxed caller could make a worker run programs
/// outside its sandbox, widen what it may write, send its traffic elsewhere or
/// take another identity. Compared without regard to case, because some
/// programs read both spellings.
const POWERFUL_NAMES: [&str; 9] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "TMP",
    "TEMP",
    "ENV",
    "SHELL",
    "ZDOTDIR",
    "GCONV_PATH",
];
const POWERFUL_PREFIXES: [&str; 15] = [
    "BASH_",
    "CODEX_",
    "CONVOKE_",
    "DYLD_",
    "GIT_",
    "LD_",
    "NODE_",
    "NPM_",
    "OPENAI_",
    "PERL",
    "PYTHON",
    "RUBY",
    "SSL_CERT_",
    "UV_",
    "XDG_",
];
const POWERFUL_SUFFIX: &str = "_PROXY";

/// Of the variables with a powerful prefix, those that are settings of other
/// parts of this program and mean nothing to Codex.
const HARMLESS_PREFIXES: [&str; 4] = [
    "CODEX_AUTOPILOT_",
    "CODEX_DELEGATE_",
    "CODEX_MCP_",
    "CODEX_ORCHESTRATOR_",
];

/// An existing folder, absolute and canonical; `folder` counts against `base`.
pub fn folder(key: &str, folder: &str, base: &Path) -> Result<PathBuf, ApiError> {
    let invalid = |message: String, hint: &str| Err(ApiError::invalid(message).with_hint(hint));
    let path = base.join(folder);
    match fs_err::canonicalize(&path) {
        Ok(path) if path.is_dir() => Ok(path),
        Ok(path) => invalid(
            format!("`{key}` is {}, which is not a folder", path.display()),
            "name a folder",
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => invalid(
            format!("`{key}` is {}, which does not exist", path.display()),
            "create the folder or name another",
        ),
        Err(error) => invalid(
            format!(
                "`{key}` is {}, which cannot be used: {error}",
                path.display()
            ),
            "check its permissions",
        ),
    }
}

/// A prompt with something in it.
pub fn prompt(key: &str, prompt: &str) -> Result<String, ApiError> {
    if prompt.trim().is_empty() {
        return Err(
            ApiError::invalid(format!("`{key}` is empty")).with_hint("say what the agent is to do")
        );
    }
    if prompt.len() > LONGEST_PROMPT {
        return Err(ApiError::invalid(format!(
            "`{key}` has {} bytes; at most {LONGEST_PROMPT} are taken",
            prompt.len()
        )));
    }
    if prompt.contains('\0') {
        return Err(ApiError::invalid(format!(
            "`{key}` contains a NUL character"
        )));
    }
    Ok(prompt.to_owned())
}

/// A label without control characters.
pub fn label(label: &str) -> Result<String, ApiError> {
    if label.trim().is_empty()
        || label.chars().count() > LONGEST_LABEL
        || label.chars().any(char::is_control)
    {
        return Err(ApiError::invalid(format!(
            "`label` must have 1 to {LONGEST_LABEL} characters and no control characters"
        )));
    }
    Ok(label.to_owned())
}

/// Whether the caller is held in a sandbox of its own.
pub fn is_confined(caller: Option<Sandbox>) -> bool {
    caller.is_some_and(|sandbox| sandbox != Sandbox::DangerFullAccess)
}

/// `-c` pairs that undo no guard; of a sandboxed caller, only those known to
/// leave the worker's power alone.
pub fn overrides(pairs: &[String], caller: Option<Sandbox>) -> Result<Vec<String>, ApiError> {
    let checked = if is_confined(caller) {
        overrides::check_confined_override
    } else {
        overrides::check_override
    };
    for pair in pairs {
        checked(pair).map_err(|error| {
            ApiError::new(
                RequestCode::PowerExceeded,
                format!("`configOverrides`: {}", error_chain(&error)),
            )
            .with_hint("leave it out, or use the argument of this tool that is meant for it")
        })?;
    }
    Ok(pairs.to_vec())
}

/// Variables with usable names that give a sandboxed caller no more power.
pub fn variables(
    variables: &BTreeMap<String, String>,
    caller: Option<Sandbox>,
) -> Result<(), ApiError> {
    for (name, value) in variables {
        if !environment::is_valid_name(name) || value.contains('\0') {
            return Err(ApiError::invalid(format!(
                "`env` has a name or value that no environment can hold: {name:?}"
            )));
        }
        if is_confined(caller) && is_powerful(name) {
            return Err(ApiError::new(
                RequestCode::PowerExceeded,
                format!("`env` sets {name}, which decides what programs a worker runs, as whom, or what it may reach; a sandboxed caller may not"),
            )
            .with_hint("set it where the calling session is started, or in `env.set` of the user's config.toml"));
        }
    }
    Ok(())
}

fn is_powerful(name: &str) -> bool {
    let name = name.to_uppercase();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    POWERFUL_NAMES.contains(&name.as_str())
        || name.ends_with(POWERFUL_SUFFIX)
        || (begins(&POWERFUL_PREFIXES) && !begins(&HARMLESS_PREFIXES))
}

/// Exactly one thing to review.
pub fn review(review: &ReviewRequest) -> Result<(ReviewTarget, Option<String>), ApiError> {
    let uncommitted = review.uncommitted.unwrap_or(false);
    let named = |value: &Option<String>| {
        value
            .as_ref()
            .filter(|text| !text.trim().is_empty())
            .cloned()
    };
    let (prompt_text, base, commit) = (
        named(&review.prompt),
        named(&review.base),
        named(&review.commit),
    );
    let given: Vec<&str> = [
        ("prompt", prompt_text.is_some()),
        ("uncommitted", uncommitted),
        ("base", base.is_some()),
        ("commit", commit.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect();
    if given.len() > 1 {
        return Err(ApiError::invalid(format!(
            "`{}` cannot be combined: a review looks at one thing",
            given.join("`, `")
        ))
        .with_hint("give exactly one of `prompt`, `uncommitted`, `base` and `commit`"));
    }
    let title = named(&review.title);
    if title.is_some() && commit.is_none() {
        return Err(ApiError::invalid("`title` goes with `commit` only"));
    }
    let target = match (prompt_text, base, commit) {
        (Some(text), _, _) => ReviewTarget::Custom {
            prompt: prompt("prompt", &text)?,
        },
        (_, Some(branch), _) => ReviewTarget::Base {
            branch: revision("base", branch)?,
        },
        (_, _, Some(sha)) => ReviewTarget::Commit {
            sha: revision("commit", sha)?,
        },
        // With nothing named, what is not committed yet is what people mean.
        _ => ReviewTarget::Uncommitted,
    };
    Ok((target, title))
}

/// Something git could take for a revision and no program for an option.
fn revision(key: &str, text: String) -> Result<String, ApiError> {
    if text.starts_with('-') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(ApiError::invalid(format!(
            "`{key}` is {text:?}, which cannot be a revision"
        )));
    }
    Ok(text)
}

/// A JSON Schema that can be used.
pub fn output_schema(schema: &serde_json::Value) -> Result<(), ApiError> {
    if !schema.is_object() {
        return Err(ApiError::invalid(
            "`outputSchema` must be an object: a JSON Schema",
        ));
    }
    jsonschema::validator_for(schema)
        .map(|_| ())
        .map_err(|error| {
            ApiError::invalid(format!(
                "`outputSchema` is not a usable JSON Schema: {error}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, caller: Option<Sandbox>) -> Result<(), ApiError> {
        let given = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
        variables(&given, caller)
    }

    #[test]
    fn a_sandboxed_caller_sets_no_powerful_variable() {
        let confined = Some(Sandbox::WorkspaceWrite);
        for name in [
            "PATH",
            "TMPDIR",
            "temp",
            "CODEX_HOME",
            "CODEX_API_KEY",
            "CODEX_SQLITE_HOME",
            "OPENAI_BASE_URL",
            "HTTPS_PROXY",
            "https_proxy",
            "SSL_CERT_FILE",
            "NODE_OPTIONS",
            "npm_config_script_shell",
            "PYTHONPATH",
            "PERL5OPT",
            "RUBYOPT",
            "CONVOKE_HOME",
            "LD_PRELOAD",
            "BASH_ENV",
        ] {
            let error = set(name, confined).unwrap_err();
            assert_eq!(error.code, RequestCode::PowerExceeded, "{name}");
            assert!(error.message.contains(name), "{}", error.message);
            assert!(set(name, None).is_ok(), "{name}");
            assert!(set(name, Some(Sandbox::DangerFullAccess)).is_ok(), "{name}");
        }
        for name in [
            "LANG",
            "MY_TOKEN",
            "CODEX_MCP_MAX_JOBS",
            "CODEX_ORCHESTRATOR_X",
            "CODEX_DELEGATE_X",
            "CODEX_AUTOPILOT_X",
            "PATHS",
            "TEMPERATURE",
        ] {
            assert!(set(name, confined).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_sandboxed_caller_sets_harmless_keys_only() {
        let pairs = vec!["mcp_servers.enabled_tools.command=\"sh\"".to_owned()];
        let error = overrides(&pairs, Some(Sandbox::ReadOnly)).unwrap_err();
        assert_eq!(error.code, RequestCode::PowerExceeded);
        assert!(error.message.contains("mcp_servers.enabled_tools.command"));
        assert!(overrides(&pairs, None).is_ok());
        let pairs = vec!["model=\"x\"".to_owned()];
        assert!(overrides(&pairs, Some(Sandbox::ReadOnly)).is_ok());
    }
}
