//! Runs the `git` program without the programs a repository can configure: for
//! reading, and to point refs back where they were.
//!
//! A repository may come from an agent that is held in a sandbox, while git
//! runs outside of it: nothing a repository says may start a program here.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    bounded::{self, BoundedError},
    filter_memory,
};

/// How long one reading may take, all its programs together.
const LONGEST: Duration = Duration::from_secs(20);

/// Settings that win over those of the repository, on every call.
const GUARDS: [&str; 5] = [
    "core.fsmonitor=false",
    "core.untrackedCache=keep",
    "core.hooksPath=/dev/null",
    "protocol.allow=never",
    "status.submoduleSummary=false",
];

/// Names of the settings through which a filter of a repository runs programs
/// whenever git compares the content of a file, and of those that bring in the
/// settings of further files.
const FILTERS: &str = r"^(filter\..*\.(clean|smudge|process|required)|include(if)?\..*)$";

/// Variables of git that say where the user's own settings are; all others
/// are taken away, because they point git elsewhere or make it run programs.
const KEPT_VARIABLES: [&str; 3] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
];

/// A call of `git` that failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The program cannot be started, takes too long or cannot be read.
    #[error("cannot run git in {}", folder.display())]
    Run {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: BoundedError,
    },
    /// It ended with an error.
    #[error("`git {arguments}` failed in {}: {message}", folder.display())]
    Failed {
        /// What was asked.
        arguments: String,
        /// Where.
        folder: PathBuf,
        /// What it printed on stderr.
        message: String,
    },
    /// The repository has a filter whose name git's command line cannot
    /// express, so that it cannot be switched off.
    #[error("the filter setting {key:?} of {} cannot be switched off", folder.display())]
    Filter {
        /// Where.
        folder: PathBuf,
        /// The setting.
        key: String,
    },
}

/// Runs `git` in `folder` and answers with its stdout.
///
/// The environment is that of this process without the variables that would
/// point git elsewhere. No lock is taken, and no hook, filter, prompt or
/// transfer runs, so the user's repository stays byte for byte as it is. Files
/// whose content is filtered are compared as they are. All in all it takes at
/// most 20 s.
///
/// # Errors
/// Git cannot be started, takes too long or reports an error, or the
/// repository has a filter that cannot be switched off.
pub fn read(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
    let deadline = Instant::now() + LONGEST;
    let filters = filters_off(folder, deadline)?;
    let output = run(folder, &filters, arguments, deadline)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failed(folder, arguments, &output.stderr))
}

/// Like [`read`], for questions about the object store and the refs alone: no
/// file of the work tree is looked at, so no filter could run.
///
/// # Errors
/// Git cannot be started, takes too long or reports an error.
pub fn read_store(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
    let output = run(folder, &[], arguments, Instant::now() + LONGEST)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failed(folder, arguments, &output.stderr))
}

/// Moves refs by the commands of `git update-ref --stdin` (git-update-ref(1)), all
/// of them or none.
///
/// # Errors
/// Git cannot be started, or a ref is not as a command says.
pub(crate) fn update_refs(folder: &Path, commands: &str) -> Result<(), GitError> {
    write(folder, &["update-ref", "--stdin"], commands)
}

/// Puts HEAD on a branch (`refs/heads/…`) or a commit. Files and the index stay.
///
/// # Errors
/// Git cannot be started, or fails.
pub(crate) fn set_head(folder: &Path, to: &str) -> Result<(), GitError> {
    if to.starts_with("refs/") {
        write(folder, &["symbolic-ref", "HEAD", to], "")
    } else {
        write(folder, &["update-ref", "--no-deref", "HEAD", to], "")
    }
}

/// Links a further work tree at `top` to the repository of `folder`, with HEAD
/// detached where that of `folder` is, and no files in it.
///
/// # Errors
/// Git cannot be started, or fails.
pub(crate) fn add_worktree(folder: &Path, top: &Path) -> Result<(), GitError> {
    let path = top.to_string_lossy();
    let arguments = [
        "worktree",
        "add",
        "--quiet",
        "--detach",
        "--no-checkout",
        "--",
        &path,
        "HEAD",
    ];
    write(folder, &arguments, "")
}

/// Removes a linked work tree, whatever is in it, or what is known of one that is
/// gone.
///
/// # Errors
/// Git cannot be started, or the repository has no such work tree.
pub(crate) fn remove_worktree(folder: &Path, top: &Path) -> Result<(), GitError> {
    let path = top.to_string_lossy();
    write(
        folder,
        &["worktree", "remove", "--force", "--force", "--", &path],
        "",
    )
}

