//! How Codex knows us: the entry of its configuration that starts `convoke
//! mcp`, and whether its jobs see the same folders as we do.

use std::path::{Path, PathBuf};

use convoke_api::doctor::Check;
use toml::{Table, Value};

use super::{ok, warning};
use crate::environment::{self, CODEX_HOME, CONVOKE_HOME};

/// Name of the check whether there is an entry. The daemon asks Codex itself
/// under the same name, which counts more.
const REGISTRATION: &str = "codex.registration";
/// Name of the check of the entry's settings.
const SETTINGS: &str = "codex.settings";
/// How long a call may take, seconds; waits of our tools fit in.
const TOOL_TIMEOUT_SEC: i64 = 900;
/// Where tools are not to be hidden.
const OMIT_TOOLS_FROM: [&str; 2] = ["deferred", "code_mode"];
/// Variables Codex would strip.
const ENV_VARS: [&str; 2] = [CODEX_HOME, CONVOKE_HOME];

/// The recommended entry.
const RECOMMENDED: &str = r#"[mcp_servers.convoke]
command = "convoke"
args = ["mcp"]
supports_parallel_tool_calls = true
tool_timeout_sec = 900
omit_tools_from = ["deferred", "code_mode"]
env_vars = ["CODEX_HOME", "CONVOKE_HOME"]"#;

/// The checks of Codex's configuration.
pub fn checks() -> Vec<Check> {
    let set: Vec<(&str, String)> = ENV_VARS
        .into_iter()
        .filter_map(|name| {
            Some((
                name,
                environment::value(name)?.to_string_lossy().into_owned(),
            ))
        })
        .collect();
    let Some(file) = config_file() else {
        return vec![unregistered("neither HOME nor CODEX_HOME is set", None)];
    };
    match fs_err::read_to_string(&file) {
        Ok(text) => of_text(&file, &text, &set),
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => {
            vec![unregistered("Codex has no configuration", Some(&file))]
        }
        Err(problem) => vec![unregistered(&problem.to_string(), Some(&file))],
    }
}

fn config_file() -> Option<PathBuf> {
    let folder = match environment::value(CODEX_HOME) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(environment::value(environment::HOME)?).join(".codex"),
    };
    Some(folder.join("config.toml"))
}

fn of_text(file: &Path, text: &str, set: &[(&str, String)]) -> Vec<Check> {
    let config: Table = match text.parse() {
        Ok(config) => config,
        Err(problem) => {
            let message = format!("{} is not TOML: {problem}", file.display());
            return vec![warning(REGISTRATION, message, "correct the file")];
        }
    };
    let Some((name, entry)) = our_entry(&config) else {
        return vec![unregistered("Codex does not know convoke", Some(file))];
    };
    let mut checks = vec![of_entry(file, name, entry)];
    checks.extend(
        set.iter()
            .map(|(variable, value)| of_variable(name, entry, variable, value)),
    );
    checks
}

fn unregistered(why: &str, file: Option<&Path>) -> Check {
    let place = file.map_or_else(
        || "Codex's config.toml".to_owned(),
        |file| file.display().to_string(),
    );
    let repair = format!("put into {place}:\n{RECOMMENDED}");
    warning(REGISTRATION, why, repair)
}

/// The entry whose command is this program under its name, with `mcp` among
/// its arguments.
fn our_entry(config: &Table) -> Option<(&str, &Table)> {
    let servers = config.get("mcp_servers")?.as_table()?;
    servers.iter().find_map(|(name, entry)| {
        let entry = entry.as_table()?;
        let command = Path::new(entry.get("command")?.as_str()?);
        let arguments = words(entry.get("args"));
        let is_ours = command.file_name()? == "convoke" && arguments.contains(&"mcp");
        is_ours.then_some((name.as_str(), entry))
    })
}

