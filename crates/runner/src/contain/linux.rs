//! Containment on Linux: a PID namespace, or else a subreaper.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use convoke_core::liveness::Usage;
use convoke_core::runner_protocol::{ContainmentPolicy, ContainmentReport, Rung, RunnerSpec};
use rustix::process::{
    Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal,
};

use super::namespace::Namespace;
use super::tree::Tree;
use super::{Agent, AgentExit};
use crate::launch::{ChildEnds, Program, StartError};
use crate::overlay;
use crate::process::ProcessRef;

/// Holds an agent and everything it starts.
#[derive(Debug)]
pub struct Container {
    report: ContainmentReport,
    hold: Hold,
    /// Kept until the agent is started, where the runner forks it itself.
    ends: Option<ChildEnds>,
}

#[derive(Debug)]
enum Hold {
    Namespace(Namespace),
    Tree(Tree),
}

impl Container {
    /// Sets up the best containment the policy allows.
    ///
    /// # Errors
    /// An overlay is wanted and cannot be laid: it lies in a namespace, and without
    /// it the agent would write in the tree.
    pub fn new(spec: &RunnerSpec, program: &Program, ends: ChildEnds) -> Result<Self, StartError> {
        let planned = spec.overlay.as_ref();
        let reason = match spec.containment {
            ContainmentPolicy::NoNamespaces => "namespaces were not wanted".to_owned(),
            ContainmentPolicy::Best => {
                match Namespace::create(&spec.runner_id, program, &ends, planned) {
                    // The child's ends close here: the init has them.
                    Ok(namespace) => {
                        return Ok(Self {
                            report: ContainmentReport {
                                rung: Rung::PidNamespace,
                                detail: String::new(),
                            },
                            hold: Hold::Namespace(namespace),
                            ends: None,
                        });
                    }
                    Err(reason) => format!("no PID namespace: {reason}"),
                }
            }
        };
        if let Some(planned) = planned {
            return Err(overlay::failure(planned, &reason));
        }
        let (rung, detail) = match set_child_subreaper(Some(getpid())) {
            Ok(()) => (Rung::Subreaper, reason),
            Err(error) => (
                Rung::ProcessGroup,
                format!("{reason}; no subreaper: {error}"),
            ),
        };
        Ok(Self {
            report: ContainmentReport { rung, detail },
            hold: Hold::Tree(Tree::new(&spec.runner_id)),
            ends: Some(ends),
        })
    }

    /// The rung reached, and why not a better one.
    pub fn report(&self) -> &ContainmentReport {
        &self.report
    }

    /// Creates the agent's process, which waits for one byte on the go pipe.
    pub fn start(&mut self, program: &Program, go: &OwnedFd) -> io::Result<Agent> {
        match &mut self.hold {
            Hold::Namespace(namespace) => namespace.start(go),
            Hold::Tree(tree) => {
                let ends = self.ends.take().ok_or(io::ErrorKind::InvalidInput)?;
                tree.start(program, &ends, die_with_runner)
            }
        }
    }

    /// A descriptor to poll for reading, besides SIGCHLD.
    pub fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.hold {
            Hold::Namespace(namespace) => namespace.wake_fd(),
            Hold::Tree(_) => None,
        }
    }

    /// Reaps what ended; the agent's end if that was among it.
    pub fn reap(&mut self) -> Option<AgentExit> {
        match &mut self.hold {
            Hold::Namespace(namespace) => namespace.reap(),
            Hold::Tree(tree) => tree.reap(),
        }
    }

    /// Every running process of the tree but the agent.
    pub fn below(&self) -> Vec<ProcessRef> {
        match &self.hold {
            Hold::Namespace(namespace) => namespace.below(),
            Hold::Tree(tree) => tree.below(),
        }
    }

    /// What the tree used so far.
    pub fn usage(&self) -> Usage {
        match &self.hold {
            Hold::Namespace(namespace) => namespace.usage(),
            Hold::Tree(tree) => tree.usage(),
        }
    }

    /// The tree's processes when they are worth recording and changed.
    pub fn observe(&mut self) -> Option<Vec<ProcessRef>> {
        match &mut self.hold {
            Hold::Namespace(_) => None,
            Hold::Tree(tree) => tree.observe(),
        }
    }

    /// Kills everything, once.
    pub fn kill(&mut self) {
        match &mut self.hold {
            Hold::Namespace(namespace) => namespace.kill(),
            Hold::Tree(tree) => tree.kill(),
        }
    }

    /// Kills until nothing is left or the deadline (monotonic milliseconds) has
    /// come; what is left.
    pub fn sweep(&mut self, deadline: u64) -> Vec<ProcessRef> {
        match &mut self.hold {
            Hold::Namespace(namespace) => namespace.sweep(deadline),
            Hold::Tree(tree) => tree.sweep(deadline),
        }
    }
}

/// Ties the agent's life to the runner's main thread; false when the runner ended
/// before that could be said.
fn die_with_runner(runner: i32) -> bool {
    set_parent_process_death_signal(Some(Signal::KILL)).is_ok()
        && getppid().is_some_and(|parent| parent.as_raw_pid() == runner)
}
