//! Finds Codex for a job and asks it what it can do.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use convoke_agents::codex_exec::{
    native_binary::{self, Platform},
    probe::{self, Capabilities, Login, ProbeError, Registration, Version},
};

use super::{Discovery, Environment, FileStamp, look_up, registrations};

/// How long Codex may take to answer a question about itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A Codex that a job can use.
#[derive(Clone, Debug)]
pub struct Codex {
    /// The native program, or the launcher if that is all there is.
    pub program: PathBuf,
    /// What was found in the PATH.
    pub found: PathBuf,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// Codex cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CodexError {
    /// It is not in the PATH.
    #[error("no program `codex` in the PATH of the job ({path})")]
    NotFound {
        /// The PATH.
        path: String,
    },
    /// It cannot be run.
    #[error("cannot run {} {arguments}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It did not answer in time.
    #[error("{} {arguments} did not answer within {} s", program.display(), ANSWER_WITHIN.as_secs())]
    Silent {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: String,
    },
    /// It ended with an error.
    #[error("{} {arguments} failed: {message}", program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: String,
        /// What it printed.
        message: String,
    },
    /// Its answer is not understood.
    #[error("{} cannot be used", program.display())]
    Probe {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: ProbeError,
    },
}

struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Discovery {
    /// Finds Codex: `configured`, else in the job's PATH.
    ///
    /// # Errors
    /// It is not there, cannot be run, or is too old.
    pub async fn codex(
        &self,
        configured: Option<&Path>,
        environment: &Environment,
        folder: &Path,
    ) -> Result<Codex, CodexError> {
        let path = environment.get("PATH").map(String::as_str);
        let found = match configured {
            Some(program) => Some(program.to_owned()),
            None => look_up("codex", path, folder),
        };
        let found = found.ok_or_else(|| CodexError::NotFound {
            path: path.unwrap_or_default().to_owned(),
        })?;
        let program = native(&found);
        let stamp = FileStamp::of(&program);
        let capabilities = match self.known_capabilities(&stamp) {
            Some(known) => known,
            None => {
                let asked = capabilities(&program, environment, folder).await?;
                self.remember_capabilities(stamp, asked.clone());
                asked
            }
        };
        Ok(Codex {
            program,
            found,
            capabilities,
        })
    }

    /// The MCP servers a turn with this profile and these overrides would get,
    /// those of this program marked.
    ///
    /// # Errors
    /// Codex does not answer: no worker may start then, because the recursion
    /// guard could not be set.
    pub async fn registrations(
        &self,
        codex: &Codex,
        turn: &TurnSettings<'_>,
        environment: &Environment,
        folder: &Path,
        own_program: &Path,
    ) -> Result<Vec<Registration>, CodexError> {
        let key = registrations::key(turn, environment, folder, &codex.program);
        if let Some(known) = self.known_registrations(&key) {
            return Ok(known);
        }
        let arguments = probe::mcp_list_args(turn.profile, turn.overrides);
        let answer = ask_successfully(&codex.program, &arguments, environment, folder).await?;
        let mut list =
            probe::parse_registrations(&answer.stdout).map_err(|source| CodexError::Probe {
                program: codex.program.clone(),
                source,
            })?;
        for registration in &mut list {
            registration.ours =
                registrations::is_ours(registration, environment, folder, own_program);
        }
        self.remember_registrations(key, list.clone());
        Ok(list)
    }

    /// Whether Codex has credentials. Not remembered: it changes by itself.
    ///
    /// # Errors
    /// Codex does not answer.
    pub async fn login(
        &self,
        codex: &Codex,
        environment: &Environment,
        folder: &Path,
    ) -> Result<Login, CodexError> {
        let arguments: Vec<String> = probe::LOGIN_STATUS_ARGS
            .iter()
            .map(|a| (*a).to_owned())
            .collect();
        let answer = ask(&codex.program, &arguments, environment, folder).await?;
        Ok(probe::parse_login_status(
            answer.code,
            &answer.stdout,
            &answer.stderr,
        ))
    }
}

/// Settings of a turn that decide which MCP servers it gets.
#[derive(Clone, Copy, Debug)]
pub struct TurnSettings<'a> {
    /// Codex profile.
    pub profile: Option<&'a str>,
    /// `key=value` pairs.
    pub overrides: &'a [String],
}

/// The native program behind an npm launcher, or the program itself.
fn native(found: &Path) -> PathBuf {
    let resolved = fs_err::canonicalize(found).unwrap_or_else(|_| found.to_owned());
    let platform = Platform::named(std::env::consts::OS, std::env::consts::ARCH);
    let candidates = platform
        .map(|platform| native_binary::candidates(&resolved, platform))
        .unwrap_or_default();
    candidates
        .into_iter()
        .find(|candidate| candidate.is_file())
        .unwrap_or(resolved)
}

async fn capabilities(
    program: &Path,
    environment: &Environment,
    folder: &Path,
) -> Result<Capabilities, CodexError> {
    let arguments: Vec<String> = probe::VERSION_ARGS
        .iter()
        .map(|a| (*a).to_owned())
        .collect();
    let answer = ask_successfully(program, &arguments, environment, folder).await?;
    Version::parse(&answer.stdout)
        .and_then(Capabilities::of)
        .map_err(|source| CodexError::Probe {
            program: program.to_owned(),
            source,
        })
}

async fn ask_successfully(
    program: &Path,
    arguments: &[String],
    environment: &Environment,
    folder: &Path,
) -> Result<Answer, CodexError> {
    let answer = ask(program, arguments, environment, folder).await?;
    if answer.code == Some(0) {
        return Ok(answer);
    }
    let message: String = answer.stderr.trim().chars().take(2_000).collect();
    Err(CodexError::Failed {
        program: program.to_owned(),
        arguments: arguments.join(" "),
        message,
    })
}

async fn ask(
    program: &Path,
    arguments: &[String],
    environment: &Environment,
    folder: &Path,
) -> Result<Answer, CodexError> {
    let run = tokio::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let arguments = arguments.join(" ");
    let output = match tokio::time::timeout(ANSWER_WITHIN, run).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => {
            return Err(CodexError::Run {
                program: program.to_owned(),
                arguments,
                source,
            });
        }
        Err(_) => {
            return Err(CodexError::Silent {
                program: program.to_owned(),
                arguments,
            });
        }
    };
    Ok(Answer {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
