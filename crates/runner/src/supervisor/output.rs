//! The agent's output into the journal, and what else is recorded there.

use std::io;

use convoke_core::runner_protocol::{Control, ExitCause, Stream};
use rustix::io::Errno;

use super::Supervisor;
use crate::child::{ERROR_MESSAGE, parse_error};
use crate::clock;
use crate::hooks::Point;

/// Most bytes read at the very end from one pipe.
const LAST_READ: usize = 16 * 1024 * 1024;

impl Supervisor<'_> {
    /// Whether output is taken. Beyond the output limit the pipes are left full, so
    /// that a flood stops at its source until everything is killed: what the
    /// agent started may go on writing when the agent itself has ended.
    pub(super) fn reads_output(&self) -> bool {
        use convoke_core::runner_protocol::LimitKind::Output;
        self.cause != Some(ExitCause::Limit { limit: Output })
    }

    /// Reads one chunk; false when there was nothing to read.
    pub(super) fn read_output(&mut self, stream: Stream) -> bool {
        let is_stdout = stream == Stream::Out;
        let pipe = if is_stdout {
            &self.stdout
        } else {
            &self.stderr
        };
        let Some(fd) = pipe else {
            return false;
        };
        match rustix::io::read(fd, &mut self.buffer[..]) {
            Ok(n @ 1..) => {
                let bytes = u64::try_from(n).unwrap_or(u64::MAX);
                let lives = self.is_sign_of_life(n);
                self.accounting
                    .output(clock::mono_ms(), bytes, is_stdout, lives);
                let buffer = std::mem::take(&mut self.buffer);
                self.record(stream, &buffer[..n]);
                self.buffer = buffer;
                if self.accounting.output_bytes() == bytes {
                    self.reach(Point::FirstOutput);
                }
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => false,
            Ok(_) | Err(_) => {
                if is_stdout {
                    self.stdout = None;
                    self.reach(Point::OutputEnded);
                } else {
                    self.stderr = None;
                }
                false
            }
        }
    }

    /// Whether the first `len` bytes of the buffer hold more than lines by which
    /// the agent says that it waits. Such lines are short and come alone, so
    /// that a chunk holds whole ones.
    fn is_sign_of_life(&self, len: usize) -> bool {
        let waits = |line: &[u8]| {
            line.is_empty()
                || self
                    .spec
                    .waiting
                    .iter()
                    .any(|beginning| line.starts_with(beginning.as_bytes()))
        };
        self.spec.waiting.is_empty() || !self.buffer[..len].split(|b| *b == b'\n').all(waits)
    }

    /// Takes what is left in the pipes after everything was killed.
    pub(super) fn read_rest(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            let most = self.accounting.output_bytes() + LAST_READ as u64;
            while self.accounting.output_bytes() < most && self.read_output(stream) {}
        }
    }

    /// Learns whether the program was executed.
    pub(super) fn read_start_error(&mut self) {
        let Some(fd) = &self.start_error else {
            return;
        };
        let mut message = [0; ERROR_MESSAGE];
        match rustix::io::read(fd, &mut message) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            Ok(ERROR_MESSAGE) => {
                let (step, error) = parse_error(&message);
                let error = self.program.failure(step, &error);
                self.cause.get_or_insert(ExitCause::StartFailed {
                    kind: error.kind,
                    message: error.message,
                });
            }
            // A child that was killed before it came to exec looks the same; that
            // is no start failure but part of a stop.
            Ok(_) | Err(_) => self.started = true,
        }
        self.start_error = None;
    }

    /// Appends a record. When that fails, the agent must not go on: nothing it
    /// does could be told any more.
    pub(super) fn record(&mut self, stream: Stream, data: &[u8]) {
        if self.journal_broken {
            return;
        }
        match self.journal.append(stream, data) {
            Ok(()) => {
                self.announce = true;
                // Without the hole the journal only stays larger than wished.
                let _ = self.journal.enforce_cap(self.folder);
            }
            Err(error) => self.journal_failed(&error),
        }
    }

    pub(super) fn record_control(&mut self, control: &Control) {
        let mut line = serde_json::to_vec(control).expect("controls hold only plain data");
        line.push(b'\n');
        self.record(Stream::Ctl, &line);
    }

    pub(super) fn sync_journal(&mut self) {
        if let Err(error) = self.journal.sync() {
            self.journal_failed(&error);
        }
    }

    fn journal_failed(&mut self, _error: &io::Error) {
        self.journal_broken = true;
        self.cause = Some(ExitCause::DiskFull);
        self.kill_now();
    }
}
