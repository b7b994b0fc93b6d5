//! Looking at processes, and ending them for good.
//!
//! A process is named by its id and start time, so that a reused id is never
//! taken for it. The functions that read the system have the same names in one
//! file per platform.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod macos;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use macos as platform;

pub use platform::{Handle, boot_id};

use std::collections::HashMap;
use std::path::PathBuf;

use convoke_core::liveness::Usage;
use convoke_core::runner_protocol::{MARK_RUNNER_ID, ProcessNote, RUNNER_ARG};

/// A process that cannot be taken for another one.
pub type ProcessRef = ProcessNote;

/// Longest command line kept in a [`ProcessRef`], in characters.
const COMMAND_LEN: usize = 200;

/// What the process table says about one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: i32,
    /// Parent's process id.
    pub ppid: i32,
    /// Start time in the platform's own unit.
    pub start_time: u64,
    /// Ended, but not reaped.
    pub zombie: bool,
}

/// One process; none when there is none of this id.
pub fn stat(pid: i32) -> Option<Stat> {
    platform::stat(pid)
}

/// When a process started, in the platform's own unit; none when it is gone.
pub fn start_time(pid: i32) -> Option<u64> {
    platform::stat(pid).map(|stat| stat.start_time)
}

/// When this process itself started; nothing that belongs to a runner is older.
pub fn own_start_time() -> u64 {
    i32::try_from(std::process::id())
        .ok()
        .and_then(start_time)
        .unwrap_or(0)
}

/// Whether this very process still runs (a zombie does not).
pub fn is_alive(process: &ProcessRef) -> bool {
    platform::stat(process.pid)
        .is_some_and(|stat| stat.start_time == process.start_time && !stat.zombie)
}

/// A reference to a running process.
pub fn reference(stat: &Stat) -> ProcessRef {
    let command = platform::command_line(stat.pid).join(" ");
    ProcessRef {
        pid: stat.pid,
        start_time: stat.start_time,
        command: command.chars().take(COMMAND_LEN).collect(),
    }
}

/// The chain of parents, nearest first, without `pid` itself and process 0.
pub fn ancestors(pid: i32) -> Vec<i32> {
    let mut chain = Vec::new();
    let mut current = pid;
    while let Some(stat) = platform::stat(current) {
        if stat.ppid <= 0 || chain.contains(&stat.ppid) {
            break;
        }
        chain.push(stat.ppid);
        current = stat.ppid;
    }
    chain
}

/// The chain of parents, nearest first, up to the first process of the machine;
/// none when a link is missing or the process is not the same at the end as at
/// the beginning: then nothing can be said about where it belongs.
pub fn lineage(pid: i32) -> Option<Vec<i32>> {
    let start_time = platform::stat(pid)?.start_time;
    let mut chain = Vec::new();
    let mut current = pid;
    loop {
        let stat = platform::stat(current)?;
        if stat.ppid <= 0 {
            break;
        }
        if chain.contains(&stat.ppid) {
            return None;
        }
        chain.push(stat.ppid);
        current = stat.ppid;
    }
    (platform::stat(pid)?.start_time == start_time).then_some(chain)
}

/// Every running process below `root`, except those [`is_protected`] and what is
/// below them.
pub fn descendants(root: i32, runner_id: &str) -> Vec<Stat> {
    let mut children: HashMap<i32, Vec<Stat>> = HashMap::new();
    for stat in platform::list() {
        children.entry(stat.ppid).or_default().push(stat);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        for stat in children.remove(&parent).unwrap_or_default() {
            if is_protected(stat.pid, runner_id) {
                continue;
            }
            next.push(stat.pid);
            if !stat.zombie {
                found.push(stat);
            }
        }
    }
    found
}

/// What everything below each of these processes used so far, with what ended
/// there, but without the process itself: that is a runner or the init of a
/// namespace, and looking around is no work of the agent. The process table is
/// read once for all.
pub fn usage_of_trees(roots: &[i32]) -> Vec<Usage> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for stat in platform::list() {
        children.entry(stat.ppid).or_default().push(stat.pid);
    }
    roots
        .iter()
        .map(|root| {
            let mut total = platform::usage_of_ended_children(*root).unwrap_or_default();
            let mut next = children.remove(root).unwrap_or_default();
            while let Some(pid) = next.pop() {
                next.extend(children.remove(&pid).unwrap_or_default());
                let used = platform::usage(pid).unwrap_or_default();
                total.cpu_ms += used.cpu_ms;
                total.io_bytes += used.io_bytes;
            }
            total
        })
        .collect()
}

/// The first child of a process.
pub fn first_child(pid: i32) -> Option<Stat> {
    match platform::children(pid) {
        Some(children) => children.into_iter().find_map(platform::stat),
        None => platform::list().into_iter().find(|stat| stat.ppid == pid),
    }
}

/// Every running process whose environment carries the mark of this runner,
/// except the caller itself. Only those that started at `since` or later are
/// looked at: reading environments is what takes long.
pub fn find_by_mark(runner_id: &str, since: u64) -> Vec<ProcessRef> {
    let me = std::process::id();
    platform::list()
        .iter()
        .filter(|stat| stat.start_time >= since)
        .filter(|stat| !stat.zombie && u32::try_from(stat.pid).is_ok_and(|pid| pid != me))
        .filter(|stat| carries_mark(stat.pid, runner_id))
        .map(reference)
        .collect()
}

/// The folder a process keeps as a runner; none when it is no runner.
pub fn runner_folder_of(pid: i32) -> Option<PathBuf> {
    let mut words = platform::command_line(pid).into_iter().skip(1);
    (words.next()? == RUNNER_ARG).then_some(())?;
    words.next().map(PathBuf::from)
}

/// Whether a sweep must leave this process alone: it does not carry our mark
/// **and** holds the lock of a daemon or of a runner. Daemons and runners are
/// started without marks, so one that was started below an agent is told apart
/// from the agent's own children. Namespace inits of other runners count as
/// runners, since they share the command line.
pub fn is_protected(pid: i32, runner_id: &str) -> bool {
    platform::holds_service_lock(pid) && !carries_mark(pid, runner_id)
}

fn carries_mark(pid: i32, runner_id: &str) -> bool {
    platform::environment_has(pid, &format!("{MARK_RUNNER_ID}={runner_id}"))
}
