//! Holding an agent and everything it starts together, by the best means there
//! is; the file per platform offers the same [`Container`].

#[cfg(target_os = "linux")]
mod init;
#[cfg(target_os = "linux")]
pub(crate) mod isolate;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod macos;
#[cfg(target_os = "linux")]
mod namespace;

mod tree;

#[cfg(target_os = "linux")]
pub use linux::Container;
#[cfg(not(target_os = "linux"))]
pub use macos::Container;

use crate::process::{Handle, ProcessRef};

/// How an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentExit {
    /// Exit code; none when a signal ended it.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended it.
    pub signal: Option<i32>,
}

impl AgentExit {
    /// From a status of `waitpid`; none when the process only stopped.
    pub fn from_status(status: i32) -> Option<Self> {
        let exit_code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
        (exit_code.is_some() || signal.is_some()).then_some(Self { exit_code, signal })
    }

    /// The end of an agent that went down with its container.
    pub fn killed() -> Self {
        Self {
            exit_code: None,
            signal: Some(libc::SIGKILL),
        }
    }
}

/// A started agent.
#[derive(Debug)]
pub struct Agent {
    /// Which process it is.
    pub process: ProcessRef,
    /// For signals.
    pub handle: Handle,
}
