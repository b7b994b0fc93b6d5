//! The first steps of a runner: the lock, the spec, who it is.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use convoke_core::runner_protocol::{
    OVERLAY_SPEC_VERSION, PROTOCOL_VERSION, RunnerIdentity, RunnerSpec, paths,
};
use rustix::fs::{FlockOperation, flock};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{getpid, getuid, setsid};

use crate::folder::Folder;
use crate::{clock, process, sys};

/// Takes the locked descriptor from stdin, puts the null device there, closes
/// everything else that was inherited, and leaves the caller's session.
///
/// # Errors
/// Stdin is not this folder's locked `runner.lock`, or `exit.json` or
/// `runner.json` is there already: this runner must not start anything.
pub fn take_lock(folder: &Folder) -> io::Result<OwnedFd> {
    let lock = fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let null = File::open("/dev/null")?;
    put_in_place(&null, 0)?;
    let lock = File::from(lock);
    let held = lock.metadata()?;
    let named = std::fs::metadata(folder.file(paths::LOCK))?;
    if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
        return Err(io::Error::other("stdin is not the lock of this folder"));
    }
    // Granted at once when the description holds it already.
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    // Fails only for the leader of a group, which a runner started by hand may be.
    let _ = setsid();
    for name in [paths::EXIT, paths::IDENTITY] {
        if folder.file(name).try_exists()? {
            return Err(io::Error::other(format!("{name} is there already")));
        }
    }
    Ok(lock.into())
}

/// Closes every descriptor but the first three. They may keep pipes and locks of
/// the daemon alive.
pub fn close_inherited() {
    // SAFETY: called first of all, when this process has opened nothing yet.
    unsafe { sys::close_all_except(&mut []) };
}

/// Lets go of the daemon's stdout and stderr.
pub fn leave_output() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    put_in_place(&null, 1)?;
    put_in_place(&null, 2)
}

/// Makes a standard descriptor (0 to 2) refer to `file`.
fn put_in_place(file: &File, number: libc::c_int) -> io::Result<()> {
    // SAFETY: nobody owns the standard descriptors; what refers to them by number
    // goes on with the new file.
    match unsafe { libc::dup2(file.as_raw_fd(), number) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Reads the spec.
pub fn read_spec(folder: &Folder) -> Result<RunnerSpec, String> {
    let path = folder.file(paths::SPEC);
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = std::fs::read(&path).map_err(|e| fault(&e))?;
    let spec: RunnerSpec = serde_json::from_slice(&bytes).map_err(|e| fault(&e))?;
    if spec.version > OVERLAY_SPEC_VERSION {
        return Err(fault(&format!(
            "version {} is newer than mine",
            spec.version
        )));
    }
    Ok(spec)
}

/// Writes down who this runner is.
pub fn write_identity(folder: &Folder, spec: &RunnerSpec) -> io::Result<()> {
    let pid = getpid().as_raw_pid();
    let identity = RunnerIdentity {
        version: PROTOCOL_VERSION,
        runner_id: spec.runner_id.clone(),
        pid,
        start_time: process::start_time(pid).unwrap_or(0),
        boot_id: process::boot_id(),
        uid: getuid().as_raw(),
        wall_ms: clock::wall_ms(),
        mono_ms: clock::mono_ms(),
        socket: spec.socket.clone(),
        protocol_version: PROTOCOL_VERSION,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let bytes = serde_json::to_vec(&identity).map_err(io::Error::other)?;
    folder.write_atomic(paths::IDENTITY, &bytes)
}
