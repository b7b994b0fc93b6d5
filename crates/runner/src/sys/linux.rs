//! System calls on Linux.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use rustix::fs::FallocateFlags;
use rustix::pipe::PipeFlags;

/// A pipe (read end, write end), both closed on exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

/// Gives up the bytes `from..from + len` of a file without changing its length.
pub fn punch_hole(file: impl AsFd, from: u64, len: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, flags, from, len)?)
}

/// Makes a file's bytes, and what is needed to find them, durable.
pub fn sync_data(file: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fdatasync(file)?)
}

/// Closes every descriptor from 3 on but those in `keep`.
///
/// # Safety
/// No descriptor outside `keep` may be used afterwards, nor closed by its owner:
/// call it before anything is opened, or in a child that ends in exec or exit.
pub unsafe fn close_all_except(keep: &mut [RawFd]) {
    keep.sort_unstable();
    let mut first: libc::c_uint = 3;
    for fd in keep
        .iter()
        .filter_map(|fd| libc::c_uint::try_from(*fd).ok())
    {
        if fd > first {
            // SAFETY: the caller gave up these descriptors.
            unsafe { close_range(first, fd - 1) };
        }
        first = first.max(fd.saturating_add(1));
    }
    // SAFETY: as above.
    unsafe { close_range(first, libc::c_uint::MAX) };
}

/// # Safety
/// As [`close_all_except`].
unsafe fn close_range(first: libc::c_uint, last: libc::c_uint) {
    // SAFETY: closes descriptors only, which the caller allows.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done == 0 {
        return;
    }
    // Kernels before 5.9: one at a time, up to the limit on open files.
    // SAFETY: sysconf has no preconditions; close as above.
    unsafe {
        let open_max = libc::sysconf(libc::_SC_OPEN_MAX).clamp(256, 65_536);
        let end = last.min(libc::c_uint::try_from(open_max).unwrap_or(65_536));
        for fd in first..=end {
            libc::close(libc::c_int::try_from(fd).unwrap_or(-1));
        }
    }
}

/// Forks with extra `CLONE_*` flags; 0 in the child.
///
/// # Safety
/// The process must have one thread. The child gets a copy of everything and
/// must not return into code that thinks it is the parent.
pub unsafe fn raw_fork(flags: libc::c_int) -> io::Result<i32> {
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with no new stack this is fork; all further
    // arguments are null on every architecture.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match i32::try_from(pid) {
        Ok(pid) if pid >= 0 => Ok(pid),
        _ => Err(io::Error::last_os_error()),
    }
}
