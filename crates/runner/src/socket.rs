//! The runner's socket: one daemon at a time, and never waiting for it.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use convoke_core::runner_protocol::{DaemonMessage, RunnerMessage, decode_line, encode_line};
use rustix::fs::Mode;

/// Longest message taken: 32 MiB.
const MAX_MESSAGE: usize = 32 * 1024 * 1024;

/// Most bytes that may wait for a daemon that does not read.
const MAX_WAITING: usize = 256 * 1024;

/// Most connections that have not said `hello` yet.
const MAX_NEW: usize = 4;

/// The listening socket and its connections.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    connections: Vec<Connection>,
    next: u64,
    /// The connection that said `hello` last.
    current: Option<u64>,
}

/// Names a connection.
pub type ConnectionId = u64;

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    ended: bool,
}

impl Server {
    /// Binds the socket (0600), removing one that was left behind.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            connections: Vec::new(),
            next: 1,
            current: None,
        })
    }

    /// The listening descriptor.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Every connection: its name, its descriptor, whether it has to be written.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, BorrowedFd<'_>, bool)> {
        self.connections
            .iter()
            .map(|c| (c.id, c.stream.as_fd(), !c.output.is_empty()))
    }

    /// Takes new connections.
    pub fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let current = self.current;
            let new = |c: &Connection| Some(c.id) != current;
            if self.connections.iter().filter(|c| new(c)).count() >= MAX_NEW
                && let Some(oldest) = self.connections.iter().position(new)
            {
                self.connections.remove(oldest);
            }
            self.connections.push(Connection {
                id: self.next,
                stream,
                input: Vec::new(),
                output: Vec::new(),
                ended: false,
            });
            self.next += 1;
        }
    }

    /// Reads what a connection sent; its whole messages in order.
    pub fn read(
        &mut self,
        id: ConnectionId,
        buffer: &mut [u8],
    ) -> Vec<Result<DaemonMessage, String>> {
        match self.connections.iter_mut().find(|c| c.id == id) {
            Some(connection) => connection.read(buffer),
            None => Vec::new(),
        }
    }

    /// Makes a connection the daemon's; the older one ends.
    pub fn promote(&mut self, id: ConnectionId) {
        let older = self.current.replace(id);
        self.connections
            .retain(|c| c.id == id || Some(c.id) != older);
    }

    /// Whether commands of this connection count.
    pub fn is_current(&self, id: ConnectionId) -> bool {
        self.current == Some(id)
    }

    /// Sends a message to a connection.
    pub fn send(&mut self, id: ConnectionId, message: &RunnerMessage) {
        if let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) {
            connection.send(&encode_line(message));
        }
    }

    /// Sends a message to the daemon, if there is one.
    pub fn send_current(&mut self, message: &RunnerMessage) {
        if let Some(id) = self.current {
            self.send(id, message);
        }
    }

    /// Whether the daemon has taken everything sent so far.
    pub fn is_drained(&self) -> bool {
        self.current.is_some_and(|id| {
            self.connections
                .iter()
                .any(|c| c.id == id && c.output.is_empty())
        })
    }

    /// Writes what waits for a connection.
    pub fn flush(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) {
            connection.flush();
        }
    }

    /// Drops connections that ended; true when the daemon's was among them.
    pub fn drop_ended(&mut self) -> bool {
        let current = self.current;
        let lost = self
            .connections
            .iter()
            .any(|c| c.ended && Some(c.id) == current);
        self.connections.retain(|c| !c.ended);
        if lost {
            self.current = None;
        }
        lost
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Left behind, it is only a stale file that the next one removes.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Connection {
    fn read(&mut self, buffer: &mut [u8]) -> Vec<Result<DaemonMessage, String>> {
        match self.stream.read(buffer) {
            Ok(0) => self.ended = true,
            Ok(n) => self.input.extend_from_slice(&buffer[..n]),
            Err(error) if is_passing(&error) => {}
            Err(_) => self.ended = true,
        }
        let Some(last) = self.input.iter().rposition(|b| *b == b'\n') else {
            self.ended |= self.input.len() > MAX_MESSAGE;
            return Vec::new();
        };
        let messages = self.input[..last]
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| decode_line(line).map_err(|error| error.to_string()))
            .collect();
        self.input.drain(..=last);
        if self.input.is_empty() {
            // A large message must not keep its room for the rest of the run.
            self.input = Vec::new();
        }
        messages
    }

    fn send(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
        self.flush();
        self.ended |= self.output.len() > MAX_WAITING;
    }

    fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(error) if is_passing(&error) => return,
                Err(_) => {
                    self.ended = true;
                    self.output.clear();
                }
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
