//! Linux: mounts and owners within the tree.

use std::{
    ffi::OsString,
    io,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

/// What keeps a layer from being laid over `tree` while its files lie in
/// `state_home`, if anything does.
#[must_use]
pub fn of_tree(tree: &Path, state_home: &Path) -> Option<String> {
    if state_home.starts_with(tree) {
        return Some(format!(
            "the state home {} lies in it",
            state_home.display()
        ));
    }
    let mounts = fs_err::read("/proc/self/mountinfo").unwrap_or_default();
    let inside = mount_points(&mounts).find(|point| point != tree && point.starts_with(tree))?;
    Some(format!(
        "{} is a file system of its own within it, which would not show through",
        inside.display()
    ))
}

/// The mount points of proc_pid_mountinfo(5).
fn mount_points(text: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(|line| {
        let field = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(unescape(field))))
    })
}

/// Blanks and the like stand there as a backslash with three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let [first, more @ ..] = rest {
        let digits = (*first == b'\\').then(|| more.get(..3)).flatten();
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &more[3..] } else { more };
    }
    bytes
}

/// Something in the tree that could be written there but not through a layer,
/// because its owner or group is another than that of this process: in the
/// namespace of an ordinary user no other one exists. None as root, who needs none.
///
/// # Errors
/// The tree cannot be read.
pub fn foreign(tree: &Path) -> io::Result<Option<PathBuf>> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    if user.is_root() {
        return Ok(None);
    }
    let is_other = |uid: u32, gid: u32| uid != user.as_raw() || gid != group.as_raw();
    let top = fs_err::metadata(tree)?;
    if is_other(top.uid(), top.gid()) {
        return Ok(Some(tree.to_owned()));
    }
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs_err::read_dir(&folder) {
            Ok(entries) => entries,
            // Gone meanwhile, or nobody's business here.
            Err(error) if is_passed_over(&error) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                Err(error) if is_passed_over(&error) => continue,
                Err(error) => return Err(error),
            };
            // A file that is another's, and that only its owner writes, is not
            // written without a layer either.
            let is_writable = meta.uid() == user.as_raw() || meta.mode() & 0o022 != 0;
            let matters = meta.is_dir() || (meta.is_file() && is_writable);
            if matters && is_other(meta.uid(), meta.gid()) {
                return Ok(Some(entry.path()));
            }
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(None)
}

fn is_passed_over(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read() {
        let text =
            b"22 1 0:5 / /proc rw - proc proc rw\n30 22 8:1 / /a\\040b\\134c rw - ext4 /dev/x rw\n";
        let points: Vec<PathBuf> = mount_points(text).collect();
        assert_eq!(points, [PathBuf::from("/proc"), PathBuf::from("/a b\\c")]);
        assert!(of_tree(Path::new("/"), Path::new("/elsewhere")).is_some());
    }

    #[test]
    fn a_state_home_in_the_tree_is_an_obstacle() {
        let told = of_tree(Path::new("/a"), Path::new("/a/b"));
        assert_eq!(told.as_deref(), Some("the state home /a/b lies in it"));
    }
}
