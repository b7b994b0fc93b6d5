//! Processes on macOS: libproc and `KERN_PROCARGS2`.

use std::io;
use std::mem::size_of;
use std::os::fd::BorrowedFd;

use rustix::process::{Pid, Signal, kill_process};

use convoke_core::liveness::Usage;

use super::{ProcessRef, Stat};

/// Start times are absolute here, so no boot needs to be named.
pub fn boot_id() -> String {
    String::new()
}

pub fn stat(pid: i32) -> Option<Stat> {
    let size = libc::c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    // SAFETY: the buffer is a proc_bsdinfo of the size given; the call fills it
    // or returns less.
    let info = unsafe {
        let mut info: libc::proc_bsdinfo = std::mem::zeroed();
        let got = libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, (&raw mut info).cast(), size);
        (got == size).then_some(info)?
    };
    Some(Stat {
        pid,
        ppid: i32::try_from(info.pbi_ppid).ok()?,
        start_time: info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec,
        zombie: info.pbi_status == libc::SZOMB,
    })
}

pub fn list() -> Vec<Stat> {
    // SAFETY: with no buffer the call only counts.
    let count = unsafe { libc::proc_listallpids(std::ptr::null_mut(), 0) };
    let room = usize::try_from(count).unwrap_or(0) + 64;
    let mut pids = vec![0_i32; room];
    let bytes = libc::c_int::try_from(room * size_of::<i32>()).unwrap_or(0);
    // SAFETY: the buffer has the size given.
    let found = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), bytes) };
    pids.truncate(usize::try_from(found).unwrap_or(0));
    pids.into_iter().filter_map(stat).collect()
}

/// What a process used so far; what it read and wrote is not told.
pub fn usage(pid: i32) -> Option<Usage> {
    let size = libc::c_int::try_from(size_of::<libc::proc_taskinfo>()).ok()?;
    // SAFETY: the buffer is a proc_taskinfo of the size given; the call fills it
    // or returns less.
    let info = unsafe {
        let mut info: libc::proc_taskinfo = std::mem::zeroed();
        let got = libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, (&raw mut info).cast(), size);
        (got == size).then_some(info)?
    };
    // Nanoseconds on Intel; on Apple silicon ticks of 125/3 ns, which makes
    // these too small by that factor: work is then seen later, never wrongly.
    let cpu_ms = (info.pti_total_user + info.pti_total_system) / 1_000_000;
    Some(Usage {
        cpu_ms,
        io_bytes: 0,
    })
}

/// Not told on this platform.
pub fn usage_of_ended_children(_pid: i32) -> Option<Usage> {
    None
}

/// Not asked for here: nothing on this platform needs it.
pub fn children(_pid: i32) -> Option<Vec<i32>> {
    None
}

pub fn command_line(pid: i32) -> Vec<String> {
    arguments(pid).map(|(args, _)| args).unwrap_or_default()
}

pub fn environment_has(pid: i32, entry: &str) -> bool {
    arguments(pid).is_some_and(|(_, vars)| vars.iter().any(|var| var == entry))
}

/// Locks of other processes cannot be listed here; the command line must do: a
/// runner has `__runner` as first argument, a daemon `daemon`, and both run our
/// own program.
pub fn holds_service_lock(pid: i32) -> bool {
    let words = command_line(pid);
    let ours = std::env::current_exe().ok();
    let name = ours.as_deref().and_then(|path| path.file_name());
    let program = words.first().map(std::path::Path::new);
    name.is_some()
        && program.and_then(|path| path.file_name()) == name
        && words
            .get(1)
            .is_some_and(|word| word == "__runner" || word == "daemon")
}

/// Arguments and environment of a process of this user.
fn arguments(pid: i32) -> Option<(Vec<String>, Vec<String>)> {
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    let mut buffer = vec![0_u8; 1024 * 1024];
    let mut len = buffer.len();
    // SAFETY: name has three entries, the buffer has the length given, which the
    // call replaces by what it wrote.
    let done = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            3,
            buffer.as_mut_ptr().cast(),
            &raw mut len,
            std::ptr::null_mut(),
            0,
        )
    };
    (done == 0).then_some(())?;
    let bytes = buffer.get(..len)?;
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    // The path of the program, zeros up to a boundary, then arguments and
    // environment, each ended by a zero.
    let path_end = rest.iter().position(|b| *b == 0)?;
    let rest = &rest[path_end..];
    let start = rest.iter().position(|b| *b != 0)?;
    let mut words = rest[start..]
        .split(|b| *b == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned());
    let args = words.by_ref().take(count).collect();
    let vars = words.take_while(|word| !word.is_empty()).collect();
    Some((args, vars))
}

/// A handle on one process, told apart by its start time.
#[derive(Debug)]
pub struct Handle {
    pid: Pid,
    start_time: u64,
}

impl Handle {
    /// Takes hold of a process; none when it is gone.
    pub fn open(process: &ProcessRef) -> Option<Self> {
        let pid = Pid::from_raw(process.pid)?;
        let found = stat(process.pid)?;
        (found.start_time == process.start_time).then_some(Self {
            pid,
            start_time: process.start_time,
        })
    }

    /// There is no descriptor to wait on.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether the process has ended (a zombie has).
    pub fn has_ended(&self) -> bool {
        stat(self.pid.as_raw_pid())
            .is_none_or(|stat| stat.start_time != self.start_time || stat.zombie)
    }

    /// Sends a signal; an error when the process is gone or not ours.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.has_ended() {
            return Err(io::Error::from(rustix::io::Errno::SRCH));
        }
        Ok(kill_process(self.pid, signal)?)
    }
}
