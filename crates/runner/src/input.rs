//! What waits to be written to the agent's stdin. Never blocks: a bounded queue,
//! written when the pipe takes more.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use convoke_core::runner_protocol::MAX_CHUNK;

/// Most bytes that commands may have waiting: 16 MiB.
const MAX_WAITING: usize = 16 * 1024 * 1024;

/// The agent's stdin and what waits for it.
#[derive(Debug)]
pub struct Input {
    pipe: Option<OwnedFd>,
    queue: VecDeque<Item>,
    waiting: usize,
}

#[derive(Debug)]
struct Item {
    /// Number of the command; none for the text of the spec.
    id: Option<u64>,
    data: Vec<u8>,
    written: usize,
    close: bool,
}

/// What one round of writing did.
#[derive(Debug)]
pub enum Progress {
    /// So many bytes were written, for a command (to be recorded) or the spec.
    Wrote { bytes: Vec<u8>, record: bool },
    /// A command is done.
    Done(u64),
    /// The pipe is full, or nothing waits.
    Idle,
    /// The agent no longer reads; these commands will not be carried out.
    Closed(Vec<u64>),
}

impl Input {
    /// Queues the text of the spec.
    pub fn new(pipe: OwnedFd, text: &str, keep_open: bool) -> Self {
        let mut input = Self {
            pipe: Some(pipe),
            queue: VecDeque::new(),
            waiting: 0,
        };
        input.queue.push_back(Item {
            id: None,
            data: text.as_bytes().to_vec(),
            written: 0,
            close: !keep_open,
        });
        input
    }

    /// Queues a command; the reason when it cannot be taken.
    pub fn push(&mut self, id: u64, data: String, close: bool) -> Result<(), &'static str> {
        if self.pipe.is_none() || self.queue.back().is_some_and(|item| item.close) {
            return Err("the agent's stdin is closed");
        }
        if self.waiting + data.len() > MAX_WAITING {
            return Err("too much waits for the agent's stdin");
        }
        self.waiting += data.len();
        self.queue.push_back(Item {
            id: Some(id),
            data: data.into_bytes(),
            written: 0,
            close,
        });
        Ok(())
    }

    /// The pipe to poll for writing, while something waits.
    pub fn wants(&self) -> Option<BorrowedFd<'_>> {
        self.pipe
            .as_ref()
            .filter(|_| !self.queue.is_empty())
            .map(AsFd::as_fd)
    }

    /// Takes one step; call again until it is idle.
    pub fn step(&mut self) -> Progress {
        let (Some(pipe), Some(item)) = (&self.pipe, self.queue.front_mut()) else {
            return Progress::Idle;
        };
        let rest = &item.data[item.written..];
        if rest.is_empty() {
            return self.finish_item();
        }
        let chunk = &rest[..rest.len().min(MAX_CHUNK)];
        match rustix::io::write(pipe, chunk) {
            Ok(n) => {
                item.written += n;
                let record = item.id.is_some();
                let bytes = if record {
                    chunk[..n].to_vec()
                } else {
                    Vec::new()
                };
                if record {
                    self.waiting -= n;
                }
                Progress::Wrote { bytes, record }
            }
            Err(Errno::AGAIN) => Progress::Idle,
            Err(Errno::INTR) => self.step(),
            Err(_) => self.close(),
        }
    }

    /// Closes the pipe and drops what waits.
    pub fn close(&mut self) -> Progress {
        self.pipe = None;
        self.waiting = 0;
        let dropped = self.queue.drain(..).filter_map(|item| item.id).collect();
        Progress::Closed(dropped)
    }

    fn finish_item(&mut self) -> Progress {
        let Some(item) = self.queue.pop_front() else {
            return Progress::Idle;
        };
        if item.close {
            self.pipe = None;
        }
        match item.id {
            Some(id) => Progress::Done(id),
            None => Progress::Wrote {
                bytes: Vec::new(),
                record: false,
            },
        }
    }
}
