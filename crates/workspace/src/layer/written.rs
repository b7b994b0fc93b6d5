//! Walks the folder of a layer.
//!
//! A file system marks in it what is gone: a character device with number 0 stands
//! for a path that was removed, and an attribute on a folder says that nothing of
//! the one beneath shows through. An agent writes while it is read: no link is
//! followed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, XattrFlags, fgetxattr, openat, setxattr, statat,
};

use super::{Layer, is_below, path_of};
use crate::checkpoint::{SkipReason, Skipped};

/// What lies in a layer. Paths are relative to its top.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Files and links.
    pub(super) files: BTreeSet<Vec<u8>>,
    /// Paths of which nothing beneath shows through.
    pub(super) replaced: BTreeSet<Vec<u8>>,
    /// Folders in which rules may say what is ignored, and where the rules lie.
    pub(super) rules: Vec<(Vec<u8>, Rules)>,
    /// Folders of which nothing is kept.
    pub(super) folders: BTreeSet<Vec<u8>>,
    /// Paths that cannot be kept, and why.
    skipped: BTreeMap<Vec<u8>, Unkept>,
}

/// Why a path is not kept, and what tells whether it changed.
type Unkept = (SkipReason, Option<(u64, i64)>);

/// Where the rules of a folder lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// In the layer.
    Above,
    /// In the tree.
    Beneath,
}

impl Written {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.replaced.is_empty() && self.skipped.is_empty()
    }

    /// Whether the layer says anything of a path.
    pub(super) fn touches(&self, path: &[u8]) -> bool {
        self.files.contains(path)
            || self.replaced.contains(path)
            || self.skipped.contains_key(path)
            || is_below(path, &self.replaced)
    }

    /// Files and links, and what cannot be kept.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.files.iter().chain(self.skipped.keys())
    }

    /// What cannot be kept, but for some paths.
    pub(super) fn skipped_but(&self, ignored: &BTreeSet<Vec<u8>>) -> Vec<Skipped> {
        let kept = self
            .skipped
            .iter()
            .filter(|(path, _)| !ignored.contains(*path));
        kept.map(|(path, (reason, stamp))| Skipped {
            path: String::from_utf8_lossy(path).into_owned(),
            reason: *reason,
            stamp: *stamp,
        })
        .collect()
    }
}

/// How deep folders are looked into: each takes an open file.
const DEEPEST: usize = 200;

/// What lies in a layer now.
pub(super) fn of(layer: &Layer) -> io::Result<Written> {
    let mut written = Written::default();
    let top = open_folder(CWD, layer.upper.as_os_str().as_encoded_bytes())?;
    let walk = Walk { layer };
    walk.folder(top, Vec::new(), true, &mut written)?;
    Ok(written)
}

struct Walk<'a> {
    layer: &'a Layer,
}

impl Walk<'_> {
    /// `shows`: whether a folder beneath shows through.
    fn folder(
        &self,
        folder: OwnedFd,
        path: Vec<u8>,
        shows: bool,
        written: &mut Written,
    ) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        if path.iter().filter(|byte| **byte == b'/').count() > DEEPEST {
            written.folders.insert(path.clone());
            written.skipped.insert(path, (SkipReason::Unreadable, None));
            return Ok(());
        }
        if !path.is_empty() && self.is_repository(&path, &names, shows) {
            let meta = rustix::fs::fstat(&folder)?;
            // Told apart from one that the layer says nothing of.
            let stamp = (names.len() as u64, meta.st_mtime);
            let skipped = (SkipReason::Repository, Some(stamp));
            written.folders.insert(path.clone());
            written.skipped.insert(path, skipped);
            return Ok(());
        }
        if !names.iter().any(|name| name == b".gitignore") && shows {
            written.rules.push((path.clone(), Rules::Beneath));
        }
        for name in names.iter().filter(|name| *name != b".git") {
            match self.entry(&folder, &path, name, shows, written) {
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                looked => looked?,
            }
        }
        Ok(())
    }

    fn entry(
        &self,
        folder: &OwnedFd,
        above: &[u8],
        name: &[u8],
        shows: bool,
        written: &mut Written,
    ) -> io::Result<()> {
        let meta = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let path = match above {
            [] => name.to_vec(),
            above => [above, b"/", name].concat(),
        };
        match FileType::from_raw_mode(meta.st_mode) {
            FileType::RegularFile | FileType::Symlink => {
                if name == b".gitignore" {
                    written.rules.push((above.to_vec(), Rules::Above));
                }
                written.files.insert(path);
            }
            FileType::Directory => match open_folder(folder, name) {
                Ok(inner) => {
                    let is_opaque = is_opaque(&inner);
                    let shows = shows && !is_opaque && self.lies_beneath(&path);
                    if is_opaque {
                        written.replaced.insert(path.clone());
                    }
                    self.folder(inner, path, shows, written)?;
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    written.folders.insert(path.clone());
                    written.skipped.insert(path, (SkipReason::Unreadable, None));
                }
                Err(error) => return Err(error),
            },
            FileType::CharacterDevice if meta.st_rdev == 0 => {
                written.replaced.insert(path);
            }
            // A pipe or a socket, of which no state is kept.
            _ => {
                written.replaced.insert(path.clone());
                written.skipped.insert(path, (SkipReason::Unreadable, None));
            }
        }
        Ok(())
    }

    fn lies_beneath(&self, path: &[u8]) -> bool {
        let beneath = fs_err::symlink_metadata(self.layer.tree.join(path_of(path)));
        beneath.is_ok_and(|meta| meta.is_dir())
    }

    fn is_repository(&self, path: &[u8], names: &[Vec<u8>], shows: bool) -> bool {
        let own = names.iter().any(|name| name == b".git");
        let beneath = || self.layer.tree.join(path_of(path)).join(".git").exists();
        own || (shows && beneath())
    }
}

fn open_folder(above: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(above, path_of(name), flags, Mode::empty())?)
}

/// Whether marks in layers are attributes that an ordinary user may write: those of the
/// system are the business of root outside of any user namespace.
#[must_use]
pub fn has_user_attributes() -> bool {
    // All ids are themselves there.
    let is_initial = || {
        let map = fs_err::read_to_string("/proc/self/uid_map").unwrap_or_default();
        map.split_whitespace().eq(["0", "0", "4294967295"])
    };
    !rustix::process::geteuid().is_root() || !is_initial()
}

/// Name of the attribute that lets nothing of the folder beneath show through.
fn opaque() -> &'static str {
    match has_user_attributes() {
        true => "user.overlay.opaque",
        false => "trusted.overlay.opaque",
    }
}

/// Whether nothing of the folder beneath shows through.
pub(super) fn is_opaque(folder: impl AsFd) -> bool {
    let mut value = [0_u8; 1];
    fgetxattr(folder, opaque(), &mut value).is_ok_and(|length| value[..length] == *b"y")
}

/// Lets nothing of the folder beneath show through.
pub(super) fn set_opaque(folder: &Path) -> io::Result<()> {
    Ok(setxattr(folder, opaque(), b"y", XattrFlags::empty())?)
}
