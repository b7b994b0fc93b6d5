//! Processes on Linux: `/proc` and process descriptors.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use convoke_core::liveness::Usage;

use super::{ProcessRef, Stat};

/// Names of the files whose locks mark a daemon or a runner.
const SERVICE_LOCKS: [&str; 2] = ["daemon.lock", "runner.lock"];

/// Identifies this boot of the machine.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

pub fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything, so count from the last one.
    let after = text.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(&text[after..]).ok()?.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    let ppid = fields.next()?.parse().ok()?;
    // Fields 20 and 22 of the line; 3 and 4 are taken. A process whose first
    // thread ended looks like a zombie while its other threads run.
    let threads: u32 = fields.nth(15)?.parse().ok()?;
    let start_time = fields.nth(1)?.parse().ok()?;
    let zombie = ended && threads <= 1;
    Some(Stat {
        pid,
        ppid,
        start_time,
        zombie,
    })
}

pub fn list() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .collect()
}

/// What a process used so far, its reaped children included: `utime` to
/// `cstime` of proc(5) `stat`, and `rchar`, `wchar` of `io`.
pub fn usage(pid: i32) -> Option<Usage> {
    let cpu_ms = cpu_ms(pid, 14..18)?;
    // Not readable for a process of another user, which then counts as still.
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let io_bytes = io
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| ["rchar", "wchar"].contains(name))
        .filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok())
        .sum();
    Some(Usage { cpu_ms, io_bytes })
}

/// What the children used that a process has waited for: `cutime` and `cstime`.
/// What they read and wrote is not told apart from its own.
pub fn usage_of_ended_children(pid: i32) -> Option<Usage> {
    Some(Usage {
        cpu_ms: cpu_ms(pid, 16..18)?,
        io_bytes: 0,
    })
}

/// The sum of some fields of proc(5) `stat` that count clock ticks.
fn cpu_ms(pid: i32, fields: std::ops::Range<usize>) -> Option<u64> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = text.iter().rposition(|b| *b == b')')? + 1;
    // The name is field 2, so that the third comes first.
    let ticks: u64 = std::str::from_utf8(&text[after..])
        .ok()?
        .split_whitespace()
        .skip(fields.start - 3)
        .take(fields.len())
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Some(ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// The children of a process with one thread; none where the kernel does not
/// list them (proc(5), `children`).
pub fn children(pid: i32) -> Option<Vec<i32>> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    list.split_whitespace()
        .map(|word| word.parse().ok())
        .collect()
}

pub fn command_line(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes
        .split(|b| *b == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

pub fn environment_has(pid: i32, entry: &str) -> bool {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes.split(|b| *b == 0).any(|var| var == entry.as_bytes())
}

/// Whether a descriptor of the process refers to a locked `daemon.lock` or
/// `runner.lock`. The lock itself is looked for, not only the open file.
pub fn holds_service_lock(pid: i32) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let named = fs::read_link(entry.path()).is_ok_and(|target| {
            SERVICE_LOCKS
                .iter()
                .any(|name| target.file_name().is_some_and(|file| file == *name))
        });
        named && {
            let number = entry.file_name();
            let info = format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy());
            fs::read_to_string(info).is_ok_and(|info| {
                info.lines()
                    .any(|line| line.starts_with("lock:") && line.contains("FLOCK"))
            })
        }
    })
}

/// A handle on one process that a reused id cannot redirect.
#[derive(Debug)]
pub struct Handle {
    pid: Pid,
    start_time: u64,
    /// None on kernels and sandboxes without process descriptors.
    descriptor: Option<OwnedFd>,
}

impl Handle {
    /// Takes hold of a process; none when it is gone.
    pub fn open(process: &ProcessRef) -> Option<Self> {
        let pid = Pid::from_raw(process.pid)?;
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok();
        // Looked up after opening: if the start time fits now, the descriptor is
        // that process.
        let found = stat(process.pid)?;
        (found.start_time == process.start_time).then_some(Self {
            pid,
            start_time: process.start_time,
            descriptor,
        })
    }

    /// Becomes readable when the process ends.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    /// Whether the process has ended (a zombie has).
    pub fn has_ended(&self) -> bool {
        stat(self.pid.as_raw_pid())
            .is_none_or(|stat| stat.start_time != self.start_time || stat.zombie)
    }

    /// Sends a signal; an error when the process is gone or not ours.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match &self.descriptor {
            Some(descriptor) => Ok(pidfd_send_signal(descriptor, signal)?),
            None if self.has_ended() => Err(io::Error::from(rustix::io::Errno::SRCH)),
            None => Ok(kill_process(self.pid, signal)?),
        }
    }
}
