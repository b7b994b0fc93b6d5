//! A runner's folder: whole files written atomically, and the exit record, for
//! which space is reserved beforehand.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use convoke_core::runner_protocol::{ExitRecord, paths};

/// Bytes reserved for `exit.json`.
const RESERVE: usize = paths::EXIT_RESERVE_BYTES;

/// An open runner folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    dir: File,
    /// Device and inode: a new folder of the same name is not ours.
    id: (u64, u64),
}

/// Whether the folder is still ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing changed.
    Ours,
    /// It vanished or was replaced.
    Gone,
    /// Somebody else wrote `exit.json`.
    Superseded,
}

impl Folder {
    /// Opens the folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let dir = File::open(&path)?;
        let meta = dir.metadata()?;
        let id = (meta.dev(), meta.ino());
        Ok(Self { path, dir, id })
    }

    /// Absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Looks whether the folder is still there and still waiting for its end.
    pub fn standing(&self) -> Standing {
        match fs::metadata(&self.path) {
            Ok(meta) if (meta.dev(), meta.ino()) == self.id => {
                match self.file(paths::EXIT).try_exists() {
                    Ok(true) => Standing::Superseded,
                    _ => Standing::Ours,
                }
            }
            Ok(_) => Standing::Gone,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Standing::Gone,
            // A passing error of the file system is no reason to end an agent.
            Err(_) => Standing::Ours,
        }
    }

    /// Writes a whole file: complete or not there, and durable on return.
    ///
    /// It gets its name before it is synced, because many file systems then
    /// make both durable at once. Only a power loss in between can leave a file
    /// that holds something else, which readers take for a missing one.
    pub fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.file(&format!("{name}.tmp"));
        let written = (|| {
            let mut file = create(&temporary)?;
            file.write_all(bytes)?;
            fs::rename(&temporary, self.file(name))?;
            file.sync_all()
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.dir.sync_all()
    }

    /// Sets space aside for the exit record, unless that was done when the
    /// folder was made.
    pub fn reserve_exit(&self) -> io::Result<()> {
        let path = self.file(paths::EXIT_RESERVE);
        if fs::metadata(&path).is_ok_and(|meta| meta.len() == RESERVE as u64) {
            return Ok(());
        }
        let mut file = create(&path)?;
        // Real zeros: some file systems take a sparse file's blocks only on write.
        file.write_all(&[0; RESERVE])?;
        file.sync_all()
    }

    /// Writes `exit.json` into the reserved space, and syncs it. Its name is
    /// sure to survive a power loss after [`Folder::sync`].
    pub fn write_exit(&self, record: &ExitRecord) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
        if bytes.len() > RESERVE {
            // The disk may be full: what does not fit is what matters least.
            let mut shorter = record.clone();
            for process in &mut shorter.leftovers {
                process.command.clear();
            }
            bytes = serde_json::to_vec(&shorter).map_err(io::Error::other)?;
        }
        let reserve = self.file(paths::EXIT_RESERVE);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&reserve)?;
        // Blanks up to the reserved size: to cut the file would cost as much as
        // another sync, and somebody waits for this one.
        bytes.resize(bytes.len().max(RESERVE), b' ');
        file.write_all(&bytes)?;
        // Named first, as in `write_atomic`.
        fs::rename(&reserve, self.file(paths::EXIT))?;
        file.sync_all()
    }

    /// Syncs the names of the files.
    pub fn sync(&self) -> io::Result<()> {
        self.dir.sync_all()
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}
