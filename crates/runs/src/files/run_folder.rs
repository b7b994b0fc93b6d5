//! The folder of a run: everything about it, for whoever asked and for people.
//!
//! Every file is written whole and put in its place at once, so that nobody ever reads
//! half of one; a link that lies in the place of a file is replaced, not followed. The
//! folder is a copy: the state home is the truth, and the folder is written anew from
//! it as often as needed.

use std::{
    io::{self, Write},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

/// What was asked for.
pub const REQUEST: &str = "request.json";
/// The skills that were found.
pub const SKILLS_INDEX: &str = "skills_index.json";
/// Those that were chosen, and why.
pub const SELECTED_SKILLS: &str = "selected_skills.json";
/// What the worker was told.
pub const PROMPT: &str = "subagent_prompt.txt";
/// How Codex was started.
pub const CODEX_EXEC: &str = "codex_exec.json";
/// The form of the last message.
pub const OUTPUT_SCHEMA: &str = "subagent_output.schema.json";
/// What Codex printed, line by line.
pub const EVENTS: &str = "events.jsonl";
/// What Codex printed for people.
pub const STDERR: &str = "stderr.log";
/// The last message.
pub const LAST_MESSAGE: &str = "last_message.json";
/// The conversation.
pub const THREAD: &str = "thread.json";
/// The answer. Written last: where it is, everything is.
pub const RESULT: &str = "result.json";

/// Every file of a run that is over, in the order in which they come to be.
pub const ALL: [&str; 11] = [
    REQUEST,
    SKILLS_INDEX,
    SELECTED_SKILLS,
    PROMPT,
    OUTPUT_SCHEMA,
    CODEX_EXEC,
    EVENTS,
    STDERR,
    LAST_MESSAGE,
    THREAD,
    RESULT,
];

/// The folder cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct RunFolderError {
    /// What was tried.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// The folder of all runs below a Codex home.
#[must_use]
pub fn runs_folder(codex_home: &Path) -> PathBuf {
    codex_home.join("delegator/runs")
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder, for its owner only, unless it is there.
    ///
    /// # Errors
    /// It cannot be made, or something else has its name.
    pub fn create(path: &Path) -> Result<Self, RunFolderError> {
        let failed = |operation| {
            move |source| RunFolderError {
                operation,
                path: path.to_owned(),
                source,
            }
        };
        create_all(path).map_err(failed("create the folder"))?;
        let meta = fs_err::symlink_metadata(path).map_err(failed("look at"))?;
        if !meta.is_dir() {
            let source = io::Error::new(io::ErrorKind::NotADirectory, "it is no folder");
            return Err(failed("use")(source));
        }
        if meta.permissions().mode() & 0o777 != 0o700 {
            let private = std::fs::Permissions::from_mode(0o700);
            fs_err::set_permissions(path, private).map_err(failed("tighten the mode of"))?;
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Writes a file of JSON.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), RunFolderError> {
        self.write(name, |file| {
            serde_json::to_writer_pretty(&mut *file, value)?;
            file.write_all(b"\n")
        })
    }

    /// Writes a file of text.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<(), RunFolderError> {
        self.write(name, |file| file.write_all(text.as_bytes()))
    }

    /// Writes a file by a function, and puts it in its place once it is on disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut io::BufWriter<&fs_err::File>) -> io::Result<()>,
    ) -> Result<(), RunFolderError> {
        let path = self.path.join(name);
        self.replace(&path, fill).map_err(|source| RunFolderError {
            operation: "write",
            path,
            source,
        })
    }

    fn replace(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut io::BufWriter<&fs_err::File>) -> io::Result<()>,
    ) -> io::Result<()> {
        // Readable by its owner only, by the library's own rule.
        let temporary = tempfile::Builder::new()
            .prefix(".writing-")
            .tempfile_in(&self.path)?;
        let (file, place) = temporary.into_parts();
        let file = fs_err::File::from_parts(file, place.to_path_buf());
        let mut writer = io::BufWriter::new(&file);
        fill(&mut writer)?;
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        place.persist(path)?;
        Ok(())
    }

    /// Deletes what a process that was killed left half written, and makes the names
    /// durable.
    ///
    /// # Errors
    /// The folder cannot be read or synced.
    pub fn tidy(&self) -> Result<(), RunFolderError> {
        let tidy = || -> io::Result<()> {
            for entry in fs_err::read_dir(&self.path)? {
                let entry = entry?;
                if entry
                    .file_name()
                    .as_encoded_bytes()
                    .starts_with(b".writing-")
                {
                    fs_err::remove_file(entry.path())?;
                }
            }
            fs_err::File::open(&self.path)?.sync_all()
        };
        tidy().map_err(|source| RunFolderError {
            operation: "tidy",
            path: self.path.clone(),
            source,
        })
    }
}

/// Makes a folder and what leads to it; what is new is for its owner only.
///
/// # Errors
/// It cannot be made.
pub fn create_all(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(path)
}

/// The files of a finished run's folder that are there.
#[must_use]
pub fn artifacts(path: &Path) -> Vec<&'static str> {
    let is_there = |name: &&str| fs_err::symlink_metadata(path.join(name)).is_ok();
    ALL.into_iter().filter(is_there).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_replace_links() {
        let temp = tempfile::tempdir().expect("a temp folder");
        let path = runs_folder(temp.path()).join("r");
        let folder = RunFolder::create(&path).expect("made");
        let mode =
            |path: &Path| fs_err::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&temp.path().join("delegator")), 0o700);
        let outside = temp.path().join("outside");
        fs_err::write(&outside, "mine").expect("written");
        std::os::unix::fs::symlink(&outside, path.join(THREAD)).expect("linked");
        folder
            .write_json(THREAD, &serde_json::json!({"thread_id": null}))
            .expect("written");
        assert_eq!(fs_err::read_to_string(&outside).expect("read"), "mine");
        assert_eq!(mode(&path.join(THREAD)), 0o600);
        fs_err::write(path.join(".writing-x"), "half").expect("written");
        folder.tidy().expect("tidied");
        assert!(!path.join(".writing-x").exists());
        assert_eq!(artifacts(&path), [THREAD]);
    }

    #[test]
    fn a_link_is_no_run_folder() {
        let temp = tempfile::tempdir().expect("a temp folder");
        let path = temp.path().join("r");
        std::os::unix::fs::symlink("/nowhere", &path).expect("linked");
        assert!(RunFolder::create(&path).is_err());
        fs_err::create_dir(temp.path().join("real")).expect("made");
        let other = temp.path().join("s");
        std::os::unix::fs::symlink(temp.path().join("real"), &other).expect("linked");
        assert!(RunFolder::create(&other).is_err());
    }
}
