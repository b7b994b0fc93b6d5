//! Writes files of a working tree without ever leaving it: a folder on the way
//! that was replaced by a link is not followed.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path},
};

use cap_std::fs::{
    Dir, Metadata, OpenOptions, OpenOptionsExt as _, Permissions, PermissionsExt as _,
};

use rustix::fs::{Mode, OFlags};

use crate::tree_diff::Side;

/// Mode git gives an executable file.
const EXECUTABLE: &str = "100755";
/// Mode git gives a link.
const LINK: &str = "120000";
/// Mode git gives a commit of another repository.
const COMMIT: &str = "160000";

/// What a path holds: its mode and its content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub(crate) side: &'a Side,
    pub(crate) content: &'a [u8],
}

/// Whether something was put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// It was.
    Yes,
    /// Something else was there than was known; it stays.
    No,
}

impl Held<'_> {
    fn is_file(self) -> bool {
        self.side.mode.starts_with("100")
    }

    /// `private`: for nobody else until its mode is known.
    fn write(self, folder: &Dir, name: &str, private: bool) -> io::Result<()> {
        match self.side.mode.as_str() {
            LINK => folder.symlink_contents(text(self.content), name),
            COMMIT => Err(io::Error::other("it is a repository of its own")),
            mode => write(folder, name, self.content, mode == EXECUTABLE, private),
        }
    }

    fn is_at(self, folder: &Dir, name: &str) -> bool {
        if self.side.mode == LINK {
            return folder
                .read_link_contents(name)
                .is_ok_and(|to| to.as_os_str().as_bytes() == self.content);
        }
        let is_file = folder
            .symlink_metadata(name)
            .is_ok_and(|meta| meta.is_file());
        is_file
            && folder
                .read(name)
                .is_ok_and(|content| content == self.content)
    }
}

/// A working tree that is written.
#[derive(Debug)]
pub(crate) struct TreeWriter {
    top: Dir,
}

impl TreeWriter {
    /// # Errors
    /// The folder cannot be opened.
    pub(crate) fn open(top: &Path) -> io::Result<Self> {
        // A link in its place is not followed.
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(top, flags, Mode::empty())?;
        let top = Dir::from_std_file(std::fs::File::from(folder));
        Ok(Self { top })
    }

    /// Puts something in place of what is known to be there, or removes it. What
    /// is there is moved aside first and looked at: if it is not what was known,
    /// somebody edited it in this very moment, and it stays.
    ///
    /// # Errors
    /// A folder or the place of a folder is in the way, or it cannot be written.
    /// What was there stays then.
    pub(crate) fn replace(
        &self,
        path: &str,
        known: Option<Held<'_>>,
        new: Option<Held<'_>>,
    ) -> io::Result<Replaced> {
        let (folder, name) = self.folder_of(path, new.is_some())?;
        let own = std::process::id();
        let (next, old) = (
            format!(".{name}.convoke-{own}"),
            format!(".{name}.convoke-{own}-old"),
        );
        // Left by a process of this number that was killed.
        let _ = folder.remove_file(&next);
        let clean_up = |result| {
            let _ = folder.remove_file(&next);
            result
        };
        let old_meta = folder
            .symlink_metadata(name)
            .ok()
            .filter(|meta| meta.is_file());
        if let Some(new) = new
            && let Err(error) = new.write(&folder, &next, old_meta.is_some())
        {
            return clean_up(Err(error));
        }
        match folder.symlink_metadata(name) {
            Ok(meta) if meta.is_dir() => {
                return clean_up(Err(io::Error::other("a folder stands there")));
            }
            Ok(meta) => {
                if let Err(error) = folder.rename(name, &folder, &old) {
                    return clean_up(Err(error));
                }
                if !known.is_some_and(|known| known.is_at(&folder, &old)) {
                    // Nobody is overwritten: what came meanwhile is kept too.
                    return clean_up(place(&folder, &old, name).map(|()| Replaced::No));
                }
                if meta.is_file() && new.is_some_and(Held::is_file) {
                    // Without it the file is only its owner's.
                    let _ = keep_mode(&folder, &next, &meta);
                }
            }
            Err(_) if known.is_some() => return clean_up(Ok(Replaced::No)),
            Err(_) => {}
        }
        let placed = match new {
            // Unlike a rename, it overwrites nothing that came meanwhile.
            Some(_) => place(&folder, &next, name),
            None => Ok(()),
        };
        match placed {
            Ok(()) => {
                let _ = folder.remove_file(&old);
                if new.is_none() {
                    self.remove_empty_above(path);
                }
                clean_up(Ok(Replaced::Yes))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // What was there before is kept as a state.
                let _ = folder.remove_file(&old);
                clean_up(Ok(Replaced::No))
            }
            Err(error) => {
                let _ = folder.rename(&old, &folder, name);
                clean_up(Err(error))
            }
        }
    }

