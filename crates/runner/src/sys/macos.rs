//! System calls on macOS.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_setfd};

/// A pipe (read end, write end), both closed on exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe()?;
    // The runner has one thread, so no fork can come between.
    fcntl_setfd(&read, FdFlags::CLOEXEC)?;
    fcntl_setfd(&write, FdFlags::CLOEXEC)?;
    Ok((read, write))
}

/// Gives up whole blocks within `from..from + len` of a file without changing
/// its length. APFS wants both ends on a block boundary.
pub fn punch_hole(file: impl AsFd, from: u64, len: u64) -> io::Result<()> {
    const BLOCK: u64 = 4096;
    let start = from.next_multiple_of(BLOCK);
    let end = (from + len) / BLOCK * BLOCK;
    if end <= start {
        return Ok(());
    }
    let mut hole: libc::fpunchhole_t = libc::fpunchhole_t {
        fp_flags: 0,
        reserved: 0,
        fp_offset: libc::off_t::try_from(start).map_err(io::Error::other)?,
        fp_length: libc::off_t::try_from(end - start).map_err(io::Error::other)?,
    };
    // SAFETY: F_PUNCHHOLE reads one fpunchhole_t, which lives across the call.
    let done = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_PUNCHHOLE, &raw mut hole) };
    match done {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Makes a file's bytes durable. Plain fsync does not reach the medium here.
pub fn sync_data(file: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fcntl_fullfsync(file)?)
}

/// Closes every descriptor from 3 on but those in `keep`.
///
/// # Safety
/// No descriptor outside `keep` may be used afterwards, nor closed by its owner:
/// call it before anything is opened, or in a child that ends in exec or exit.
pub unsafe fn close_all_except(keep: &mut [RawFd]) {
    // SAFETY: getdtablesize has no preconditions; the caller gave up what is closed.
    unsafe {
        let end = libc::getdtablesize().clamp(256, 65_536);
        for fd in (3..end).filter(|fd| !keep.contains(fd)) {
            libc::close(fd);
        }
    }
}

/// Forks; `flags` is for platforms with namespaces. 0 in the child.
///
/// # Safety
/// The process must have one thread. The child gets a copy of everything and
/// must not return into code that thinks it is the parent.
pub unsafe fn raw_fork(_flags: libc::c_int) -> io::Result<i32> {
    // SAFETY: one thread, as the caller promises.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}
