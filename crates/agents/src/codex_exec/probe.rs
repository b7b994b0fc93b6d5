//! What to ask an installed Codex, and how to read its answers.
//!
//! The daemon runs the program with these arguments, in the job's environment
//! and working folder, because the answers depend on `CODEX_HOME`, on the
//! folder and on whether it is trusted.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The oldest release whose stream and options are known to be alike.
pub const OLDEST: Version = Version::new(0, 100, 0);
/// The release everything here was tried with.
pub const REFERENCE: Version = Version::new(0, 169, 0);

/// Arguments that ask for the version.
pub const VERSION_ARGS: &[&str] = &["--version"];
/// Arguments that ask who is logged in.
pub const LOGIN_STATUS_ARGS: &[&str] = &["login", "status"];

/// Arguments that ask for the MCP servers a turn would get, with the same
/// profile and overrides as that turn: both can add servers. `-p` must stand
/// before the subcommand.
#[must_use]
pub fn mcp_list_args(profile: Option<&str>, overrides: &[String]) -> Vec<String> {
    let profile = profile.into_iter().flat_map(|name| ["-p", name]);
    let overrides = overrides.iter().flat_map(|pair| ["-c", pair]);
    profile
        .chain(["mcp", "list", "--json"])
        .chain(overrides)
        .map(str::to_owned)
        .collect()
}

/// Why an answer could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The answer names no version.
    #[error("`codex --version` answered {answer:?}, which names no version")]
    NoVersion {
        /// What it printed, cut.
        answer: String,
    },
    /// The program is older than [`OLDEST`].
    #[error(
        "codex {found} is too old: at least {OLDEST} is needed; update it with `npm install -g @openai/codex`"
    )]
    TooOld {
        /// The version found.
        found: Version,
    },
    /// The list of MCP servers is no JSON.
    #[error("`codex mcp list --json` did not answer with JSON")]
    RegistrationsNotJson {
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// The list of MCP servers has another shape.
    #[error("`codex mcp list --json` did not answer with a list of named servers")]
    RegistrationsShape,
}

/// A version of Codex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Patch number.
    pub patch: u32,
}

impl Version {
    /// A version of three numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads what `codex --version` prints, `codex-cli 0.169.0`. What follows
    /// the three numbers (`-alpha.2`) is ignored.
    ///
    /// # Errors
    ///
    /// [`ProbeError::NoVersion`].
    pub fn parse(answer: &str) -> Result<Self, ProbeError> {
        answer
            .split_whitespace()
            .find_map(Self::from_word)
            .ok_or_else(|| ProbeError::NoVersion {
                answer: answer.chars().take(200).collect(),
            })
    }

    fn from_word(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        let numbers = word.split(['-', '+']).next()?;
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        let version = Self::new(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What an installed Codex can do. A release newer than the reference is taken
/// to do what the reference does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Its version.
    pub version: Version,
    /// Whether this version was tried; false means that the switches of the
    /// recursion guard may be ignored by it.
    pub tried: bool,
    /// `-c` pairs that take away the agent's own sub-agent tools.
    pub native_agents_off: Vec<String>,
    /// `-c` pairs that keep the user's skills out of the prompt.
    pub host_skills_off: Vec<String>,
}

impl Capabilities {
    /// What `version` can do.
    ///
    /// # Errors
    ///
    /// [`ProbeError::TooOld`].
    pub fn of(version: Version) -> Result<Self, ProbeError> {
        if version < OLDEST {
            return Err(ProbeError::TooOld { found: version });
        }
        // All three are needed: the first two leave the tools of
        // `features.multi_agent_v2` in place when the user's configuration has
        // it, and taking only that away brings the older tools back.
        let native_agents_off = [
            "agents.enabled=false",
            "features.multi_agent=false",
            "features.multi_agent_v2=false",
        ];
        Ok(Self {
            version,
            tried: version >= REFERENCE,
            native_agents_off: native_agents_off.map(str::to_owned).to_vec(),
            host_skills_off: vec!["skills.include_instructions=false".to_owned()],
        })
    }
}

/// An MCP server a turn would get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its name.
    pub name: String,
    /// Whether Codex would start it.
    pub enabled: bool,
    /// How it is reached.
    pub transport: Transport,
    /// Whether it is this program under any name. [`parse_registrations`]
    /// leaves it false; the daemon resolves the command and sets it.
    #[serde(default)]
    pub ours: bool,
}

/// How an MCP server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Transport {
    /// Codex starts it.
    Stdio {
        /// The program as configured: a path or a name looked up in PATH.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its working folder, if configured.
        cwd: Option<String>,
    },
    /// It is reached over HTTP.
    Url {
        /// Where.
        url: String,
    },
    /// In a way not known here.
    Unknown,
}

/// Reads what `codex mcp list --json` prints on stdout. Unknown fields are
/// ignored and missing ones have defaults; an entry without a name is none.
///
/// # Errors
///
/// [`ProbeError::RegistrationsNotJson`], [`ProbeError::RegistrationsShape`].
pub fn parse_registrations(stdout: &str) -> Result<Vec<Registration>, ProbeError> {
    let value: Value = serde_json::from_str(stdout)
        .map_err(|source| ProbeError::RegistrationsNotJson { source })?;
    let entries = value.as_array().ok_or(ProbeError::RegistrationsShape)?;
    entries
        .iter()
        .map(|entry| registration(entry).ok_or(ProbeError::RegistrationsShape))
        .collect()
}

