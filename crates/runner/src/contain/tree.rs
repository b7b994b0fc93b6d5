//! Containment without namespaces: the runner forks the agent itself, and knows
//! the tree by parents, by what it saw before, and by our mark.

use std::io;
use std::time::Duration;

use convoke_core::liveness::Usage;
use rustix::process::{Pid, Signal, WaitOptions, getpid, wait};

use super::{Agent, AgentExit};
use crate::child::{self, ExecArgs};
use crate::launch::{ChildEnds, Program};
use crate::process::{self, Handle, ProcessRef};
use crate::{clock, sweep, sys};

/// How long one round of killing waits before it looks again, in milliseconds.
const ROUND_MS: u64 = 200;

/// An agent held by its ancestry.
#[derive(Debug)]
pub struct Tree {
    runner_id: String,
    /// Descendants seen at any time, the agent left out.
    seen: Vec<ProcessRef>,
    agent: Option<ProcessRef>,
    /// The agent's end, until it is asked for.
    exit: Option<AgentExit>,
}

impl Tree {
    pub fn new(runner_id: &str) -> Self {
        Self {
            runner_id: runner_id.to_owned(),
            seen: Vec::new(),
            agent: None,
            exit: None,
        }
    }

    /// Forks the agent, which waits for its go. `in_child` runs in it first; when
    /// it says false, the child ends.
    pub fn start(
        &mut self,
        program: &Program,
        ends: &ChildEnds,
        in_child: fn(i32) -> bool,
    ) -> io::Result<Agent> {
        let args = ExecArgs::new(program);
        let runner = getpid().as_raw_pid();
        // SAFETY: the runner has one thread; the child never returns.
        let pid = unsafe { sys::raw_fork(0) }?;
        if pid == 0 {
            if !in_child(runner) {
                // SAFETY: ends the child without running anything of the parent.
                unsafe { libc::_exit(126) };
            }
            // SAFETY: freshly forked; `args` points into `program`.
            unsafe { child::become_agent(program, &args, ends) };
        }
        let gone = || io::Error::other("the agent's process vanished");
        let stat = process::stat(pid).ok_or_else(gone)?;
        let agent = process::reference(&stat);
        let handle = Handle::open(&agent).ok_or_else(gone)?;
        self.agent = Some(agent.clone());
        Ok(Agent {
            process: agent,
            handle,
        })
    }

    /// Reaps whatever ended; the agent's end, once.
    pub fn reap(&mut self) -> Option<AgentExit> {
        self.reap_children();
        self.exit.take()
    }

    fn reap_children(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.agent.as_ref().is_some_and(|agent| is(agent, pid)) {
                self.exit = AgentExit::from_status(status.as_raw());
                // A reaped process's id may be anybody's.
                self.agent = None;
            }
        }
    }

    /// Every running process below the runner but the agent.
    pub fn below(&self) -> Vec<ProcessRef> {
        let mut found = sweep::find_below(getpid().as_raw_pid(), &self.runner_id);
        found.retain(|process| self.agent.as_ref().is_none_or(|a| a.pid != process.pid));
        found
    }

    /// What the runner, which does next to nothing itself, and everything below
    /// it used so far.
    pub fn usage(&self) -> Usage {
        let used = process::usage_of_trees(&[getpid().as_raw_pid()]);
        used.into_iter().next().unwrap_or_default()
    }

    /// Looks at the tree; its processes when they changed since the last look.
    pub fn observe(&mut self) -> Option<Vec<ProcessRef>> {
        let now = self.below();
        let same = now.len() == self.seen.len()
            && now.iter().all(|process| {
                self.seen
                    .iter()
                    .any(|s| (s.pid, s.start_time) == (process.pid, process.start_time))
            });
        if same {
            return None;
        }
        // What is gone is dropped; what left the tree but lives is kept.
        self.seen.retain(process::is_alive);
        for process in &now {
            if !self.seen.iter().any(|s| s.pid == process.pid) {
                self.seen.push(process.clone());
            }
        }
        Some(self.seen.clone())
    }

    /// Everything that belongs to the agent, itself included.
    fn all(&self) -> Vec<ProcessRef> {
        let mut all = sweep::find_below(getpid().as_raw_pid(), &self.runner_id);
        let marked = process::find_by_mark(&self.runner_id, process::own_start_time());
        let seen = self
            .seen
            .iter()
            .filter(|s| process::is_alive(s) && !process::is_protected(s.pid, &self.runner_id))
            .cloned();
        for process in marked.into_iter().chain(seen) {
            if !all.iter().any(|known| known.pid == process.pid) {
                all.push(process);
            }
        }
        all
    }

    /// Kills everything, once.
    pub fn kill(&mut self) {
        sweep::signal_all(&self.all(), Signal::KILL);
    }

    /// Kills until nothing is left or the deadline (monotonic milliseconds) has
    /// come; what is left.
    pub fn sweep(&mut self, deadline: u64) -> Vec<ProcessRef> {
        loop {
            let all = self.all();
            let left_ms = deadline.saturating_sub(clock::mono_ms());
            if all.is_empty() || left_ms == 0 {
                return all;
            }
            sweep::kill_and_wait(&all, Duration::from_millis(left_ms.min(ROUND_MS)));
            self.reap_children();
        }
    }
}

fn is(agent: &ProcessRef, pid: Pid) -> bool {
    agent.pid == pid.as_raw_pid()
}
