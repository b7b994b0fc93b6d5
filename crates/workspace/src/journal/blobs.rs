//! Keeps contents of files in a private repository, by one `git hash-object` that
//! is told one path after the other.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::private_repository::command;

/// How long git may take for one file.
const ANSWERS_WITHIN: Timespec = Timespec {
    tv_sec: 3,
    tv_nsec: 0,
};

/// Keeps contents.
#[derive(Debug)]
pub(super) struct Blobs {
    repository: PathBuf,
    top: PathBuf,
    program: Option<Program>,
}

#[derive(Debug)]
struct Program {
    child: Child,
    paths: ChildStdin,
    names: BufReader<ChildStdout>,
}

impl Program {
    /// Waits for an answer: a pipe that was put in place of a file would hold git up
    /// for ever.
    fn answers(&self) -> io::Result<()> {
        let names = self.names.get_ref();
        let mut fds = [PollFd::new(names, PollFlags::IN)];
        match poll(&mut fds, Some(&ANSWERS_WITHIN))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has nothing to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Blobs {
    /// Keeps them in the private repository at `repository`. No program is started
    /// yet.
    pub fn new(repository: &Path, top: &Path) -> Self {
        Self {
            repository: repository.to_owned(),
            top: top.to_owned(),
            program: None,
        }
    }

    /// Keeps the contents of files, relative to the top, and answers the names of the
    /// objects; none of those that cannot be read.
    pub fn keep_all(&mut self, paths: &[&Path]) -> Vec<Option<String>> {
        let mut names = Vec::new();
        while names.len() < paths.len() {
            let left = &paths[names.len()..];
            let before = names.len();
            let asked = self.ask(left, &mut names);
            if asked.is_err() {
                // It ends at the first file that it cannot read.
                self.program = None;
                names.push(None);
            } else if names.len() == before {
                break;
            }
        }
        names.resize(paths.len(), None);
        names
    }

    /// Asks for some, and adds the answers up to the first that does not come.
    fn ask(&mut self, paths: &[&Path], names: &mut Vec<Option<String>>) -> io::Result<()> {
        let program = match &mut self.program {
            Some(program) => program,
            none => none.insert(start(&self.repository, &self.top)?),
        };
        let lines: Vec<u8> = paths
            .iter()
            .flat_map(|path| quoted(&self.top.join(path)))
            .collect();
        program.paths.write_all(&lines)?;
        for _ in paths {
            let mut name = String::new();
            if program.names.buffer().is_empty() {
                program.answers()?;
            }
            program.names.read_line(&mut name)?;
            match name.trim_end() {
                "" => return Err(io::Error::other("git could not read it")),
                name => names.push(Some(name.to_owned())),
            }
        }
        Ok(())
    }

    /// Keeps a text.
    ///
    /// # Errors
    /// Git cannot be run.
    pub fn keep_text(&self, text: &[u8]) -> io::Result<String> {
        let mut child = command(&self.repository, &self.top)
            .args(["hash-object", "-w", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text)?;
        }
        let output = child.wait_with_output()?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(io::Error::other("git could not keep it")),
        }
    }
}

fn start(repository: &Path, top: &Path) -> io::Result<Program> {
    let mut child = command(repository, top)
        // Many of them are soon gone: speed counts for more than room.
        .args(["-c", "core.looseCompression=1"])
        .args(["hash-object", "-w", "--no-filters", "--stdin-paths"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let missing = || io::Error::other("a pipe is missing");
    let paths = child.stdin.take().ok_or_else(missing)?;
    let names = child.stdout.take().ok_or_else(missing)?;
    Ok(Program {
        child,
        paths,
        names: BufReader::new(names),
    })
}

/// A path as git reads it from a line: in quotes where it would not be one line
/// (git-config(1), `core.quotePath`).
fn quoted(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    let mut line = Vec::with_capacity(bytes.len() + 1);
    if bytes.contains(&b'\n') || bytes.contains(&b'"') {
        line.push(b'"');
        for byte in bytes {
            match byte {
                b'"' | b'\\' => line.extend([b'\\', *byte]),
                b'\n' => line.extend(*b"\\n"),
                byte => line.push(*byte),
            }
        }
        line.push(b'"');
    } else {
        line.extend_from_slice(bytes);
    }
    line.push(b'\n');
    line
}
