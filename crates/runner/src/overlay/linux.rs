//! Overlays on Linux (`Documentation/filesystems/overlayfs.rst`).
//!
//! In a user namespace its marks are `user.*` attributes, which an ordinary user may
//! write. Neither features that keep more in attributes (`metacopy`, `redirect_dir`)
//! nor those that want the tree to stay as it is (`index`) are used: the tree is a
//! live one.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use convoke_core::runner_protocol::Overlay;
use rustix::fs::XattrFlags;
use rustix::mount::{MountFlags, mount, mount_remount};

use crate::contain::isolate::{self, Mapping};

/// How the overlay is mounted, and mounted again.
const FLAGS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// How long what changed beneath may stay unseen: the longer, the longer it takes to
/// forget what is remembered of a large tree, and to look it up again.
const FOLLOWS_WITHIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Of the time of one processor it may take one part in so many.
const SHARE: u32 = 50;

/// Lays the overlay over its tree, in the mount namespace of this process.
///
/// A `volatile` one leaves it to the file system beneath when what is written reaches
/// the disk. Else the whole of that is synced when the overlay goes, and the processes
/// in it are not proved dead for so long. Kernels before 5.10 know no such overlays.
pub(crate) fn lay(overlay: &Overlay) -> io::Result<()> {
    let lay = |is_volatile| -> io::Result<()> {
        let options = options(overlay, is_volatile)?;
        let options = Some(options.as_c_str());
        Ok(mount("overlay", &overlay.tree, "overlay", FLAGS, options)?)
    };
    match lay(true) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => lay(false),
        laid => laid,
    }
}

fn options(overlay: &Overlay, is_volatile: bool) -> io::Result<CString> {
    let mut text = Vec::new();
    for (name, path) in [
        ("lowerdir=", &overlay.tree),
        (",upperdir=", &overlay.upper),
        (",workdir=", &overlay.work),
    ] {
        text.extend_from_slice(name.as_bytes());
        escape(path, &mut text);
    }
    text.extend_from_slice(b",redirect_dir=nofollow,metacopy=off,index=off");
    if overlay.user_attributes {
        text.extend_from_slice(b",userxattr");
    }
    if is_volatile {
        text.extend_from_slice(b",volatile");
    }
    CString::new(text).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// A comma ends an option, and a colon a folder.
fn escape(path: &Path, text: &mut Vec<u8>) {
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b'\\' | b',' | b':') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
}

/// Waits until a child of this process ended, and lets the overlay follow its tree
/// meanwhile: the kernel remembers what names led to in the tree, also after files
/// were put in their place there, and forgets it when the overlay is mounted again.
pub(crate) fn follow_until_child(overlay: &Overlay) {
    let [mut wait, longest] = FOLLOWS_WITHIN;
    // SAFETY: an empty set is valid; the calls fill and read locals, and the signal
    // stays blocked for good, so that none is missed between two waits.
    unsafe {
        let mut child = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut child);
        libc::sigaddset(&raw mut child, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const child, std::ptr::null_mut());
        loop {
            let mut ended = std::mem::zeroed::<libc::siginfo_t>();
            let any = libc::P_ALL;
            let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let found = libc::waitid(any, 0, &raw mut ended, how);
            if found != 0 || ended.si_pid() != 0 {
                return;
            }
            let limit = libc::timespec {
                tv_sec: wait.as_secs().cast_signed(),
                tv_nsec: wait.subsec_nanos().into(),
            };
            let came = libc::sigtimedwait(&raw const child, std::ptr::null_mut(), &raw const limit);
            if came < 0 {
                let begun = Instant::now();
                // What cannot be done now is done the next time.
                let _ = mount_remount(&overlay.tree, FLAGS, c"");
                wait = (begun.elapsed() * SHARE).clamp(FOLLOWS_WITHIN[0], longest);
            }
        }
    }
}

/// Lays an overlay in namespaces of this process's own, which must have one thread
/// and end soon, and writes through it. Nothing of it is left but what lies in the
/// folders of the overlay.
///
/// # Errors
/// The reason in words.
pub(super) fn try_out(overlay: &Overlay) -> Result<(), String> {
    let mapping = Mapping::needed();
    // As the runner will: the agent is the child of the first process in it.
    let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    if mapping.is_some() {
        flags |= libc::CLONE_NEWUSER;
    }
    // SAFETY: this process has one thread.
    if unsafe { libc::unshare(flags) } != 0 {
        let error = io::Error::last_os_error();
        return Err(format!("no namespaces can be made: {error}"));
    }
    if let Some(mapping) = mapping {
        isolate::map_user(mapping).map_err(|e| format!("the user cannot be mapped: {e}"))?;
    }
    isolate::detach_mounts().map_err(|e| format!("mounts cannot be detached: {e}"))?;
    let name = match overlay.user_attributes {
        true => "user.overlay.probe",
        false => "trusted.overlay.probe",
    };
    rustix::fs::setxattr(&overlay.upper, name, b"y", XattrFlags::empty()).map_err(|e| {
        format!("the file system of the state home keeps no extended attributes: {e}")
    })?;
    lay(overlay).map_err(|e| format!("overlayfs cannot be mounted over it: {e}"))?;
    write_through(overlay).map_err(|e| format!("nothing can be written through it: {e}"))
}

fn write_through(overlay: &Overlay) -> io::Result<()> {
    let name = format!(".convoke-{}", std::process::id());
    match fs::create_dir(overlay.tree.join(&name)) {
        Ok(()) => {}
        // Nor could it be written without the overlay.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(error),
    }
    if !overlay.upper.join(&name).is_dir() {
        return Err(io::Error::other("what is written does not arrive"));
    }
    fs::write(overlay.tree.join(&name).join("f"), "")?;
    fs::remove_dir_all(overlay.tree.join(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_signs_of_the_options_are_escaped() {
        let overlay = Overlay {
            tree: "/a,b".into(),
            upper: "/c:d/upper".into(),
            work: "/e\\f".into(),
            user_attributes: true,
        };
        let options = options(&overlay, true).expect("no zero byte");
        assert_eq!(
            options.to_str().expect("UTF-8"),
            "lowerdir=/a\\,b,upperdir=/c\\:d/upper,workdir=/e\\\\f,redirect_dir=nofollow,metacopy=off,index=off,userxattr,volatile"
        );
    }
}
