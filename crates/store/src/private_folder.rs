//! Folders that only their owner may enter.

use std::{
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
};

/// Mode of every folder.
pub(crate) const FOLDER_MODE: u32 = 0o700;

/// Mode of every file.
pub(crate) const FILE_MODE: u32 = 0o600;

/// What stands in the way of a private folder.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// Something that is not a folder has its name.
    NotAFolder,
    /// It belongs to another user.
    WrongOwner {
        /// That user.
        owner: u32,
    },
    /// The operation failed.
    Io {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// Makes `folder` and what leads to it, unless it exists.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)
}

/// Makes `folder` unless it exists, and sees to it that it belongs to `uid` and
/// that nobody else may enter it. A symbolic link at its name is followed only
/// if `follow` says so.
pub(crate) fn ensure(folder: &Path, uid: u32, follow: bool) -> Result<(), Obstacle> {
    match create(folder) {
        // What has the name is judged below, with a better message.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Obstacle::NotAFolder);
        }
        Err(source) => return Err(Obstacle::io("create", source)),
    }
    let metadata = if follow {
        fs_err::metadata(folder)
    } else {
        fs_err::symlink_metadata(folder)
    }
    .map_err(|source| Obstacle::io("look at", source))?;
    if !metadata.is_dir() {
        return Err(Obstacle::NotAFolder);
    }
    if metadata.uid() != uid {
        return Err(Obstacle::WrongOwner {
            owner: metadata.uid(),
        });
    }
    if metadata.mode() & 0o077 != 0 {
        let narrowed = std::fs::Permissions::from_mode(FOLDER_MODE);
        fs_err::set_permissions(folder, narrowed)
            .map_err(|source| Obstacle::io("tighten the mode of", source))?;
    }
    Ok(())
}

impl Obstacle {
    fn io(operation: &'static str, source: io::Error) -> Self {
        Self::Io { operation, source }
    }
}

/// Makes the names in `folder` durable.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}
