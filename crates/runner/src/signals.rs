//! Turns the signals a runner cares about into bytes on a pipe, so that its one
//! `poll` wakes up for them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::ioctl_fionbio;

use crate::sys;

/// Write end of the pipe; only the handler uses it.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// The read end of the signal pipe.
#[derive(Debug)]
pub struct Signals {
    read: OwnedFd,
}

/// What came in since the last look.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// A child changed state.
    pub child: bool,
    /// Somebody wants the runner to end.
    pub terminate: bool,
}

impl Signals {
    /// Installs the handlers: SIGCHLD and SIGTERM are reported; SIGHUP, SIGINT,
    /// SIGQUIT and SIGPIPE are ignored.
    pub fn install() -> io::Result<Self> {
        let (read, write) = sys::pipe()?;
        ioctl_fionbio(&read, true)?;
        ioctl_fionbio(&write, true)?;
        WAKE.store(write.into_raw_fd(), Ordering::Relaxed);
        for signal in [libc::SIGCHLD, libc::SIGTERM] {
            set_action(signal, handler as *const () as libc::sighandler_t)?;
        }
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGPIPE] {
            set_action(signal, libc::SIG_IGN)?;
        }
        Ok(Self { read })
    }

    /// What to poll for reading.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// Takes what came in.
    pub fn take(&self) -> Pending {
        let mut pending = Pending::default();
        let mut bytes = [0_u8; 64];
        while let Ok(n @ 1..) = rustix::io::read(&self.read, &mut bytes) {
            for byte in &bytes[..n] {
                pending.terminate |= i32::from(*byte) == libc::SIGTERM;
                pending.child |= i32::from(*byte) == libc::SIGCHLD;
            }
        }
        pending
    }
}

fn set_action(signal: libc::c_int, action: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: a zeroed sigaction is valid; the handler does nothing but one
    // write(2), which is allowed in handlers.
    let done = unsafe {
        let mut act: libc::sigaction = std::mem::zeroed();
        act.sa_sigaction = action;
        act.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&raw mut act.sa_mask);
        libc::sigaction(signal, &raw const act, std::ptr::null_mut())
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn handler(signal: libc::c_int) {
    let byte = u8::try_from(signal).unwrap_or(0);
    // SAFETY: the descriptor is never closed; a full pipe means a wake-up is
    // already due. errno is put back for the interrupted code.
    unsafe {
        let errno = errno_location();
        let before = *errno;
        libc::write(WAKE.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
        *errno = before;
    }
}

#[cfg(target_os = "linux")]
use libc::__errno_location as errno_location;
#[cfg(not(target_os = "linux"))]
use libc::__error as errno_location;

/// Gives a forked child default dispositions and an empty mask.
///
/// # Safety
/// For a forked child only: the runner's own handlers are gone afterwards.
pub unsafe fn reset_in_child() {
    // SAFETY: sets dispositions and mask of this process only; numbers that
    // cannot be set are refused by the system, which does no harm.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}
