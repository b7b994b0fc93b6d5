//! What happens between fork and exec in the agent's process.

use std::os::fd::{AsRawFd as _, RawFd};

use crate::launch::{ChildEnds, Program, Step};
use crate::{signals, sys};

/// Error numbers travel with the step in front: one byte and four.
pub const ERROR_MESSAGE: usize = 5;

/// Exit code of a child that could not execute the program.
const CANNOT_EXECUTE: libc::c_int = 127;

/// Pointers for execve, made before the fork.
#[derive(Debug)]
pub struct ExecArgs {
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
}

impl ExecArgs {
    /// Pointers into `program`, which must outlive them.
    pub fn new(program: &Program) -> Self {
        let list = |words: &[std::ffi::CString]| {
            words
                .iter()
                .map(|word| word.as_ptr())
                .chain([std::ptr::null()])
                .collect()
        };
        Self {
            argv: list(&program.argv),
            envp: list(&program.envp),
        }
    }
}

/// Becomes the agent: own session, its pipes as stdin, stdout and stderr, default
/// signals, no other descriptor; waits for the runner's word, then executes.
///
/// # Safety
/// Only in a freshly forked child; `args` must point into `program`.
pub unsafe fn become_agent(program: &Program, args: &ExecArgs, ends: &ChildEnds) -> ! {
    // SAFETY: all calls act on this child alone; the pointers are valid as the
    // caller promises; every path ends in exec or exit.
    unsafe {
        libc::setsid();
        libc::dup2(ends.stdin.as_raw_fd(), 0);
        libc::dup2(ends.stdout.as_raw_fd(), 1);
        libc::dup2(ends.stderr.as_raw_fd(), 2);
        let (go, error) = (ends.go.as_raw_fd(), ends.error.as_raw_fd());
        sys::close_all_except(&mut [go, error]);
        if !wait_for_go(go) {
            libc::_exit(CANNOT_EXECUTE);
        }
        libc::close(go);
        if libc::chdir(program.cwd.as_ptr()) != 0 {
            fail(error, Step::Cwd);
        }
        signals::reset_in_child();
        libc::execve(
            program.path.as_ptr(),
            args.argv.as_ptr(),
            args.envp.as_ptr(),
        );
        fail(error, Step::Exec)
    }
}

/// Reads one byte; false when the runner is gone.
///
/// # Safety
/// `fd` must be an open descriptor.
pub unsafe fn wait_for_go(fd: RawFd) -> bool {
    let mut byte = 0_u8;
    loop {
        // SAFETY: reads one byte into a byte.
        let got = unsafe { libc::read(fd, (&raw mut byte).cast(), 1) };
        match got {
            1 => return true,
            -1 if interrupted() => {}
            _ => return false,
        }
    }
}

/// Reports the current error and ends.
///
/// # Safety
/// Only in a forked child.
unsafe fn fail(fd: RawFd, step: Step) -> ! {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    let mut message = [0_u8; ERROR_MESSAGE];
    message[0] = match step {
        Step::Cwd => 1,
        Step::Exec => 2,
    };
    message[1..].copy_from_slice(&errno.to_ne_bytes());
    // SAFETY: writes the message's own bytes, then ends without running anything.
    unsafe {
        libc::write(fd, message.as_ptr().cast(), message.len());
        libc::_exit(CANNOT_EXECUTE)
    }
}

/// Step and error of a message that a child sent.
pub fn parse_error(message: &[u8; ERROR_MESSAGE]) -> (Step, std::io::Error) {
    let [step, errno @ ..] = *message;
    let step = if step == 1 { Step::Cwd } else { Step::Exec };
    (
        step,
        std::io::Error::from_raw_os_error(i32::from_ne_bytes(errno)),
    )
}

/// Whether the last call was interrupted by a signal.
pub fn interrupted() -> bool {
    std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
}
