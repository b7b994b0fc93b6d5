//! Folders as they are with a layer on top of its tree, while nothing is mounted.

use std::{
    fs::Metadata,
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{Layer, written::is_opaque};

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A folder, and so is each above it.
    Folder,
    /// Nothing.
    Missing,
    /// Something else, or something else is on the way: a link for instance.
    Other,
}

impl Layer {
    /// Makes the empty layer and the folder `work` beside it. The top of the layer is
    /// what is seen as the top of the tree, so it has the same mode and owner; nobody
    /// else enters the folder in which it lies.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(&self, work: &Path) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let private = |folder: &Path| {
            let mut made = std::fs::DirBuilder::new();
            made.recursive(true).mode(0o700).create(folder)
        };
        private(&self.upper)?;
        private(work)?;
        let top = fs_err::metadata(&self.tree)?;
        let made = fs_err::metadata(&self.upper)?;
        if (top.uid(), top.gid()) != (made.uid(), made.gid()) {
            std::os::unix::fs::chown(&self.upper, Some(top.uid()), Some(top.gid()))?;
        }
        let mode = std::fs::Permissions::from_mode(top.mode() & 0o7777);
        fs_err::set_permissions(&self.upper, mode)
    }

    /// Makes the folder `work` anew. Nothing of it is needed once nothing is mounted, and
    /// what an overlay leaves there to keep others away keeps the next one away too.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn renew_work(work: &Path) -> io::Result<()> {
        remove(work)?;
        std::fs::DirBuilder::new().mode(0o700).create(work)
    }

    /// What a path of the tree is with the layer on top.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn standing(&self, path: &Path) -> io::Result<Standing> {
        let (mut above, mut beneath) = (self.upper.clone(), self.tree.clone());
        let (mut is_above, mut shows) = (true, true);
        for name in self.within(path)?.components() {
            above.push(name);
            beneath.push(name);
            let found = match is_above {
                true => look(&above)?,
                false => None,
            };
            let below = match shows {
                true => look(&beneath)?,
                false => None,
            };
            is_above = found.is_some();
            match (found, below) {
                (Some(meta), below) if meta.is_dir() => {
                    let opaque = fs_err::File::open(&above).is_ok_and(|f| is_opaque(f.file()));
                    shows = !opaque && below.is_some_and(|meta| meta.is_dir());
                }
                (Some(meta), _) => return Ok(of_other(&meta)),
                (None, Some(meta)) if meta.is_dir() => {}
                (None, Some(_)) => return Ok(Standing::Other),
                (None, None) => return Ok(Standing::Missing),
            }
        }
        Ok(Standing::Folder)
    }

    /// Folders that are missing on the way to one of the tree, as they would lie in the
    /// layer, the outermost first.
    ///
    /// # Errors
    /// It cannot be looked at, or something else lies in its place.
    pub fn missing(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut missing = Vec::new();
        for folder in path.ancestors().take_while(|above| *above != self.tree) {
            match self.standing(folder)? {
                Standing::Folder => break,
                Standing::Missing => missing.push(self.upper.join(self.within(folder)?)),
                Standing::Other => {
                    return Err(io::Error::other("something else lies in its place"));
                }
            }
        }
        missing.reverse();
        Ok(missing)
    }

    /// Makes a folder that is missing, named as it lies in the layer. Those above it
    /// that are in the tree alone get the modes that they have there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let within = folder
            .strip_prefix(&self.upper)
            .map_err(|_| io::Error::other("it does not lie in the layer"))?;
        let mut at = PathBuf::new();
        for name in within.parent().unwrap_or(Path::new("")).components() {
            at.push(name);
            let above = self.upper.join(&at);
            if look(&above)?.is_none() {
                let mode = fs_err::metadata(self.tree.join(&at))?.permissions().mode();
                std::fs::DirBuilder::new().mode(0o700).create(&above)?;
                let mode = std::fs::Permissions::from_mode(mode & 0o7777);
                fs_err::set_permissions(&above, mode)?;
            }
        }
        // A mark that something was removed gives way; what was removed stays so.
        let was_removed = look(folder)?.is_some_and(|meta| is_mark(&meta));
        if was_removed {
            fs_err::remove_file(folder)?;
        }
        fs_err::create_dir(folder)?;
        match was_removed {
            true => super::written::set_opaque(folder),
            false => Ok(()),
        }
    }

    fn within<'a>(&self, path: &'a Path) -> io::Result<&'a Path> {
        path.strip_prefix(&self.tree)
            .map_err(|_| io::Error::other("it does not lie in the tree"))
    }
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs_err::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// A mark of what was removed, or something that is there.
fn of_other(meta: &Metadata) -> Standing {
    match is_mark(meta) {
        true => Standing::Missing,
        false => Standing::Other,
    }
}

fn is_mark(meta: &Metadata) -> bool {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    meta.file_type().is_char_device() && meta.rdev() == 0
}

/// Removes the folder of a layer with all that is in it, also folders that their
/// owner may not enter.
///
/// # Errors
/// Something of it stays.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(folder)?;
            fs_err::remove_dir_all(folder)
        }
        removed => removed,
    }
}

/// Lets the owner enter and empty all folders. Nothing writes there any more.
fn open_up(folder: &Path) -> io::Result<()> {
    fs_err::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
