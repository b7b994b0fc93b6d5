//! What the daemon asks for. A command is journaled before it acts, and acts once.

use convoke_core::runner_protocol::{
    CommandKind, Control, DaemonMessage, PROTOCOL_VERSION, RunnerMessage, SignalName, Stream,
};
use rustix::process::Signal;

use super::Supervisor;
use crate::clock;
use crate::input::Progress;
use crate::socket::ConnectionId;
use crate::sweep::signal_all;

impl Supervisor<'_> {
    pub(super) fn read_commands(&mut self, id: ConnectionId) {
        let messages = self.server.read(id, &mut self.buffer);
        for message in messages {
            match message {
                Ok(DaemonMessage::Hello { .. }) => self.hello(id),
                Ok(command) if self.server.is_current(id) => self.command(command),
                Ok(command) => self.server.send(
                    id,
                    &RunnerMessage::Refused {
                        id: command.id().unwrap_or(0),
                        message: "hello must come first".to_owned(),
                    },
                ),
                Err(message) => self
                    .server
                    .send(id, &RunnerMessage::Refused { id: 0, message }),
            }
        }
    }

    fn hello(&mut self, id: ConnectionId) {
        self.server.promote(id);
        self.alone_since = None;
        let message = RunnerMessage::Hello {
            version: PROTOCOL_VERSION,
            runner_id: self.spec.runner_id.clone(),
            last_command: self.last_command,
            journal_len: self.journal.len(),
            agent_pid: self.agent.as_ref().map(|agent| agent.process.pid),
            containment: self.container.report().clone(),
            held: self.held,
        };
        self.server.send(id, &message);
    }

    fn command(&mut self, message: DaemonMessage) {
        let Some(id) = message.id() else {
            return;
        };
        if id <= self.last_command {
            return self.server.send_current(&RunnerMessage::Done { id });
        }
        self.last_command = id;
        match message {
            DaemonMessage::Hello { .. } => {}
            DaemonMessage::Go { .. } => {
                self.accept(id, CommandKind::Go, "");
                if std::mem::take(&mut self.held) {
                    self.start_agent();
                }
                self.done(id);
            }
            DaemonMessage::Stdin { data, close, .. } => {
                self.accept(id, CommandKind::Stdin, "");
                self.queue_input(id, data, close);
            }
            DaemonMessage::Signal { signal, .. } => {
                self.accept(id, CommandKind::Signal, name_of(signal));
                match self.send_signal(signal) {
                    Ok(()) => self.done(id),
                    Err(message) => self.refuse(id, &message),
                }
            }
            DaemonMessage::Stop {
                force,
                reason,
                grace_ms,
                ..
            } => {
                self.accept(id, CommandKind::Stop, &reason);
                self.stop(force, reason, grace_ms);
                self.done(id);
            }
        }
    }

    fn accept(&mut self, id: u64, command: CommandKind, detail: &str) {
        self.record_control(&Control::Command {
            id,
            command,
            detail: detail.to_owned(),
        });
    }

    fn done(&mut self, id: u64) {
        self.record_control(&Control::CommandDone { id });
        self.server.send_current(&RunnerMessage::Done { id });
    }

    fn refuse(&mut self, id: u64, message: &str) {
        self.server.send_current(&RunnerMessage::Refused {
            id,
            message: message.to_owned(),
        });
    }

    pub(super) fn refuse_all(&mut self, ids: Vec<u64>, message: &str) {
        for id in ids {
            self.refuse(id, message);
        }
    }

    fn queue_input(&mut self, id: u64, data: String, close: bool) {
        match self.input.push(id, data, close) {
            Ok(()) => self.write_input(),
            Err(message) => self.refuse(id, message),
        }
    }

    /// Writes to the agent's stdin until it takes no more.
    pub(super) fn write_input(&mut self) {
        loop {
            match self.input.step() {
                Progress::Wrote { bytes, record } => {
                    if record {
                        self.record(Stream::In, &bytes);
                    }
                }
                Progress::Done(id) => self.done(id),
                Progress::Closed(ids) => {
                    self.refuse_all(ids, "the agent closed its stdin");
                }
                Progress::Idle => return,
            }
        }
    }

    fn send_signal(&mut self, signal: SignalName) -> Result<(), String> {
        let Some(agent) = &self.agent else {
            return Err("the agent is not running".to_owned());
        };
        let to_agent = |signal| agent.handle.signal(signal).map_err(|e| e.to_string());
        match signal {
            SignalName::Interrupt => to_agent(Signal::INT),
            SignalName::Terminate => to_agent(Signal::TERM),
            SignalName::Kill => to_agent(Signal::KILL),
            SignalName::Stop => {
                to_agent(Signal::STOP)?;
                signal_all(&self.container.below(), Signal::STOP);
                self.accounting.pause(clock::mono_ms());
                Ok(())
            }
            SignalName::Continue => {
                signal_all(&self.container.below(), Signal::CONT);
                to_agent(Signal::CONT)?;
                self.accounting.resume(clock::mono_ms());
                Ok(())
            }
        }
    }
}

fn name_of(signal: SignalName) -> &'static str {
    match signal {
        SignalName::Interrupt => "interrupt",
        SignalName::Terminate => "terminate",
        SignalName::Kill => "kill",
        SignalName::Stop => "stop",
        SignalName::Continue => "continue",
    }
}
