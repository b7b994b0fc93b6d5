//! The folder in which sockets are made.
//!
//! The address of a Unix socket has room for about a hundred bytes, so a state
//! home with a long path keeps its sockets elsewhere.

use std::{os::unix::ffi::OsStrExt as _, path::PathBuf};

use crate::{
    home::{HomeError, StateHome},
    private_folder,
};

/// Bytes an address must stay under. Linux has room for 107 and macOS for 103.
const ADDRESS_LIMIT: usize = 100;

/// Bytes of the name of a socket: `/` and 8 hexadecimal digits.
const NAME_BYTES: usize = 9;

/// The folder for the sockets of `home`, made if it does not exist (0700):
/// `<home>/run`, or `/tmp/convoke-<uid>` where the address would be too long.
///
/// # Errors
/// When it cannot be made, is a symbolic link or not a folder, or belongs to
/// another user.
pub fn socket_folder(home: &StateHome, uid: u32) -> Result<PathBuf, HomeError> {
    let inside = home.root().join("run");
    let folder = if inside.as_os_str().as_bytes().len() + NAME_BYTES < ADDRESS_LIMIT {
        inside
    } else {
        PathBuf::from(format!("/tmp/convoke-{uid}"))
    };
    private_folder::ensure(&folder, uid, false)
        .map_err(|obstacle| HomeError::from_obstacle(obstacle, &folder, uid))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn a_short_home_keeps_its_sockets() {
        let root = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(root.path()).expect("a home");
        let folder = socket_folder(&home, uid()).expect("a folder");
        assert_eq!(folder, home.root().join("run"));
    }

    #[test]
    fn a_long_home_does_not() {
        let root = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(&root.path().join("x".repeat(100))).expect("a home");
        let folder = socket_folder(&home, uid()).expect("a folder");
        assert_eq!(folder, PathBuf::from(format!("/tmp/convoke-{}", uid())));
    }

    #[test]
    fn links_and_files_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(root.path()).expect("a home");
        let run = home.root().join("run");
        let elsewhere = home.root().join("elsewhere");
        fs_err::create_dir(&elsewhere).expect("a folder");
        fs_err::os::unix::fs::symlink(&elsewhere, &run).expect("a link");
        assert!(matches!(
            socket_folder(&home, uid()),
            Err(HomeError::NotAFolder { .. })
        ));
        fs_err::remove_file(&run).expect("a deletion");
        fs_err::create_dir(&run).expect("a folder");
        assert!(matches!(
            socket_folder(&home, uid() + 1),
            Err(HomeError::WrongOwner { .. })
        ));
    }
}
