//! Containment in a PID namespace, seen from the runner.
//!
//! A user namespace is made with it only where that is needed (not as root), and
//! maps exactly the user's own id, so that a set-user-id program or a file
//! capability gives nothing inside; the capabilities that its first process has
//! end with the agent's exec.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use convoke_core::liveness::Usage;
use convoke_core::runner_protocol::Overlay;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use super::init::{self, Plan, REPORT_LEN, Report, STEPS};
use super::isolate::Mapping;
use super::{Agent, AgentExit};
use crate::child::ExecArgs;
use crate::launch::{ChildEnds, Program};
use crate::process::{self, Handle, ProcessRef};
use crate::sweep::{self, timespec};
use crate::{clock, sys};

/// How long an init may take for one step, in milliseconds.
const STEP_MS: u64 = 10_000;

/// A PID namespace and its init.
#[derive(Debug)]
pub struct Namespace {
    runner_id: String,
    init: ProcessRef,
    handle: Handle,
    report: OwnedFd,
    /// The init was reaped: with it, everything in the namespace is gone.
    ended: bool,
    /// The init sends no more reports.
    silent: bool,
    agent: Option<ProcessRef>,
}

impl Namespace {
    /// Makes the namespace; on an error nothing of it remains, and the reason is
    /// given in words.
    pub fn create(
        runner_id: &str,
        program: &Program,
        ends: &ChildEnds,
        overlay: Option<&Overlay>,
    ) -> Result<Self, String> {
        let (read, write) = sys::pipe().map_err(|e| format!("pipe: {e}"))?;
        let args = ExecArgs::new(program);
        let mut flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS;
        let mapping = Mapping::needed();
        if mapping.is_some() {
            flags |= libc::CLONE_NEWUSER;
        }
        // SAFETY: the runner has one thread; the child never returns.
        let pid = unsafe { sys::raw_fork(flags) }.map_err(|e| format!("clone: {e}"))?;
        if pid == 0 {
            let plan = Plan {
                program,
                args: &args,
                ends,
                report: &write,
                mapping,
                overlay,
            };
            // SAFETY: freshly cloned into the new namespaces.
            unsafe { init::run(&plan) };
        }
        drop(write);
        let mut made = Self::adopt(runner_id, pid, read)?;
        match made.next_report() {
            Ok(Report::Ready) => Ok(made),
            Ok(Report::Failed(step, errno)) => {
                made.discard();
                let step = usize::try_from(step).unwrap_or(0);
                let what = STEPS.get(step).unwrap_or(&"setting up");
                Err(format!("{what}: {}", io::Error::from_raw_os_error(errno)))
            }
            Ok(_) => {
                made.discard();
                Err("the first process spoke out of turn".to_owned())
            }
            Err(error) => {
                made.discard();
                Err(format!("the first process: {error}"))
            }
        }
    }

    fn adopt(runner_id: &str, pid: i32, report: OwnedFd) -> Result<Self, String> {
        // An unreaped child cannot lose its id, so it is always found.
        let found = process::stat(pid).map(|stat| process::reference(&stat));
        let init = found.ok_or("the first process vanished")?;
        let handle = Handle::open(&init).ok_or("the first process vanished")?;
        Ok(Self {
            runner_id: runner_id.to_owned(),
            init,
            handle,
            report,
            ended: false,
            silent: false,
            agent: None,
        })
    }

