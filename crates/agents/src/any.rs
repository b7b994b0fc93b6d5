//! The driver of any job, chosen by its work and restored from its checkpoint
//! without knowing beforehand which one it is.

use convoke_core::{
    sandbox::Sandbox,
    spec::{JobSpec, Work},
};
use serde::{Deserialize, Serialize};

use crate::{
    codex_exec::CodexExec,
    command::Command,
    driver::{Account, AgentExit, Derived, Driver, Stream},
};

/// One of the drivers. Stored with a `type` that names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AnyDriver {
    /// Reads `codex exec --json`.
    CodexExec(CodexExec),
    /// Reads any program.
    Command(Command),
}

impl AnyDriver {
    /// A fresh driver for one attempt at `work`, run in the sandbox that
    /// Codex uses when nothing else is asked for. Prefer [`Self::for_job`],
    /// which knows better what a denied command could have been allowed.
    #[must_use]
    pub fn for_work(work: &Work) -> Self {
        Self::new(work, Sandbox::WorkspaceWrite)
    }

    /// A fresh driver for one attempt at the job.
    #[must_use]
    pub fn for_job(spec: &JobSpec) -> Self {
        Self::new(&spec.work, spec.sandbox)
    }

    /// Whether consecutive lines may be given to it as one, with their line
    /// breaks: a line alone means nothing to it, and a flood of short lines
    /// would be a flood of events.
    #[must_use]
    pub fn takes_blocks(&self) -> bool {
        matches!(self, Self::Command(_))
    }

    fn new(work: &Work, sandbox: Sandbox) -> Self {
        match work {
            Work::Agent(_) => Self::CodexExec(CodexExec::new(sandbox)),
            Work::Command { argv } => Self::Command(Command::new(argv)),
        }
    }
}

impl Driver for AnyDriver {
    fn on_line(&mut self, stream: Stream, line: &[u8]) -> Vec<Derived> {
        match self {
            Self::CodexExec(driver) => driver.on_line(stream, line),
            Self::Command(driver) => driver.on_line(stream, line),
        }
    }

    fn waits_for_provider(&self) -> Option<&str> {
        match self {
            Self::CodexExec(driver) => driver.waits_for_provider(),
            Self::Command(driver) => driver.waits_for_provider(),
        }
    }

    fn open_tool(&self) -> Option<(&str, &str)> {
        match self {
            Self::CodexExec(driver) => driver.open_tool(),
            Self::Command(driver) => driver.open_tool(),
        }
    }

    fn account(&self, exit: AgentExit) -> Account {
        match self {
            Self::CodexExec(driver) => driver.account(exit),
            Self::Command(driver) => driver.account(exit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_chooses_the_driver_and_the_checkpoint_names_it() {
        let work = Work::Command {
            argv: vec!["/bin/true".to_owned()],
        };
        let driver = AnyDriver::for_work(&work);
        let stored = serde_json::to_value(&driver).unwrap();
        assert_eq!(stored["type"], "command");
        let restored: AnyDriver = serde_json::from_value(stored).unwrap();
        assert_eq!(restored, driver);
    }
}