/// Makes the index as HEAD is. What it knows of unchanged files stays.
///
/// # Errors
/// Git cannot be started, or fails.
pub(crate) fn reset_index(folder: &Path) -> Result<(), GitError> {
    write(folder, &["read-tree", "--reset", "HEAD"], "")
}

fn write(folder: &Path, arguments: &[&str], input: &str) -> Result<(), GitError> {
    let mut command = guarded(folder, &[], arguments);
    let deadline = Instant::now() + LONGEST;
    let output = bounded::output_with_input(&mut command, input.as_bytes(), deadline);
    let output = output.map_err(|source| GitError::Run {
        folder: folder.to_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(folder, arguments, &output.stderr))
}

/// Settings that switch off every filter the repository can see.
fn filters_off(folder: &Path, deadline: Instant) -> Result<Vec<String>, GitError> {
    if filter_memory::has_none(folder) {
        return Ok(Vec::new());
    }
    let asked = filter_memory::Asked::of(folder);
    let keys = setting_names(folder, deadline)?;
    if keys.is_empty() {
        asked.remember_none();
        return Ok(Vec::new());
    }
    let is_filter = |key: &&Vec<u8>| key.starts_with(b"filter.");
    keys.iter()
        .filter(is_filter)
        .map(|key| switched_off(folder, key))
        .collect()
}

/// Names of the settings that give the repository filters, or more settings
/// than those of its own files. Listing settings runs no program.
fn setting_names(folder: &Path, deadline: Instant) -> Result<Vec<Vec<u8>>, GitError> {
    let arguments = ["config", "-z", "--name-only", "--get-regexp", FILTERS];
    let output = run(folder, &[], &arguments, deadline)?;
    match output.status.code() {
        Some(0) => {}
        // Nothing matches.
        Some(1) => return Ok(Vec::new()),
        _ => return Err(failed(folder, &arguments, &output.stderr)),
    }
    let keys = output.stdout.split(|byte| *byte == 0);
    Ok(keys
        .filter(|key| !key.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

/// The setting that makes one of a filter have no effect.
fn switched_off(folder: &Path, key: &[u8]) -> Result<String, GitError> {
    // Of `-c KEY=VALUE` git takes the first `=`.
    let usable = std::str::from_utf8(key)
        .ok()
        .filter(|key| !key.contains(['=', '\n']));
    let Some(key) = usable else {
        return Err(GitError::Filter {
            folder: folder.to_owned(),
            key: String::from_utf8_lossy(key).into_owned(),
        });
    };
    Ok(if key.ends_with(".required") {
        format!("{key}=false")
    } else {
        format!("{key}=")
    })
}

fn run(
    folder: &Path,
    settings: &[String],
    arguments: &[&str],
    deadline: Instant,
) -> Result<std::process::Output, GitError> {
    let mut command = guarded(folder, settings, arguments);
    bounded::output(&mut command, deadline).map_err(|source| GitError::Run {
        folder: folder.to_owned(),
        source,
    })
}

fn guarded(folder: &Path, settings: &[String], arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    for setting in GUARDS
        .into_iter()
        .chain(settings.iter().map(String::as_str))
    {
        command.args(["-c", setting]);
    }
    command.args(arguments);
    take_variables_away(&mut command);
    command
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        // A repository that lacks objects must not fetch them: that runs
        // programs of its choice. Older releases know the second only.
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("LC_ALL", "C");
    command
}

/// Takes away the variables by which git could be pointed elsewhere, or be made
/// to run programs.
pub(crate) fn take_variables_away(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_taken_away(&name) {
            command.env_remove(name);
        }
    }
}

fn is_taken_away(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"GIT_") && !KEPT_VARIABLES.iter().any(|kept| name == *kept)
}

pub(crate) fn failed(folder: &Path, arguments: &[&str], stderr: &[u8]) -> GitError {
    GitError::Failed {
        arguments: arguments.join(" "),
        folder: folder.to_owned(),
        message: String::from_utf8_lossy(stderr).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{changes, snapshot};

    fn git(folder: &Path, arguments: &[&str]) {
        let output = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"])
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn write(path: &Path, text: &str) {
        fs_err::write(path, text).expect("written");
    }

    /// A repository with one committed file that has been changed in place
    /// since, so that git must look at its content.
    fn repository(top: &Path) {
        git(top, &["init", "-q", "-b", "main"]);
        write(&top.join("file"), "one");
        git(top, &["add", "."]);
        git(top, &["commit", "-q", "-m", "one"]);
        write(&top.join("file"), "two");
    }

    /// Settings of a filter `planted` that leave `mark` behind.
    fn filter(mark: &Path) -> String {
        let run = format!("touch '{}'; cat", mark.display());
        format!(
            "[filter \"planted\"]\n\tclean = \"{run}\"\n\tsmudge = \"{run}\"\n\tprocess = \"{run}\"\n\trequired = true\n"
        )
    }

    fn append(path: &Path, text: &str) {
        let old = fs_err::read_to_string(path).expect("a file");
        write(path, &(old + text));
    }

    /// Both reading commands, with the mark of a planted program looked for.
    fn assert_nothing_runs(top: &Path, mark: &Path) {
        let before = snapshot::take(top).expect("a snapshot");
        assert_eq!(before.status.len(), 1, "{:?}", before.status);
        let mut after = before.clone();
        after.head = before.head.as_ref().map(|head| format!("{head}^{{tree}}"));
        changes::paths_changed(top, &before, &after).expect("changes");
        assert!(!mark.exists(), "a planted program ran");
        // The plant is a live one: plain git runs it.
        let plain = Command::new("git")
            .arg("-C")
            .arg(top)
            .arg("status")
            .output();
        assert!(plain.is_ok());
        assert!(mark.exists(), "the test plants nothing");
    }

    #[test]
    fn a_filter_in_the_settings_does_not_run() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (top, mark) = (root.path().join("r"), root.path().join("mark"));
        fs_err::create_dir(&top).expect("created");
        repository(&top);
        append(&top.join(".git/config"), &filter(&mark));
        write(&top.join(".git/info/attributes"), "* filter=planted\n");
        assert_nothing_runs(&top, &mark);
    }

    #[test]
    fn a_filter_that_comes_later_does_not_run() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (top, mark) = (root.path().join("r"), root.path().join("mark"));
        fs_err::create_dir(&top).expect("created");
        repository(&top);
        // Now it is known that there are none.
        snapshot::take(&top).expect("a snapshot");
        snapshot::take(&top).expect("a snapshot");
        append(&top.join(".git/config"), &filter(&mark));
        write(&top.join(".git/info/attributes"), "* filter=planted\n");
        assert_nothing_runs(&top, &mark);
    }

    #[test]
    fn a_filter_in_an_included_file_does_not_run() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (top, mark) = (root.path().join("r"), root.path().join("mark"));
        fs_err::create_dir(&top).expect("created");
        write(&top.join(".gitattributes"), "file filter=planted\n");
        repository(&top);
        write(&top.join(".git/more"), &filter(&mark));
        append(
            &top.join(".git/config"),
            "[include]\n\tpath = more\n[diff]\n\texternal = false\n",
        );
        assert_nothing_runs(&top, &mark);
    }

    #[test]
    fn a_filter_of_a_submodule_does_not_run() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (top, mark) = (root.path().join("r"), root.path().join("mark"));
        let inner = top.join("inner");
        fs_err::create_dir_all(&inner).expect("created");
        repository(&inner);
        repository(&top);
        append(&inner.join(".git/config"), &filter(&mark));
        write(&inner.join(".git/info/attributes"), "* filter=planted\n");
        assert_nothing_runs(&top, &mark);
    }

    #[test]
    fn a_filter_that_cannot_be_switched_off_is_an_error() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (top, mark) = (root.path().join("r"), root.path().join("mark"));
        fs_err::create_dir(&top).expect("created");
        repository(&top);
        let named = filter(&mark).replace("planted", "a=b");
        append(&top.join(".git/config"), &named);
        write(&top.join(".git/info/attributes"), "* filter=a=b\n");
        let error = snapshot::take(&top).unwrap_err();
        assert!(matches!(error, GitError::Filter { .. }), "{error}");
        assert!(!mark.exists(), "a planted program ran");
    }
    #[test]
    fn a_missing_object_is_not_fetched() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (top, mark) = (root.path().join("r"), root.path().join("mark"));
        fs_err::create_dir(&top).expect("created");
        repository(&top);
        let program = format!("ext::touch {}", mark.display());
        for (key, value) in [
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", "origin"),
            ("remote.origin.promisor", "true"),
            ("remote.origin.url", program.as_str()),
            ("protocol.ext.allow", "always"),
        ] {
            git(&top, &["config", key, value]);
        }
        let missing = "1".repeat(40);
        let diff = ["diff", "--name-only", missing.as_str(), "HEAD"];
        let error = read(&top, &diff).unwrap_err();
        assert!(matches!(error, GitError::Failed { .. }), "{error}");
        assert!(!mark.exists(), "a planted program ran");
        // The plant is a live one: plain git runs it.
        let plain = Command::new("git").arg("-C").arg(&top).args(diff).output();
        assert!(plain.is_ok());
        assert!(mark.exists(), "the test plants nothing");
    }
}