fn of_entry(file: &Path, name: &str, entry: &Table) -> Check {
    let mut wanted = Vec::new();
    if entry.get("enabled").and_then(Value::as_bool) == Some(false) {
        wanted.push("enabled = true".to_owned());
    }
    if entry
        .get("supports_parallel_tool_calls")
        .and_then(Value::as_bool)
        != Some(true)
    {
        wanted.push("supports_parallel_tool_calls = true".to_owned());
    }
    let timeout = entry.get("tool_timeout_sec").and_then(seconds);
    if timeout.is_none_or(|timeout| timeout < TOOL_TIMEOUT_SEC) {
        wanted.push(format!("tool_timeout_sec = {TOOL_TIMEOUT_SEC}"));
    }
    if !has_all(entry.get("omit_tools_from"), &OMIT_TOOLS_FROM) {
        wanted.push(r#"omit_tools_from = ["deferred", "code_mode"]"#.to_owned());
    }
    if !has_all(entry.get("env_vars"), &ENV_VARS) {
        wanted.push(r#"env_vars = ["CODEX_HOME", "CONVOKE_HOME"]"#.to_owned());
    }
    if wanted.is_empty() {
        return ok(
            SETTINGS,
            format!("mcp_servers.{name} in {}", file.display()),
        );
    }
    let message = format!("mcp_servers.{name} in {} could be better", file.display());
    let repair = format!("set in [mcp_servers.{name}]:\n{}", wanted.join("\n"));
    warning(SETTINGS, message, repair)
}

/// Whether a variable that is set here reaches the server: else its jobs look
/// into other folders than ours.
fn of_variable(server: &str, entry: &Table, variable: &str, value: &str) -> Check {
    let check = &format!("codex.env.{variable}");
    let fixed = entry
        .get("env")
        .and_then(|env| env.get(variable))
        .and_then(Value::as_str);
    let handed_on = words(entry.get("env_vars")).contains(&variable);
    match fixed {
        Some(fixed) if fixed == value => {
            ok(check, format!("{variable}={value}, also in Codex's server"))
        }
        Some(fixed) => warning(
            check,
            format!("{variable} is {value} here and {fixed} in Codex's server"),
            format!("make `env.{variable}` of [mcp_servers.{server}] the same, or leave it out"),
        ),
        None if handed_on => ok(check, format!("{variable}={value}, handed on by Codex")),
        None => warning(
            check,
            format!("{variable} is {value} here, and Codex does not hand it on to its server"),
            format!("add {variable} to `env_vars` of [mcp_servers.{server}]"),
        ),
    }
}

fn seconds(value: &Value) -> Option<i64> {
    // A fraction of a second more or less decides nothing.
    value
        .as_integer()
        .or_else(|| value.as_float().map(|seconds| seconds as i64))
}

fn has_all(value: Option<&Value>, wanted: &[&str]) -> bool {
    let words = words(value);
    wanted.iter().all(|word| words.contains(word))
}

fn words(value: Option<&Value>) -> Vec<&str> {
    let list = value.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    use convoke_api::doctor::Verdict;

    use super::*;

    fn of(text: &str, set: &[(&str, &str)]) -> Vec<Check> {
        let set: Vec<(&str, String)> = set
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        of_text(Path::new("/c/config.toml"), text, &set)
    }

    #[test]
    fn the_recommended_entry_is_fine() {
        let checks = of(RECOMMENDED, &[(CODEX_HOME, "/c"), (CONVOKE_HOME, "/h")]);
        assert!(
            checks.iter().all(|check| check.verdict == Verdict::Ok),
            "{checks:#?}"
        );
        assert_eq!(checks.len(), 3);
    }

    #[test]
    fn a_bare_entry_could_be_better() {
        let text = "[mcp_servers.jobs]\ncommand = \"/usr/bin/convoke\"\nargs = [\"mcp\"]\ntool_timeout_sec = 60.5\nenabled = false";
        let checks = of(text, &[]);
        insta::assert_snapshot!(checks[0].repair.as_deref().unwrap(), @r#"
        set in [mcp_servers.jobs]:
        enabled = true
        supports_parallel_tool_calls = true
        tool_timeout_sec = 900
        omit_tools_from = ["deferred", "code_mode"]
        env_vars = ["CODEX_HOME", "CONVOKE_HOME"]
        "#);
    }

    #[test]
    fn others_are_not_ours() {
        let text = "[mcp_servers.docs]\ncommand = \"docs\"\n[mcp_servers.web]\nurl = \"x\"";
        assert_eq!(of(text, &[])[0].message, "Codex does not know convoke");
        assert!(of("[", &[])[0].message.contains("is not TOML"));
    }

    #[test]
    fn stripped_variables_are_named() {
        let text = "[mcp_servers.c]\ncommand = \"convoke\"\nargs = [\"mcp\"]\n[mcp_servers.c.env]\nCONVOKE_HOME = \"/other\"";
        let checks = of(text, &[(CODEX_HOME, "/c"), (CONVOKE_HOME, "/h")]);
        let said: Vec<&str> = checks[1..]
            .iter()
            .map(|check| check.message.as_str())
            .collect();
        insta::assert_debug_snapshot!(said, @r#"
        [
            "CODEX_HOME is /c here, and Codex does not hand it on to its server",
            "CONVOKE_HOME is /h here and /other in Codex's server",
        ]
        "#);
    }
}
