//! The connection to a runner's socket: connects, reconnects, and says when
//! the runner is no more.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use convoke_core::runner_protocol::{
    DaemonMessage, PROTOCOL_VERSION, RunnerMessage, decode_line, encode_line,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Instant,
};

use super::lock;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Something the runner said, or its silence.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message(RunnerMessage),
    /// The runner is gone: nobody holds its lock.
    Gone,
}

/// The connection, in whatever state it is.
#[derive(Debug)]
pub struct Link {
    folder: PathBuf,
    socket: PathBuf,
    connection: Option<Connection>,
    retry_at: Instant,
    pause: Duration,
    /// Number of the last command sent or known to be done.
    last_command: u64,
}

#[derive(Debug)]
struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Link {
    /// A link to the runner of `folder`, which listens or will listen at
    /// `socket`.
    #[must_use]
    pub fn new(folder: &Path, socket: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            socket: socket.to_owned(),
            connection: None,
            retry_at: Instant::now(),
            pause: FIRST_PAUSE,
            last_command: 0,
        }
    }

    /// What the runner says next.
    ///
    /// Cancel-safe: a partly received line stays in the buffer, and a pause
    /// before the next try goes on where it was.
    pub async fn next(&mut self) -> Heard {
        loop {
            if self.connection.is_none() && !self.connect().await {
                return Heard::Gone;
            }
            let Some(connection) = &mut self.connection else {
                continue;
            };
            match connection.lines.next_line().await {
                Ok(Some(line)) => {
                    if let Ok(message) = decode_line::<RunnerMessage>(line.as_bytes()) {
                        self.note(&message);
                        return Heard::Message(message);
                    }
                    tracing::warn!(folder = %self.folder.display(), line, "a runner's message was not understood");
                }
                Ok(None) | Err(_) => {
                    self.connection = None;
                    self.retry_at = Instant::now();
                    self.pause = FIRST_PAUSE;
                }
            }
        }
    }

    /// Sends a command; `false` if there is no connection or it broke. The
    /// caller sends again after the next `hello`.
    pub async fn send(&mut self, command: impl FnOnce(u64) -> DaemonMessage) -> bool {
        let id = self.last_command + 1;
        let Some(connection) = &mut self.connection else {
            return false;
        };
        if connection
            .writer
            .write_all(&encode_line(&command(id)))
            .await
            .is_err()
        {
            return false;
        }
        self.last_command = id;
        true
    }

    fn note(&mut self, message: &RunnerMessage) {
        if let RunnerMessage::Hello { last_command, .. } = message {
            self.last_command = self.last_command.max(*last_command);
        }
    }

    /// Tries until connected (`true`) or the runner is gone (`false`).
    async fn connect(&mut self) -> bool {
        loop {
            tokio::time::sleep_until(self.retry_at).await;
            match self.try_connect().await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    return true;
                }
                Err(_) if lock::is_free(&self.folder) => return false,
                Err(_) => {
                    self.retry_at = Instant::now() + self.pause;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn try_connect(&self) -> io::Result<Connection> {
        let (reader, mut writer) = UnixStream::connect(&self.socket).await?.into_split();
        writer
            .write_all(&encode_line(&DaemonMessage::Hello {
                version: PROTOCOL_VERSION,
            }))
            .await?;
        Ok(Connection {
            lines: BufReader::new(reader).lines(),
            writer,
        })
    }
}
