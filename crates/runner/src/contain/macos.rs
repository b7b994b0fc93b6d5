//! Containment on macOS: the agent's group, what was seen below it, and our mark.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use convoke_core::liveness::Usage;
use convoke_core::runner_protocol::{ContainmentReport, Rung, RunnerSpec};

use super::tree::Tree;
use super::{Agent, AgentExit};
use crate::launch::{ChildEnds, Program, StartError};
use crate::overlay;
use crate::process::ProcessRef;

/// Holds an agent and everything it starts.
#[derive(Debug)]
pub struct Container {
    report: ContainmentReport,
    tree: Tree,
    ends: Option<ChildEnds>,
}

impl Container {
    /// Sets up the best containment there is.
    ///
    /// # Errors
    /// The spec has an overlay, which this system cannot lay.
    pub fn new(spec: &RunnerSpec, _program: &Program, ends: ChildEnds) -> Result<Self, StartError> {
        if let Some(planned) = &spec.overlay {
            return Err(overlay::failure(planned, overlay::NOT_POSSIBLE));
        }
        Ok(Self {
            report: ContainmentReport {
                rung: Rung::ProcessGroup,
                detail: "this system has no namespaces".to_owned(),
            },
            tree: Tree::new(&spec.runner_id),
            ends: Some(ends),
        })
    }

    /// The rung reached, and why not a better one.
    pub fn report(&self) -> &ContainmentReport {
        &self.report
    }

    /// Creates the agent's process, which waits for one byte on the go pipe.
    pub fn start(&mut self, program: &Program, _go: &OwnedFd) -> io::Result<Agent> {
        let ends = self.ends.take().ok_or(io::ErrorKind::InvalidInput)?;
        self.tree.start(program, &ends, |_| true)
    }

    /// A descriptor to poll for reading, besides SIGCHLD.
    pub fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Reaps what ended; the agent's end if that was among it.
    pub fn reap(&mut self) -> Option<AgentExit> {
        self.tree.reap()
    }

    /// Every running process of the tree but the agent.
    pub fn below(&self) -> Vec<ProcessRef> {
        self.tree.below()
    }

    /// What the tree used so far.
    pub fn usage(&self) -> Usage {
        self.tree.usage()
    }

    /// The tree's processes when they are worth recording and changed.
    pub fn observe(&mut self) -> Option<Vec<ProcessRef>> {
        self.tree.observe()
    }

    /// Kills everything, once.
    pub fn kill(&mut self) {
        self.tree.kill();
    }

    /// Kills until nothing is left or the deadline (monotonic milliseconds) has
    /// come; what is left.
    pub fn sweep(&mut self, deadline: u64) -> Vec<ProcessRef> {
        self.tree.sweep(deadline)
    }
}
