//! One daemon per state home: its lock, its socket and its address file.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use convoke_api::daemon::DaemonFile;
use convoke_store::StateHome;
use rustix::fs::{FlockOperation, flock};
use tokio::net::UnixListener;

/// Version of `daemon.json`.
const FILE_VERSION: u32 = 1;

/// The daemon cannot take its place.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Another daemon has it.
    #[error("another daemon serves the state home {}", home.display())]
    Busy {
        /// The state home.
        home: PathBuf,
    },
    /// A file cannot be used.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The place of the one daemon of a state home; given up when dropped.
#[derive(Debug)]
pub struct Instance {
    _lock: File,
    address: PathBuf,
    socket: PathBuf,
}

impl Instance {
    /// Takes the lock.
    ///
    /// # Errors
    /// Another daemon holds it, or it cannot be opened.
    pub fn take(home: &StateHome) -> Result<File, InstanceError> {
        let path = home.daemon_lock();
        let opened = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path);
        let lock = opened.map_err(|source| InstanceError::File {
            operation: "open",
            path: path.clone(),
            source,
        })?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(InstanceError::Busy {
                home: home.root().to_owned(),
            }),
            Err(errno) => Err(InstanceError::File {
                operation: "lock",
                path,
                source: errno.into(),
            }),
        }
    }

    /// Listens at `socket` and tells clients so. A socket left by a daemon
    /// that died is replaced; the lock proves that it is dead.
    ///
    /// # Errors
    /// The socket or the address file cannot be made.
    pub fn listen(
        home: &StateHome,
        lock: File,
        socket: PathBuf,
    ) -> Result<(Self, UnixListener), InstanceError> {
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| InstanceError::File {
                operation,
                path,
                source,
            }
        };
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).map_err(failed("listen at", &socket))?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))
            .map_err(failed("protect", &socket))?;
        let address = home.daemon_json();
        let file = DaemonFile {
            version: FILE_VERSION,
            socket: socket.display().to_string(),
            pid: std::process::id(),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            api_versions: vec![convoke_api::API_VERSION],
        };
        write_atomically(&address, &file).map_err(failed("write", &address))?;
        Ok((
            Self {
                _lock: lock,
                address,
                socket,
            },
            listener,
        ))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // The lock is still held: nobody else's files are removed.
        let _ = std::fs::remove_file(&self.address);
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn write_atomically(path: &Path, file: &DaemonFile) -> std::io::Result<()> {
    let temporary = path.with_extension("json.new");
    let mut written = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)?;
    written.write_all(&serde_json::to_vec(file)?)?;
    std::fs::rename(&temporary, path)
}