    /// Ends a namespace that is not used, and waits for it.
    fn discard(&mut self) {
        self.kill();
        if let Some(pid) = Pid::from_raw(self.init.pid) {
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
        self.ended = true;
    }

    /// Lets the init fork the agent, which then waits for its own go.
    pub fn start(&mut self, go: &OwnedFd) -> io::Result<Agent> {
        rustix::io::write(go, b"s")?;
        let Report::Forked(inner) = self.next_report()? else {
            return Err(io::Error::other("the namespace could not start a process"));
        };
        let gone = || io::Error::other("the agent's process vanished");
        // The agent waits for its go and is the only child of the init.
        let stat = process::first_child(self.init.pid).ok_or_else(gone)?;
        debug_assert!(inner > 1);
        let agent = process::reference(&stat);
        let handle = Handle::open(&agent).ok_or_else(gone)?;
        // Reports come from the poll loop from now on.
        ioctl_fionbio(&self.report, true)?;
        self.agent = Some(agent.clone());
        Ok(Agent {
            process: agent,
            handle,
        })
    }

    /// What to poll for reading; none once there is nothing more to come.
    pub fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        (!self.silent && self.agent.is_some()).then(|| self.report.as_fd())
    }

    /// Takes what the init reported; the agent's end if that was among it.
    pub fn reap(&mut self) -> Option<AgentExit> {
        let mut bytes = [0; REPORT_LEN];
        let mut exit = None;
        if self.agent.is_some() {
            match rustix::io::read(&self.report, &mut bytes) {
                Ok(REPORT_LEN) => {
                    if let Some(Report::Exited(status)) = Report::decode(bytes) {
                        exit = AgentExit::from_status(status);
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Ok(_) | Err(_) => self.silent = true,
            }
        }
        self.reap_init();
        if self.silent && self.ended && self.agent.is_some() {
            // A dying init closes its pipe before it takes the agent along, so only
            // its reaping proves the agent's end.
            exit = Some(AgentExit::killed());
        }
        if exit.is_some() {
            self.agent = None;
        }
        exit
    }

    fn reap_init(&mut self) {
        let Some(pid) = Pid::from_raw(self.init.pid).filter(|_| !self.ended) else {
            return;
        };
        if let Ok(Some(_)) | Err(Errno::CHILD) = waitpid(Some(pid), WaitOptions::NOHANG) {
            self.ended = true;
        }
    }

    /// Every running process of the namespace but init and agent.
    pub fn below(&self) -> Vec<ProcessRef> {
        let mut found = sweep::find_below(self.init.pid, &self.runner_id);
        found.retain(|process| self.agent.as_ref().is_none_or(|a| a.pid != process.pid));
        found
    }

    /// What the namespace used so far.
    pub fn usage(&self) -> Usage {
        let used = process::usage_of_trees(&[self.init.pid]);
        used.into_iter().next().unwrap_or_default()
    }

    /// Kills everything in the namespace.
    pub fn kill(&mut self) {
        if !self.ended {
            // It can only be gone already.
            let _ = self.handle.signal(Signal::KILL);
        }
    }

    /// Kills everything and waits until it is gone or the deadline (monotonic
    /// milliseconds) has come; what is left. An init is reaped only after every
    /// process of its namespace, so its end proves theirs.
    pub fn sweep(&mut self, deadline: u64) -> Vec<ProcessRef> {
        self.kill();
        loop {
            self.reap_init();
            let now = clock::mono_ms();
            if self.ended || now >= deadline {
                break;
            }
            let limit = timespec((deadline - now).min(50));
            let mut fds: Vec<PollFd<'_>> = self
                .handle
                .as_fd()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .into_iter()
                .collect();
            let _ = poll(&mut fds, Some(&limit));
        }
        if self.ended {
            return Vec::new();
        }
        let mut left = sweep::find_below(self.init.pid, &self.runner_id);
        left.push(self.init.clone());
        left
    }

    /// Waits for one report.
    fn next_report(&self) -> io::Result<Report> {
        let deadline = clock::mono_ms() + STEP_MS;
        loop {
            let now = clock::mono_ms();
            if now >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut fds = [PollFd::new(&self.report, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(deadline - now))) {
                Ok(1..) => {}
                Ok(_) | Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let mut bytes = [0; REPORT_LEN];
            return match rustix::io::read(&self.report, &mut bytes)? {
                REPORT_LEN => {
                    Report::decode(bytes).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
                }
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
}