fn registration(entry: &Value) -> Option<Registration> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let transport = &entry["transport"];
    let transport = if let Some(command) = text(&transport["command"]) {
        let args = transport["args"].as_array().into_iter().flatten();
        Transport::Stdio {
            command,
            args: args.filter_map(text).collect(),
            cwd: text(&transport["cwd"]),
        }
    } else if let Some(url) = text(&transport["url"]) {
        Transport::Url { url }
    } else {
        Transport::Unknown
    };
    Some(Registration {
        name: text(&entry["name"])?,
        enabled: entry["enabled"].as_bool().unwrap_or(true),
        transport,
        ours: false,
    })
}

/// Whether Codex has credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Login {
    /// It has.
    LoggedIn {
        /// How, in its own words.
        how: String,
    },
    /// It has none of its own. `CODEX_API_KEY` in the job's environment, or a
    /// model provider with a key of its own, still lets a turn run.
    LoggedOut,
    /// The answer was not understood.
    Unknown {
        /// What it printed.
        answer: String,
    },
}

/// Reads the answer to `codex login status`, which comes on stderr. The first
/// line that is no warning counts.
#[must_use]
pub fn parse_login_status(exit_code: Option<i32>, stdout: &str, stderr: &str) -> Login {
    let line = stdout
        .lines()
        .chain(stderr.lines())
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("WARNING"))
        .unwrap_or_default();
    if line.to_lowercase().contains("not logged in") {
        return Login::LoggedOut;
    }
    let text = line.to_owned();
    match exit_code {
        Some(0) => Login::LoggedIn { how: text },
        _ => Login::Unknown { answer: text },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let table = [
            ("codex-cli 0.169.0\n", Version::new(0, 169, 0)),
            ("codex-cli 0.170.0-alpha.2", Version::new(0, 170, 0)),
            ("codex v1.2.3", Version::new(1, 2, 3)),
        ];
        for (answer, wanted) in table {
            assert_eq!(Version::parse(answer).unwrap(), wanted, "{answer}");
        }
        assert!(Version::parse("command not found").is_err());
        assert!(Version::parse("0.169").is_err());
    }

    #[test]
    fn the_version_says_what_it_can_do() {
        let reference = Capabilities::of(REFERENCE).unwrap();
        let newer = Capabilities::of(Version::new(2, 0, 0)).unwrap();
        assert_eq!(reference.native_agents_off, newer.native_agents_off);
        assert!(reference.tried && newer.tried);
        assert!(!Capabilities::of(Version::new(0, 150, 0)).unwrap().tried);
        let error = Capabilities::of(Version::new(0, 46, 0)).unwrap_err();
        assert!(
            error.to_string().contains("codex 0.46.0 is too old"),
            "{error}"
        );
    }

    #[test]
    fn the_list_is_asked_for_with_profile_and_overrides() {
        let overrides = ["a.b=1".to_owned()];
        let args = mcp_list_args(Some("fast"), &overrides);
        assert_eq!(args.join(" "), "-p fast mcp list --json -c a.b=1");
        assert_eq!(mcp_list_args(None, &[]).join(" "), "mcp list --json");
    }

    #[test]
    fn registrations_are_read() {
        let answer = r#"[
          {"name":"plain","enabled":true,"disabled_reason":null,"transport":{"type":"stdio","command":"/bin/cat","args":["a"],"env":null,"env_vars":[],"cwd":null},"auth_status":"unsupported"},
          {"name":"off","enabled":false,"transport":{"type":"stdio","command":"cat"}},
          {"name":"web","enabled":true,"transport":{"type":"streamable_http","url":"http://127.0.0.1:9/mcp","bearer_token_env_var":null}},
          {"name":"new","transport":{"type":"carrier_pigeon"}}
        ]"#;
        let registrations = parse_registrations(answer).unwrap();
        insta::assert_json_snapshot!(registrations, @r#"
        [
          {
            "name": "plain",
            "enabled": true,
            "transport": {
              "type": "stdio",
              "command": "/bin/cat",
              "args": [
                "a"
              ],
              "cwd": null
            },
            "ours": false
          },
          {
            "name": "off",
            "enabled": false,
            "transport": {
              "type": "stdio",
              "command": "cat",
              "args": [],
              "cwd": null
            },
            "ours": false
          },
          {
            "name": "web",
            "enabled": true,
            "transport": {
              "type": "url",
              "url": "http://127.0.0.1:9/mcp"
            },
            "ours": false
          },
          {
            "name": "new",
            "enabled": true,
            "transport": {
              "type": "unknown"
            },
            "ours": false
          }
        ]
        "#);
        assert!(parse_registrations("[]").unwrap().is_empty());
        assert!(parse_registrations("No MCP servers").is_err());
        assert!(parse_registrations("[{\"enabled\":true}]").is_err());
    }

    #[test]
    fn the_login_is_read() {
        let warning = "WARNING: proceeding, even though …\n";
        assert_eq!(
            parse_login_status(Some(1), "", &format!("{warning}Not logged in\n")),
            Login::LoggedOut
        );
        let how = "API key configured - ***".to_owned();
        assert_eq!(
            parse_login_status(Some(0), "", &format!("{warning}{how}\nAuthentication is …")),
            Login::LoggedIn { how }
        );
        assert_eq!(
            parse_login_status(Some(2), "", "error: unrecognized subcommand"),
            Login::Unknown {
                answer: "error: unrecognized subcommand".to_owned()
            }
        );
    }
}
