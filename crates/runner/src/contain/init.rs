//! The first process of an agent's PID namespace. It sets the namespace up, forks
//! the agent, reaps, and lives on until the runner kills it: with it goes
//! everything in the namespace.
//!
//! It talks to the runner by [`Report`]s on a pipe, and dies with the runner.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use convoke_core::runner_protocol::Overlay;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::isolate::{self, Mapping};
use crate::child::{self, ExecArgs};
use crate::launch::{ChildEnds, Program};
use crate::{overlay, signals, sys};

/// Length of a report on the pipe.
pub const REPORT_LEN: usize = 9;

/// What an init tells the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The namespace stands.
    Ready,
    /// It could not be set up: a [`STEPS`] number and an error number.
    Failed(i32, i32),
    /// The agent's process exists; its id inside the namespace.
    Forked(i32),
    /// The agent ended with this wait status.
    Exited(i32),
}

/// Steps of setting up, for the words of a failure.
pub const STEPS: [&str; 5] = [
    "following the runner's end",
    "mapping the user",
    "detaching mounts",
    "mounting /proc",
    "laying the overlay over the tree",
];

impl Report {
    fn encode(self) -> [u8; REPORT_LEN] {
        let (kind, a, b) = match self {
            Self::Ready => (1, 0, 0),
            Self::Failed(step, errno) => (2, step, errno),
            Self::Forked(pid) => (3, pid, 0),
            Self::Exited(status) => (4, status, 0),
        };
        let mut bytes = [kind; REPORT_LEN];
        bytes[1..5].copy_from_slice(&i32::to_ne_bytes(a));
        bytes[5..].copy_from_slice(&i32::to_ne_bytes(b));
        bytes
    }

    /// Reads a report; none when it is no such thing.
    pub fn decode(bytes: [u8; REPORT_LEN]) -> Option<Self> {
        let [kind, a0, a1, a2, a3, b0, b1, b2, b3] = bytes;
        let a = i32::from_ne_bytes([a0, a1, a2, a3]);
        let b = i32::from_ne_bytes([b0, b1, b2, b3]);
        Some(match kind {
            1 => Self::Ready,
            2 => Self::Failed(a, b),
            3 => Self::Forked(a),
            4 => Self::Exited(a),
            _ => return None,
        })
    }
}

/// Everything an init needs.
pub struct Plan<'a> {
    pub program: &'a Program,
    pub args: &'a ExecArgs,
    pub ends: &'a ChildEnds,
    pub report: &'a OwnedFd,
    pub mapping: Option<Mapping>,
    pub overlay: Option<&'a Overlay>,
}

/// Runs the init; never returns.
///
/// # Safety
/// Only as the freshly cloned first process of a new PID and mount namespace.
pub unsafe fn run(plan: &Plan<'_>) -> ! {
    let report = plan.report.as_raw_fd();
    let go = plan.ends.go.as_raw_fd();
    let mut keep = plan.ends.raw().to_vec();
    keep.push(report);
    // SAFETY: a forked child that ends in exit; it uses kept descriptors only.
    unsafe { sys::close_all_except(&mut keep) };
    // SAFETY: this is a forked child; no handler of the runner must run here.
    unsafe { signals::reset_in_child() };
    match set_up(plan) {
        Ok(()) => send(report, Report::Ready),
        Err((step, error)) => {
            send(
                report,
                Report::Failed(step, error.raw_os_error().unwrap_or(0)),
            );
            exit(1);
        }
    }
    // The end of this pipe is also how a runner's death before the death signal
    // was set is noticed: the write end is the runner's alone.
    // SAFETY: the descriptor is open.
    if !unsafe { child::wait_for_go(go) } {
        exit(1);
    }
    // SAFETY: one thread; the child never returns.
    match unsafe { sys::raw_fork(0) } {
        // SAFETY: freshly forked; the arguments point into the program.
        Ok(0) => unsafe { child::become_agent(plan.program, plan.args, plan.ends) },
        Ok(agent) => {
            send(report, Report::Forked(agent));
            // SAFETY: as above; from here on only the report pipe is used.
            unsafe { sys::close_all_except(&mut [report]) };
            reap_for_ever(report, agent, plan.overlay)
        }
        Err(_) => exit(1),
    }
}

fn set_up(plan: &Plan<'_>) -> Result<(), (i32, io::Error)> {
    let at = |step: i32| move |error: io::Error| (step, error);
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| at(0)(e.into()))?;
    if let Some(mapping) = plan.mapping {
        isolate::map_user(mapping).map_err(at(1))?;
    }
    isolate::detach_mounts().map_err(at(2))?;
    if let Some(planned) = plan.overlay {
        overlay::lay(planned).map_err(at(4))?;
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None).map_err(|e| at(3)(e.into()))
}

fn reap_for_ever(report: RawFd, agent: libc::pid_t, overlay: Option<&Overlay>) -> ! {
    loop {
        if let Some(overlay) = overlay {
            overlay::follow_until_child(overlay);
        }
        let mut status = 0;
        // SAFETY: waits for any child into a local.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if pid == agent {
            send(report, Report::Exited(status));
        } else if pid < 0 && !child::interrupted() {
            // Nothing is left but this process; the runner will end it.
            // SAFETY: sleeps until a signal.
            unsafe { libc::pause() };
        }
    }
}

fn send(fd: RawFd, report: Report) {
    let bytes = report.encode();
    // SAFETY: writes the report's own bytes; so few go as one.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

fn exit(code: libc::c_int) -> ! {
    // SAFETY: ends this process without running anything of the runner.
    unsafe { libc::_exit(code) }
}
