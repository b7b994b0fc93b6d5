//! What a process does first in the namespaces it was made in.

use std::fs;
use std::io;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{getgid, getuid};

/// Who a process runs as, when a user namespace has to be mapped.
#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    pub uid: u32,
    pub gid: u32,
}

impl Mapping {
    /// The one of this process; none where no user namespace is needed, as root.
    pub fn needed() -> Option<Self> {
        let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
        (uid != 0).then_some(Self { uid, gid })
    }
}

/// Maps exactly the user's own ids.
pub fn map_user(Mapping { uid, gid }: Mapping) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// Mounts made out there still come in; none made in here goes out.
pub fn detach_mounts() -> io::Result<()> {
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(mount_change("/", slave)?)
}
