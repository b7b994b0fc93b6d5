//! What is needed to execute the agent, prepared before any fork: program,
//! arguments, environment, and the pipes.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use convoke_core::runner_protocol::{EnvFile, RunnerSpec, StartFailure};
use rustix::fs::Access;
use rustix::io::ioctl_fionbio;

use crate::sys;

/// Where programs are looked up when the agent's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why the agent cannot be started.
#[derive(Debug)]
pub struct StartError {
    /// What kind of fault.
    pub kind: StartFailure,
    /// The fault in words.
    pub message: String,
}

impl StartError {
    pub(crate) fn new(kind: StartFailure, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// A program ready to be executed.
#[derive(Debug)]
pub struct Program {
    pub(crate) path: CString,
    pub(crate) argv: Vec<CString>,
    pub(crate) envp: Vec<CString>,
    pub(crate) cwd: CString,
}

impl Program {
    /// Reads the environment and resolves the program of a spec.
    pub fn prepare(spec: &RunnerSpec) -> Result<Self, StartError> {
        let mut vars = read_environment(&spec.env_file)?;
        vars.extend(spec.extra_env.clone());
        if spec.overlay.is_none() {
            // One within an overlay is found by the child alone.
            check_cwd(&spec.cwd)?;
        }
        let name = spec
            .argv
            .first()
            .ok_or_else(|| StartError::new(StartFailure::Other, "the command is empty"))?;
        let path = resolve(name, vars.get("PATH").map(String::as_str), &spec.cwd)?;
        let argv = spec
            .argv
            .iter()
            .map(|word| c_string(word.clone(), StartFailure::Other, "an argument"))
            .collect::<Result<_, _>>()?;
        let envp = vars
            .into_iter()
            .map(|(name, value)| {
                let what = format!("the variable {name}");
                c_string(format!("{name}={value}"), StartFailure::Env, &what)
            })
            .collect::<Result<_, _>>()?;
        let cwd = spec.cwd.clone().into_os_string();
        Ok(Self {
            path: c_string(path.into_os_string(), StartFailure::Other, "the program")?,
            argv,
            envp,
            cwd: c_string(cwd, StartFailure::Cwd, "the working folder")?,
        })
    }

    /// Words for a failed start, from the step and error number a child sent.
    pub fn failure(&self, step: Step, error: &io::Error) -> StartError {
        let (kind, what) = match step {
            Step::Cwd => (StartFailure::Cwd, &self.cwd),
            Step::Exec => {
                let kind = match error.kind() {
                    io::ErrorKind::NotFound => StartFailure::NotFound,
                    io::ErrorKind::PermissionDenied => StartFailure::Permission,
                    _ => StartFailure::Other,
                };
                (kind, &self.path)
            }
        };
        StartError::new(kind, format!("{}: {error}", what.to_string_lossy()))
    }
}

/// The step at which a child failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Entering the working folder.
    Cwd,
    /// Executing the program.
    Exec,
}

/// The agent's ends of its pipes.
#[derive(Debug)]
pub struct ChildEnds {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// One byte lets the next step go; its end means the runner is gone.
    pub(crate) go: OwnedFd,
    /// Takes the error of a failed start; closed by a successful one.
    pub(crate) error: OwnedFd,
}

impl ChildEnds {
    pub(crate) fn raw(&self) -> [RawFd; 5] {
        [
            self.stdin.as_raw_fd(),
            self.stdout.as_raw_fd(),
            self.stderr.as_raw_fd(),
            self.go.as_raw_fd(),
            self.error.as_raw_fd(),
        ]
    }
}

/// The runner's ends of the agent's pipes; none of them blocks.
#[derive(Debug)]
pub struct RunnerEnds {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) go: OwnedFd,
    pub(crate) error: OwnedFd,
}

/// Makes all pipes of an agent.
pub fn pipes() -> io::Result<(RunnerEnds, ChildEnds)> {
    let (stdin_read, stdin_write) = sys::pipe()?;
    let (stdout_read, stdout_write) = sys::pipe()?;
    let (stderr_read, stderr_write) = sys::pipe()?;
    let (go_read, go_write) = sys::pipe()?;
    let (error_read, error_write) = sys::pipe()?;
    for fd in [&stdin_write, &stdout_read, &stderr_read, &error_read] {
        ioctl_fionbio(fd, true)?;
    }
    let runner = RunnerEnds {
        stdin: stdin_write,
        stdout: stdout_read,
        stderr: stderr_read,
        go: go_write,
        error: error_read,
    };
    let child = ChildEnds {
        stdin: stdin_read,
        stdout: stdout_write,
        stderr: stderr_write,
        go: go_read,
        error: error_write,
    };
    Ok((runner, child))
}

fn read_environment(path: &Path) -> Result<BTreeMap<String, String>, StartError> {
    let fault = |error: &dyn std::fmt::Display| {
        StartError::new(
            StartFailure::Env,
            format!("environment {}: {error}", path.display()),
        )
    };
    let text = fs::read(path).map_err(|e| fault(&e))?;
    let file: EnvFile = serde_json::from_slice(&text).map_err(|e| fault(&e))?;
    Ok(file.vars)
}

fn check_cwd(cwd: &Path) -> Result<(), StartError> {
    let fault = |message: String| {
        StartError::new(StartFailure::Cwd, format!("{}: {message}", cwd.display()))
    };
    let meta = fs::metadata(cwd).map_err(|error| fault(error.to_string()))?;
    match meta.is_dir() {
        true => Ok(()),
        false => Err(fault("not a folder".to_owned())),
    }
}

/// Looks a program up as a shell would, in the agent's own `PATH`.
fn resolve(name: &str, path: Option<&str>, cwd: &Path) -> Result<PathBuf, StartError> {
    if name.contains('/') {
        // Relative to the agent's working folder, which the child enters first.
        return Ok(PathBuf::from(name));
    }
    let path = path.unwrap_or(DEFAULT_PATH);
    let mut forbidden = None;
    for folder in path.split(':') {
        let candidate = cwd.join(folder).join(name);
        if !candidate.is_file() {
            continue;
        }
        if rustix::fs::access(&candidate, Access::EXEC_OK).is_ok() {
            return Ok(candidate);
        }
        forbidden.get_or_insert(candidate);
    }
    Err(match forbidden {
        Some(file) => StartError::new(
            StartFailure::Permission,
            format!("{}: not executable", file.display()),
        ),
        None => StartError::new(
            StartFailure::NotFound,
            format!("{name}: not found in PATH {path}"),
        ),
    })
}

fn c_string(
    text: impl Into<OsString>,
    kind: StartFailure,
    what: &str,
) -> Result<CString, StartError> {
    CString::new(text.into().into_vec())
        .map_err(|_| StartError::new(kind, format!("{what} holds a zero byte")))
}
