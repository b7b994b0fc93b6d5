//! Finding and ending what belongs to a runner, from outside: what recovery needs
//! when the runner itself is gone.

use std::path::PathBuf;
use std::time::Duration;

use convoke_core::liveness::Usage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::clock;
use crate::process::{self, Handle};

pub use crate::process::ProcessRef;

/// How often processes without a descriptor are looked at, in milliseconds.
const LOOK_EVERY_MS: u64 = 10;

/// Every running process whose environment carries the mark of this runner
/// (`CONVOKE_RUNNER_ID=<runner_id>`), except the caller.
pub fn find_by_mark(runner_id: &str) -> Vec<ProcessRef> {
    process::find_by_mark(runner_id, 0)
}

/// Every running process below `pid`, except daemons and other runners (and what
/// is below those).
pub fn find_below(pid: i32, runner_id: &str) -> Vec<ProcessRef> {
    process::descendants(pid, runner_id)
        .iter()
        .map(process::reference)
        .collect()
}

/// Kills these processes (never another one that got the same id) and waits until
/// they are gone. Returns those that were not gone in time.
pub fn kill_and_wait(processes: &[ProcessRef], timeout: Duration) -> Vec<ProcessRef> {
    let mut left: Vec<(Handle, &ProcessRef)> = processes
        .iter()
        .filter_map(|process| Some((Handle::open(process)?, process)))
        .collect();
    for (handle, _) in &left {
        // Gone already, or not ours: the wait tells.
        let _ = handle.signal(Signal::KILL);
    }
    let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let deadline = clock::mono_ms().saturating_add(timeout);
    loop {
        left.retain(|(handle, _)| !handle.has_ended());
        let now = clock::mono_ms();
        if left.is_empty() || now >= deadline {
            break;
        }
        wait_for_any(left.iter().map(|(handle, _)| handle), deadline - now);
    }
    left.into_iter()
        .map(|(_, process)| process.clone())
        .collect()
}

/// What everything below each of these processes used so far, with what ended
/// there, but without the process itself.
pub fn usage_of_trees(roots: &[i32]) -> Vec<Usage> {
    process::usage_of_trees(roots)
}

/// The parent of a process; none when it is gone.
pub fn parent_of(pid: i32) -> Option<i32> {
    process::stat(pid).map(|stat| stat.ppid)
}

/// Sends a signal to those of these processes that still run.
pub fn signal_all(processes: &[ProcessRef], signal: Signal) {
    for handle in processes.iter().filter_map(Handle::open) {
        // Gone meanwhile is what was wanted.
        let _ = handle.signal(signal);
    }
}

/// The whole chain of parents of a process, nearest first; none when it cannot
/// be told, because the process or one of its parents is gone.
pub fn lineage(pid: i32) -> Option<Vec<i32>> {
    process::lineage(pid)
}

/// The chain of parents of a process, nearest first.
pub fn ancestors(pid: i32) -> Vec<i32> {
    process::ancestors(pid)
}

/// The folder of the runner that this process is (`convoke __runner <folder>`,
/// or the init of its namespace); none for any other process.
pub fn runner_folder_of(pid: i32) -> Option<PathBuf> {
    process::runner_folder_of(pid)
}

/// When a process started, in the platform's own unit; none when it is gone.
pub fn process_start_time(pid: i32) -> Option<u64> {
    process::start_time(pid)
}

/// Whether this very process still runs (a zombie does not).
pub fn is_alive(process: &ProcessRef) -> bool {
    process::is_alive(process)
}

/// Identifies this boot of the machine; empty where start times are absolute.
pub fn boot_id() -> String {
    process::boot_id()
}

/// Waits until one of them ends, at most `limit_ms`.
fn wait_for_any<'a>(handles: impl Iterator<Item = &'a Handle>, limit_ms: u64) {
    let mut blind = false;
    let mut fds: Vec<PollFd<'_>> = Vec::new();
    for handle in handles {
        match handle.as_fd() {
            Some(fd) => fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN)),
            None => blind = true,
        }
    }
    let limit_ms = if blind {
        limit_ms.min(LOOK_EVERY_MS)
    } else {
        limit_ms
    };
    // Interrupted or not, the caller looks again.
    let _ = poll(&mut fds, Some(&timespec(limit_ms)));
}

/// Milliseconds as the system wants them.
pub(crate) fn timespec(ms: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ms / 1_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ms % 1_000).unwrap_or(0) * 1_000_000,
    }
}
