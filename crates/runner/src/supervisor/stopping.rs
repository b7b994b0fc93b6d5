//! Why and how an agent is ended: limits, orphanhood, stop commands, the ladder.

use convoke_core::runner_protocol::{Control, ExitCause, FirstRung};
use rustix::process::Signal;

use super::Supervisor;
use crate::accounting::Finding;
use crate::clock;
use crate::hooks::Point;
use crate::ladder::{Ladder, Step};
use crate::sweep::signal_all;

/// Longest graceful stop of an agent that reached a limit, in milliseconds.
const LIMIT_GRACE_MS: u64 = 2_000;

impl Supervisor<'_> {
    /// A `stop` command. A second one with force escalates.
    pub(super) fn stop(&mut self, force: bool, reason: String, grace_ms: Option<u64>) {
        match &mut self.cause {
            None => self.cause = Some(ExitCause::Stopped { force, reason }),
            Some(ExitCause::Stopped { force: forced, .. }) => *forced |= force,
            Some(_) => {}
        }
        let grace = grace_ms.unwrap_or(self.spec.grace_ms);
        self.begin(force, grace);
    }

    /// The runner was sent SIGTERM, as at the machine's shutdown. Nobody wanted
    /// the job to end, so the attempt counts as lost.
    pub(super) fn told_to_end(&mut self) {
        self.cause.get_or_insert(ExitCause::Lost {
            message: "the runner was sent SIGTERM".to_owned(),
        });
        self.begin(false, self.spec.grace_ms.min(LIMIT_GRACE_MS));
    }

    pub(super) fn check_limits(&mut self, now: u64) {
        if self.ladder.is_some() || self.exit.is_some() {
            return;
        }
        let container = &self.container;
        match self.accounting.check(now, || container.usage()) {
            Some(Finding::Limit(limit)) => {
                self.cause.get_or_insert(ExitCause::Limit { limit });
                self.record_control(&Control::LimitReached { limit });
                return self.begin(false, self.spec.grace_ms.min(LIMIT_GRACE_MS));
            }
            Some(Finding::Quiet {
                silent_ms,
                limit_ms,
            }) => self.record_control(&Control::Quiet {
                silent_ms,
                limit_ms,
            }),
            Some(Finding::Active(activity)) => self.record_control(&Control::Active {
                cpu_ms: activity.cpu_ms,
                io_bytes: activity.io_bytes,
            }),
            None => {}
        }
        let alone = self.alone_since.zip(self.spec.orphan_ttl_ms);
        if alone.is_some_and(|(since, ttl)| now >= since.saturating_add(ttl)) {
            self.cause.get_or_insert(ExitCause::Orphaned);
            self.begin(false, self.spec.grace_ms);
        }
    }

    fn begin(&mut self, force: bool, grace: u64) {
        if self.held {
            // There is no agent to be gentle with.
            self.given_up = true;
            return;
        }
        let now = clock::mono_ms();
        match &mut self.ladder {
            Some(ladder) if force => ladder.escalate(),
            Some(_) => {}
            None if force => self.ladder = Some(Ladder::forced(now)),
            None => self.ladder = Some(Ladder::graceful(now, grace)),
        }
        self.climb(now);
    }

    /// Takes the steps of the ladder that are due.
    pub(super) fn climb(&mut self, now: u64) {
        while self.exit.is_none()
            && let Some(step) = self.ladder.as_mut().and_then(|ladder| ladder.due(now))
        {
            match step {
                Step::Interrupt => self.interrupt(),
                Step::Terminate => self.terminate(),
                Step::Kill => {
                    self.note_step("SIGKILL", true);
                    self.container.kill();
                }
                Step::GiveUp => {
                    self.given_up = true;
                    return;
                }
            }
        }
    }

    /// Kills everything without asking the journal.
    pub(super) fn kill_now(&mut self) {
        let now = clock::mono_ms();
        self.ladder
            .get_or_insert_with(|| Ladder::forced(now))
            .escalate();
        self.container.kill();
    }

    fn interrupt(&mut self) {
        let (name, signal) = match self.spec.interrupt {
            FirstRung::Sigint => ("SIGINT", Signal::INT),
            FirstRung::Sigterm => ("SIGTERM", Signal::TERM),
        };
        self.note_step(name, false);
        if let Some(agent) = &self.agent {
            // Gone already: its end is coming.
            let _ = agent.handle.signal(signal);
        }
        if self.accounting.is_paused() {
            // A stopped process takes no signal but the last.
            self.signal_tree(Signal::CONT);
            self.accounting.resume(clock::mono_ms());
        }
        self.reach(Point::StopBegun);
    }

    fn terminate(&mut self) {
        self.note_step("SIGTERM", true);
        self.signal_tree(Signal::TERM);
        self.signal_tree(Signal::CONT);
    }

    fn signal_tree(&self, signal: Signal) {
        signal_all(&self.container.below(), signal);
        if let Some(agent) = &self.agent {
            let _ = agent.handle.signal(signal);
        }
    }

    fn note_step(&mut self, signal: &str, tree: bool) {
        self.record_control(&Control::Ladder {
            signal: signal.to_owned(),
            tree,
        });
    }
}
