//! Kinds of file systems by the name `statfs` gives.

use std::path::Path;

use super::FilesystemKind;

/// Names of file systems shared between machines.
const NETWORK: &[&str] = &["nfs", "smbfs", "cifs", "afpfs", "webdav", "ftp", "ncp"];

/// Names under which FUSE file systems of any kind appear.
const FUSE: &[&str] = &["macfuse", "osxfuse", "fusefs", "fuse-t"];

/// `MNT_LOCAL` of `<sys/mount.h>`: the file system is stored on this machine.
const STORED_HERE: u64 = 0x1000;

/// See [`super::kind_of`].
pub(super) fn kind_of(folder: &Path) -> std::io::Result<FilesystemKind> {
    let stat = rustix::fs::statfs(folder)?;
    let name: String = stat
        .f_fstypename
        .iter()
        .map(|letter| char::from(*letter as u8))
        .take_while(|letter| *letter != '\0')
        .collect();
    Ok(classify(&name, stat.f_flags as u64 & STORED_HERE != 0))
}

/// Judges by name and, for FUSE, by whether it claims to be local.
fn classify(name: &str, stored_here: bool) -> FilesystemKind {
    let network = NETWORK.contains(&name) || (FUSE.contains(&name) && !stored_here);
    if network {
        FilesystemKind::Network(name.to_owned())
    } else {
        FilesystemKind::Local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_apart() {
        let network = |name: &str| FilesystemKind::Network(name.to_owned());
        assert_eq!(classify("nfs", false), network("nfs"));
        assert_eq!(classify("smbfs", false), network("smbfs"));
        assert_eq!(classify("macfuse", false), network("macfuse"));
        assert_eq!(classify("macfuse", true), FilesystemKind::Local);
        assert_eq!(classify("apfs", true), FilesystemKind::Local);
    }
}
