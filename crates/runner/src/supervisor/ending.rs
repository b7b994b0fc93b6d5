//! The end: nothing of the agent is left running, everything is on disk, and
//! `exit.json` says how it went.

use convoke_core::runner_protocol::{
    ExitCause, ExitRecord, PROTOCOL_VERSION, ProcessNote, RunnerMessage,
};

use super::Supervisor;
use crate::clock;
use crate::contain::AgentExit;
use crate::hooks::Point;
use crate::ladder::SWEEP_MS;
use crate::{process, sweep};

/// Most processes named in the exit record, which must fit its reserved space.
const MAX_LEFTOVERS: usize = 32;

/// Longest text in the exit record, in bytes.
const MAX_TEXT: usize = 2_000;

impl Supervisor<'_> {
    /// Sweeps, writes the exit record, tells the daemon; true when it was written.
    pub(super) fn end(mut self) -> bool {
        let leftovers = self.sweep();
        self.read_rest();
        // Nobody would read what is written into a folder that is no longer ours.
        if let Some(ExitCause::FolderGone | ExitCause::Superseded) = self.cause {
            return false;
        }
        let (wall, mono_ms) = (clock::wall_ms_us(), clock::mono_ms());
        if !self.journal_broken {
            self.sync_journal();
        }
        self.hooks.reach(Point::BeforeExitRecord);
        let record = self.exit_record(wall, mono_ms, leftovers);
        let written = self.folder.write_exit(&record).is_ok();
        self.hooks.reach(Point::AfterExitRecord);
        if written {
            let journal_len = self.journal.len();
            self.server
                .send_current(&RunnerMessage::Len { journal_len });
            self.server.send_current(&RunnerMessage::Exited {});
            // Told first: the daemon keeps the outcome in its database, and so
            // needs the name no more.
            let _ = self.folder.sync();
        }
        written
    }

    /// Ends the tree; what could not be ended.
    fn sweep(&mut self) -> Vec<ProcessNote> {
        let deadline = clock::mono_ms() + SWEEP_MS;
        let mut left = self.container.sweep(deadline);
        // What left the container by another way (asked a service to start it)
        // still carries our mark.
        let marked = process::find_by_mark(&self.spec.runner_id, process::own_start_time());
        let limit = deadline.saturating_sub(clock::mono_ms());
        let limit = std::time::Duration::from_millis(limit);
        for process in sweep::kill_and_wait(&marked, limit) {
            if !left.iter().any(|known| known.pid == process.pid) {
                left.push(process);
            }
        }
        if self.exit.is_none() {
            // An agent that was killed with everything else.
            self.exit = self.container.reap();
        }
        left.truncate(MAX_LEFTOVERS);
        left
    }

    fn exit_record(
        &mut self,
        (wall_ms, wall_us): (u64, u16),
        mono_ms: u64,
        leftovers: Vec<ProcessNote>,
    ) -> ExitRecord {
        let cause = match self.cause.take() {
            Some(ExitCause::Stopped { force, reason }) => ExitCause::Stopped {
                force,
                reason: shorten(reason),
            },
            Some(ExitCause::StartFailed { kind, message }) => {
                // The helper's own exit code says nothing about the agent.
                self.exit = None;
                self.started = false;
                ExitCause::StartFailed {
                    kind,
                    message: shorten(message),
                }
            }
            Some(ExitCause::Lost { message }) => ExitCause::Lost {
                message: shorten(message),
            },
            Some(cause) => cause,
            None => ExitCause::Exited,
        };
        let exit = self.exit.unwrap_or(AgentExit {
            exit_code: None,
            signal: None,
        });
        ExitRecord {
            version: PROTOCOL_VERSION,
            runner_id: self.spec.runner_id.clone(),
            cause,
            exit_code: exit.exit_code,
            signal: exit.signal,
            started: self.started,
            wall_ms,
            wall_us,
            mono_ms,
            active_ms: self.accounting.active(mono_ms),
            journal_len: self.journal.len(),
            last_command: self.last_command,
            containment: self.container.report().clone(),
            leftovers,
            output_bytes: self.accounting.output_bytes(),
        }
    }
}

fn shorten(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = text.floor_char_boundary(MAX_TEXT);
        text.truncate(end);
    }
    text
}
