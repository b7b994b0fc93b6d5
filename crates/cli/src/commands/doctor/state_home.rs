//! Whether the state home can be used: whose it is, who may look in, and how
//! much room there is. The daemon knows on which file systems its locks hold
//! and refuses to serve on others.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use convoke_api::doctor::Check;
use rustix::fs::Access;

use super::{error, ok, warning};
use crate::output::time;

/// Less room is an error, bytes.
const TOO_LITTLE: u64 = 64 << 20;
/// Less room is worth a warning, bytes.
const LITTLE: u64 = 1 << 30;
/// What to do about a folder that cannot be used.
const ELSEWHERE: &str = "name a folder of your own on a local disk with `--home` or CONVOKE_HOME, in every client alike";

/// Whether the state home can be entered and written, by nobody but us.
pub fn folder(home: &Path) -> Check {
    let nearest = &nearest_existing(home);
    const NAME: &str = "state.home";
    let metadata = match fs_err::metadata(nearest) {
        Ok(metadata) => metadata,
        Err(problem) => return error(NAME, problem.to_string(), ELSEWHERE),
    };
    if !metadata.is_dir() {
        return error(
            NAME,
            format!("{} is not a folder", nearest.display()),
            ELSEWHERE,
        );
    }
    let rights = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    if let Err(problem) = rustix::fs::access(nearest, rights) {
        let message = format!("{} cannot be written: {problem}", nearest.display());
        return error(NAME, message, ELSEWHERE);
    }
    if nearest != home {
        return ok(NAME, format!("{} will be made", home.display()));
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me {
        let message = format!(
            "{} belongs to user {}, not to you ({me})",
            home.display(),
            metadata.uid()
        );
        return error(NAME, message, ELSEWHERE);
    }
    if metadata.mode() & 0o077 != 0 {
        let message = format!("{} can be entered by others", home.display());
        return warning(NAME, message, format!("chmod 700 {}", home.display()));
    }
    ok(NAME, home.display().to_string())
}

/// How much room there is. The daemon looks under the same name, which counts
/// more: it knows what is kept there.
pub fn room(home: &Path) -> Check {
    const NAME: &str = "state.folder";
    const REPAIR: &str = "make room on that disk, or move the state home";
    let room = match rustix::fs::statvfs(nearest_existing(home)) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(problem) => {
            return warning(
                NAME,
                format!("the free space is not known: {problem}"),
                REPAIR,
            );
        }
    };
    let message = format!("{} free", time::bytes(room));
    match room {
        0..TOO_LITTLE => error(NAME, message, REPAIR),
        TOO_LITTLE..LITTLE => warning(NAME, message, REPAIR),
        _ => ok(NAME, message),
    }
}

/// The folder itself, or the nearest one above it that exists.
fn nearest_existing(path: &Path) -> PathBuf {
    let nearest = path
        .ancestors()
        .find(|folder| folder.symlink_metadata().is_ok());
    nearest.unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use convoke_api::doctor::Verdict;

    use super::*;

    #[test]
    fn folders() {
        let base = std::env::temp_dir().join(format!("convoke-doctor-{}", std::process::id()));
        fs_err::create_dir_all(&base).unwrap();
        let home = base.join("a/b");
        let verdict = || folder(&home).verdict;
        assert_eq!(verdict(), Verdict::Ok);
        fs_err::create_dir_all(&home).unwrap();
        fs_err::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(verdict(), Verdict::Warning);
        fs_err::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(verdict(), Verdict::Ok);
        fs_err::remove_dir(&home).unwrap();
        fs_err::write(&home, "").unwrap();
        assert_eq!(verdict(), Verdict::Error);
        fs_err::remove_dir_all(&base).unwrap();
    }
}