    /// Removes the folders that are empty without what was at `path`.
    fn remove_empty_above(&self, path: &str) {
        let mut above = Path::new(path).parent();
        while let Some(folder) = above.filter(|folder| !folder.as_os_str().is_empty()) {
            if self.top.remove_dir(folder).is_err() {
                break;
            }
            above = folder.parent();
        }
    }

    /// The content of a file, unless it is larger than `most` bytes: then its length.
    ///
    /// # Errors
    /// It is no file within the tree, or cannot be read.
    pub(crate) fn read(&self, path: &str, most: u64) -> io::Result<Result<Vec<u8>, u64>> {
        let (folder, name) = self.folder_of(path, false)?;
        let meta = folder.symlink_metadata(name)?;
        if !meta.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        if meta.len() > most {
            return Ok(Err(meta.len()));
        }
        let mut options = OpenOptions::new();
        options.read(true);
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed());
        let file = folder.open_with(name, &options)?;
        let mut content = Vec::new();
        file.take(most).read_to_end(&mut content)?;
        Ok(Ok(content))
    }

    /// Whether just this is there.
    pub(crate) fn holds(&self, path: &str, held: Held<'_>) -> bool {
        self.folder_of(path, false)
            .is_ok_and(|(folder, name)| held.is_at(&folder, name))
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

/// Gives a file its name unless something has it, also where there are no links.
fn place(folder: &Dir, from: &str, name: &str) -> io::Result<()> {
    match folder.hard_link(from, folder, name) {
        Ok(()) => {
            // With two names the file is where it belongs.
            let _ = folder.remove_file(from);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if folder.symlink_metadata(name).is_err() => folder.rename(from, folder, name),
        Err(error) => Err(error),
    }
}

fn text(content: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(content))
}

fn write(
    folder: &Dir,
    name: &str,
    content: &[u8],
    executable: bool,
    private: bool,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // The user's umask counts, as for git.
    let most = if private { 0o700 } else { 0o777 };
    let mode = most & if executable { 0o777 } else { 0o666 };
    options.write(true).create_new(true).mode(mode);
    let mut file = folder.open_with(name, &options)?;
    file.write_all(content)
}

/// Lets a new file be read and written by whom the old one was; whether it can be
/// run is its own.
fn keep_mode(folder: &Dir, name: &str, old: &Metadata) -> io::Result<()> {
    let new = folder.symlink_metadata(name)?.permissions().mode();
    let old = old.permissions().mode() & 0o666;
    let run = if new & 0o100 == 0 {
        0
    } else {
        (old & 0o444) >> 2
    };
    folder.set_permissions(name, Permissions::from_mode(old | run))
}

/// The content of a file of a working tree; see [`TreeWriter::read`].
///
/// # Errors
/// It is no file within the tree, or cannot be read.
pub fn read_within(top: &Path, path: &str, most: u64) -> io::Result<Result<Vec<u8>, u64>> {
    TreeWriter::open(top)?.read(path, most)
}
