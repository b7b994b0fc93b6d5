//! The guard against recursion: inside a job no daemon is started.
//!
//! A daemon started there would live in the job's process tree, be ended with
//! it, and hand its jobs more power than the job has.

use crate::{ancestry, error::ClientError};

/// Variables that mark a job's processes.
const MARKS: [&str; 2] = ["CONVOKE_JOB_ID", "CONVOKE_RUNNER_ID"];
/// Set by Codex in the environment of sandboxed commands.
const CODEX_SANDBOX: [&str; 2] = ["CODEX_SANDBOX", "CODEX_SANDBOX_NETWORK_DISABLED"];
/// First argument of a runner's command line.
const RUNNER_ARGUMENT: &str = "__runner";
/// Process trees are not deeper than this; guards against a loop while parents
/// change.
const MAX_ANCESTORS: usize = 256;

/// How we know that this process belongs to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The environment carries our mark.
    Mark {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
    },
    /// A runner is among the ancestors.
    Runner {
        /// Its process id.
        pid: u32,
    },
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mark { variable, value } => write!(f, "{variable}={value} is set"),
            Self::Runner { pid } => write!(f, "process {pid}, an ancestor, is a runner"),
        }
    }
}

/// Whether this process runs inside a job, and how that shows.
#[must_use]
pub fn inside_job() -> Option<Evidence> {
    mark().or_else(runner_above)
}

fn mark() -> Option<Evidence> {
    MARKS.iter().find_map(|name| {
        let value = std::env::var_os(name)?;
        Some(Evidence::Mark {
            variable: (*name).to_owned(),
            value: value.to_string_lossy().into_owned(),
        })
    })
}

fn runner_above() -> Option<Evidence> {
    let mut pid = std::process::id();
    for _ in 0..MAX_ANCESTORS {
        pid = ancestry::parent(pid)?;
        if ancestry::first_argument(pid).as_deref() == Some(RUNNER_ARGUMENT) {
            return Some(Evidence::Runner { pid });
        }
    }
    None
}

/// The error of a process that may not start a daemon, if this is one.
pub(crate) fn refusal() -> Option<ClientError> {
    if let Some(evidence) = inside_job() {
        return Some(
            ClientError::unavailable(format!(
                "no daemon is started from inside a job ({evidence})"
            ))
            .advise("ask from outside the job; workers do not start further workers"),
        );
    }
    let variable = CODEX_SANDBOX
        .iter()
        .find(|name| std::env::var_os(name).is_some())?;
    Some(sandboxed(format!(
        "a daemon started in Codex's sandbox would end with the command ({variable} is set)"
    )))
}

/// The error of a process in an agent's sandbox.
pub(crate) fn sandboxed(message: String) -> ClientError {
    ClientError::unavailable(message).advise(
        "use the MCP tools instead of the command line, or run the command outside the sandbox",
    )
}
