//! The folders a job says it is about.

use std::path::{Component, Path, PathBuf};

use convoke_api::{
    error::{ApiError, RequestCode},
    spawn::JobRequest,
};
use convoke_core::{
    sandbox::{Access, Sandbox},
    scope::Scope,
};

/// Most folders of each kind.
const MOST_FOLDERS: usize = 64;

/// The scope of a request, with folders as they really are. One that does not
/// exist yet is made before the agent starts.
///
/// # Errors
/// A folder is no folder, or lies where the job could not write anyway; a job that
/// only reads has folders to write.
pub fn of_request(
    request: &JobRequest,
    working_folder: &Path,
    sandbox: Sandbox,
    access: Access,
) -> Result<Option<Scope>, ApiError> {
    let Some(asked) = &request.scope else {
        return Ok(None);
    };
    if asked.write.len().max(asked.read.len()) > MOST_FOLDERS {
        return Err(
            ApiError::invalid(format!("`scope` has more than {MOST_FOLDERS} folders"))
                .with_hint("name a folder above them"),
        );
    }
    if !asked.write.is_empty() && (sandbox == Sandbox::ReadOnly || access == Access::Read) {
        return Err(
            ApiError::invalid("`scope.write` names folders, but the job only reads")
                .with_hint("leave `scope.write` out, or let the job write (`sandbox`, `access`)"),
        );
    }
    if !asked.write.is_empty() && !request.add_dirs.is_empty() {
        return Err(ApiError::invalid(
            "`scope.write` and `addDirs` cannot be combined: a scope says all that the job may write",
        ));
    }
    let mut write = Vec::new();
    for name in &asked.write {
        let folder = folder("scope.write", name, working_folder)?;
        if !folder.starts_with(working_folder) {
            return Err(ApiError::new(
                RequestCode::InvalidArgument,
                format!(
                    "`scope.write` has {}, which does not lie in the working folder {}",
                    folder.display(),
                    working_folder.display()
                ),
            )
            .with_hint("start the job in a folder that holds all it is to write"));
        }
        write.push(folder);
    }
    let read = asked.read.iter();
    let read = read.map(|name| folder("scope.read", name, working_folder));
    Ok(Some(Scope {
        write: outermost(write),
        read: outermost(read.collect::<Result<_, _>>()?),
    }))
}

/// The folder of a name, with all links followed as far as it exists.
fn folder(key: &str, name: &str, working_folder: &Path) -> Result<PathBuf, ApiError> {
    let refused = |why: &str| ApiError::invalid(format!("`{key}` has {name:?}: {why}"));
    let path = working_folder.join(name);
    if name.trim().is_empty() || name.contains('\0') {
        return Err(refused("it is no path"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(refused("`..` is not allowed, it may lead anywhere"));
    }
    let is_git = |part: Component<'_>| part == Component::Normal(".git".as_ref());
    if path.components().any(is_git) {
        return Err(refused("`.git` is not for jobs to write"));
    }
    let existing = path
        .ancestors()
        .find(|above| above.symlink_metadata().is_ok());
    let existing = existing.ok_or_else(|| refused("nothing of it exists"))?;
    let real = fs_err::canonicalize(existing)
        .map_err(|error| refused(&format!("it cannot be used: {error}")))?;
    if !real.is_dir() {
        return Err(refused(
            "it is no folder; name the folder that holds the file",
        ));
    }
    let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
    // An empty rest would add a slash.
    Ok(real.components().chain(rest.components()).collect())
}

/// The folders without those that lie in another one of them, sorted.
fn outermost(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort();
    folders.dedup_by(|later, earlier| later.starts_with(&*earlier));
    folders
}

#[cfg(test)]
mod tests {
    use convoke_api::spawn;

    use super::*;

    fn scope(folder: &Path, write: &[&str], read: &[&str]) -> Result<Option<Scope>, ApiError> {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let request = JobRequest {
            scope: Some(spawn::Scope {
                write: texts(write),
                read: texts(read),
            }),
            ..JobRequest::default()
        };
        of_request(&request, folder, Sandbox::WorkspaceWrite, Access::Write)
    }

    #[test]
    fn folders_are_found_as_they_are() {
        let temp = tempfile::tempdir().expect("a temp folder");
        let root = fs_err::canonicalize(temp.path()).expect("canonical");
        let work = root.join("work");
        fs_err::create_dir_all(work.join("src/deep")).expect("created");
        fs_err::create_dir(root.join("other")).expect("created");
        fs_err::write(work.join("file"), "").expect("written");
        std::os::unix::fs::symlink("src", work.join("link")).expect("linked");
        std::os::unix::fs::symlink("../other", work.join("out")).expect("linked");

        let found = scope(
            &work,
            &["link/deep", "./src", "new/er", "src/deep"],
            &["../other", "."],
        );
        assert!(found.is_err(), "`..` is refused");
        let found = scope(&work, &["link/deep", "./src", "new/er", "src/deep"], &["."])
            .expect("usable")
            .expect("a scope");
        assert_eq!(found.write, [work.join("new/er"), work.join("src")]);
        assert_eq!(found.read, std::slice::from_ref(&work));
        for (name, why) in [
            ("file", "no folder"),
            ("out", "does not lie in"),
            ("", "no path"),
            ("/", "does not lie in"),
        ] {
            let refused = scope(&work, &[name], &[]).expect_err("refused");
            assert!(refused.message.contains(why), "{name}: {}", refused.message);
        }
    }
}
