//! Where the daemon listens, and connecting to it.

use std::{io, path::Path};

use convoke_api::{
    API_VERSION,
    daemon::{DAEMON_FILE, DaemonFile},
};
use tokio::net::UnixStream;

use crate::{error::ClientError, guard};

/// A connection.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) stream: UnixStream,
    /// Who is at its other end.
    pub(crate) daemon: DaemonFile,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Unreached {
    /// Nobody listens: the file is not there, or it is left over.
    NotRunning(io::Error),
    /// The daemon has more connections to accept than its queue holds.
    Overrun(io::Error),
    /// It is there and cannot be used; starting another would not help.
    Barred(ClientError),
}

impl Unreached {
    /// The error to answer when nothing more is tried.
    pub(crate) fn into_error(self, home: &Path) -> ClientError {
        match self {
            Self::NotRunning(source) => ClientError::unavailable(format!(
                "no daemon runs for the state home {}",
                home.display()
            ))
            .because(source)
            .advise("starting a job starts one; `convoke daemon run` runs one in the foreground"),
            Self::Overrun(source) => ClientError::unavailable(format!(
                "the daemon of {} accepts no connection",
                home.display()
            ))
            .because(source)
            .advise("it is overloaded: ask again"),
            Self::Barred(error) => error,
        }
    }
}

/// Connects to the daemon of a state home. The address is read anew each time:
/// a daemon that was replaced may listen elsewhere.
pub(crate) async fn reach(home: &Path) -> Result<Reached, Unreached> {
    let daemon = read_file(home)?;
    let socket = Path::new(&daemon.socket);
    match UnixStream::connect(socket).await {
        Ok(stream) => Ok(Reached { stream, daemon }),
        Err(error) => Err(judge(error, socket)),
    }
}

fn read_file(home: &Path) -> Result<DaemonFile, Unreached> {
    let path = home.join(DAEMON_FILE);
    let bytes = fs_err::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => Unreached::Barred(
            ClientError::unavailable("the daemon's address cannot be read")
                .because(error)
                .advise("name a state folder of your own with `--home` or CONVOKE_HOME"),
        ),
        _ => Unreached::NotRunning(error),
    })?;
    let file: DaemonFile = serde_json::from_slice(&bytes).map_err(|error| {
        Unreached::NotRunning(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {error}", path.display()),
        ))
    })?;
    if !file.api_versions.contains(&API_VERSION) {
        return Err(Unreached::Barred(
            ClientError::unavailable(format!(
                "the daemon (process {}, version {}) speaks versions {:?} of the API, this program speaks {API_VERSION}",
                file.pid, file.program_version, file.api_versions
            ))
            .advise("stop it with `convoke daemon stop` of its own version; jobs go on"),
        ));
    }
    Ok(file)
}

fn judge(error: io::Error, socket: &Path) -> Unreached {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Unreached::NotRunning(error),
        io::ErrorKind::WouldBlock => Unreached::Overrun(error),
        io::ErrorKind::PermissionDenied if is_sandbox(&error) => Unreached::Barred(
            guard::sandboxed(format!(
                "the sandbox lets no process reach {}",
                socket.display()
            ))
            .because(error),
        ),
        _ => Unreached::Barred(
            ClientError::unavailable(format!(
                "cannot connect to the daemon at {}",
                socket.display()
            ))
            .because(error),
        ),
    }
}

/// A sandbox's filter answers EPERM; file permissions answer EACCES.
fn is_sandbox(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error())
}
