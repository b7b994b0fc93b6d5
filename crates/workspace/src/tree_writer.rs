//! Writes files of a working tree without ever leaving it: a folder on the way
//! that was replaced by a link is not followed.

use std::{
    io::{self, Write as _},
    path::{Component, Path},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt as _},
};

use crate::tree_diff::Side;

/// Mode git gives an executable file.
const EXECUTABLE: &str = "100755";
/// Mode git gives a link.
const LINK: &str = "120000";
/// Mode git gives a commit of another repository.
const COMMIT: &str = "160000";

/// A working tree that is written.
#[derive(Debug)]
pub(crate) struct TreeWriter {
    top: Dir,
}

impl TreeWriter {
    /// # Errors
    /// The folder cannot be opened.
    pub(crate) fn open(top: &Path) -> io::Result<Self> {
        Dir::open_ambient_dir(top, ambient_authority()).map(|top| Self { top })
    }

    /// Puts a file or link in place of whatever file or link is there.
    ///
    /// # Errors
    /// A folder or the place of a folder is in the way, or it cannot be written.
    /// What was there stays then.
    pub(crate) fn put(&self, path: &str, side: &Side, content: &[u8]) -> io::Result<()> {
        let (folder, name) = self.folder_of(path, true)?;
        if folder
            .symlink_metadata(name)
            .is_ok_and(|meta| meta.is_dir())
        {
            return Err(io::Error::other("a folder stands there"));
        }
        let next = format!(".{name}.convoke-{}", std::process::id());
        // Left by a process of this number that was killed.
        let _ = folder.remove_file(&next);
        let made = match side.mode.as_str() {
            LINK => folder.symlink_contents(text(content)?, &next),
            COMMIT => Err(io::Error::other("it is a repository of its own")),
            mode => write(&folder, &next, content, mode == EXECUTABLE),
        };
        made.and_then(|()| folder.rename(&next, &folder, name))
            .inspect_err(|_| {
                let _ = folder.remove_file(&next);
            })
    }

    /// Removes a file or link, and the folders that are empty without it.
    ///
    /// # Errors
    /// It is a folder, or cannot be removed.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.folder_of(path, false)?;
        match folder.remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut above = Path::new(path).parent();
        while let Some(folder) = above.filter(|folder| !folder.as_os_str().is_empty()) {
            if self.top.remove_dir(folder).is_err() {
                break;
            }
            above = folder.parent();
        }
        Ok(())
    }

    /// Whether something is there.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.top.symlink_metadata(path).is_ok()
    }

    /// The folder of a path, each part of which is a folder itself, and the name
    /// in it.
    fn folder_of<'a>(&self, path: &'a str, make: bool) -> io::Result<(Dir, &'a str)> {
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = self.top.try_clone()?;
        for part in Path::new(parents).components() {
            let Component::Normal(part) = part else {
                return Err(io::Error::other("the path leads elsewhere"));
            };
            match folder.symlink_metadata(part) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(io::Error::other("a file stands where a folder was")),
                Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
                    folder.create_dir(part)?;
                }
                Err(error) => return Err(error),
            }
            // A link that came in between leads nowhere outside of this folder.
            folder = folder.open_dir(part)?;
        }
        if name.is_empty() || name == ".." || name == "." {
            return Err(io::Error::other("the path leads elsewhere"));
        }
        Ok((folder, name))
    }
}

fn text(content: &[u8]) -> io::Result<&Path> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(Path::new(std::ffi::OsStr::from_bytes(content)))
}

fn write(folder: &Dir, name: &str, content: &[u8], executable: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // The user's umask counts, as for git.
    let mode = if executable { 0o777 } else { 0o666 };
    options.write(true).create_new(true).mode(mode);
    let mut file = folder.open_with(name, &options)?;
    file.write_all(content)
}
