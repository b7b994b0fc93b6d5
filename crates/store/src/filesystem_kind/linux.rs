//! Kinds of file systems by `statfs`, and by the mount table for FUSE, which
//! has one number for all its file systems.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use super::FilesystemKind;

/// `f_type` of every FUSE file system.
const FUSE: u64 = 0x6573_5546;

/// `f_type` of file systems shared between machines.
///
/// Plan 9 (`9p`) is not among them: it is the root of common sandboxes and
/// virtual machines, where one kernel serves all its users.
const NETWORK: &[(u64, &str)] = &[
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "afs"),
    (0x7375_7245, "coda"),
    (0x564c, "ncp"),
    (0x00c3_6400, "ceph"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x1983_0326, "beegfs"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
];

/// FUSE file systems that reach other machines, as the mount table names them.
const NETWORK_FUSE: &[&str] = &[
    "sshfs",
    "rclone",
    "glusterfs",
    "ceph",
    "ceph-fuse",
    "s3fs",
    "goofys",
    "gcsfuse",
    "blobfuse",
    "blobfuse2",
    "davfs",
    "davfs2",
    "curlftpfs",
    "smbnetfs",
    "juicefs",
    "moosefs",
    "mfs",
    "seaweedfs",
    "nfs",
    "gvfsd-fuse",
];

/// `f_type` of ext4 (also ext2 and ext3, which the ext4 driver serves), XFS and
/// btrfs. All three log the creation of a file and of its folders before or
/// with the sync of the file.
const SYNCS_NAMES: &[u64] = &[0xef53, 0x5846_5342, 0x9123_683e];

/// See [`super::kind_of`].
pub(super) fn kind_of(folder: &Path) -> std::io::Result<FilesystemKind> {
    let stat = rustix::fs::statfs(folder)?;
    // The word is signed, unsigned, 32 or 64 bits wide by architecture; the
    // numbers have 32 bits.
    let number = (stat.f_type as u64) & 0xffff_ffff;
    let mounted_as = if number == FUSE {
        mounted_type(folder)
    } else {
        None
    };
    Ok(classify(number, mounted_as.as_deref()))
}

/// Judges by `f_type` and, for FUSE, by the type in the mount table.
fn classify(number: u64, mounted_as: Option<&str>) -> FilesystemKind {
    if let Some((_, name)) = NETWORK.iter().find(|(network, _)| *network == number) {
        return FilesystemKind::Network((*name).to_owned());
    }
    if number == FUSE {
        let name = mounted_as.unwrap_or_default();
        let program = name.strip_prefix("fuse.").unwrap_or(name);
        if NETWORK_FUSE.contains(&program) {
            return FilesystemKind::Network(name.to_owned());
        }
    }
    if SYNCS_NAMES.contains(&number) {
        FilesystemKind::SyncsNames
    } else {
        FilesystemKind::Local
    }
}

/// The type under which the file system of `folder` is mounted.
fn mounted_type(folder: &Path) -> Option<String> {
    let device = fs_err::metadata(folder).ok()?.dev();
    let table = fs_err::read_to_string("/proc/self/mountinfo").ok()?;
    let device = format!(
        "{}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    );
    type_in_table(&table, &device)
}

/// Finds the type of the mount with this `major:minor` in a `mountinfo` table.
fn type_in_table(table: &str, device: &str) -> Option<String> {
    table.lines().rev().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        (mount.split(' ').nth(2)? == device)
            .then(|| filesystem.split(' ').next())?
            .map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_apart() {
        let network = |name: &str| FilesystemKind::Network(name.to_owned());
        assert_eq!(classify(0x6969, None), network("nfs"));
        assert_eq!(classify(0xff53_4d42, None), network("cifs"));
        assert_eq!(classify(0xfe53_4d42, None), network("smb2"));
        assert_eq!(classify(FUSE, Some("fuse.sshfs")), network("fuse.sshfs"));
        assert_eq!(classify(FUSE, Some("fuse.mergerfs")), FilesystemKind::Local);
        assert_eq!(classify(FUSE, Some("fuseblk")), FilesystemKind::Local);
        assert_eq!(classify(FUSE, None), FilesystemKind::Local);
        assert_eq!(classify(0xef53, None), FilesystemKind::SyncsNames);
        assert_eq!(classify(0x0102_1994, None), FilesystemKind::Local);
    }

    #[test]
    fn the_mount_table_names_fuse_programs() {
        let table = "\
            25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            90 25 0:47 / /home/u/far rw,nosuid - fuse.sshfs u@host:/ rw,user_id=1000\n";
        assert_eq!(type_in_table(table, "0:47").as_deref(), Some("fuse.sshfs"));
        assert_eq!(type_in_table(table, "254:0").as_deref(), Some("ext4"));
        assert_eq!(type_in_table(table, "0:4"), None);
    }

    #[test]
    fn a_real_folder_has_a_kind() {
        let folder = tempfile::tempdir().expect("a folder");
        kind_of(folder.path()).expect("a kind");
    }
}
