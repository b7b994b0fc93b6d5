//! The limits of a spec: how much time and output an agent has used, and which
//! limit is due. Pure: times come in as monotonic milliseconds.

use convoke_core::liveness::{Activity, Usage};
use convoke_core::runner_protocol::{LimitKind, Limits};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Half of the limit of silence is over.
    Quiet {
        /// Milliseconds of silence.
        silent_ms: u64,
        /// The limit, milliseconds.
        limit_ms: u64,
    },
    /// The limit of silence is over, but the agent's processes are at work,
    /// which counts as a sign of life.
    Active(Activity),
    /// A limit is reached.
    Limit(LimitKind),
}

/// What an agent has used of its limits.
#[derive(Debug)]
pub struct Accounting {
    limits: Limits,
    /// When the agent was started; nothing counts before.
    started: Option<u64>,
    /// Since when it is stopped by command.
    paused: Option<u64>,
    paused_total: u64,
    /// Active time of the last sign of life.
    last_byte: u64,
    /// When half of the limit of silence was reached, if it was since, and what
    /// the agent's processes had used then.
    when_quiet: Option<(u64, Usage)>,
    first_event: bool,
    output: u64,
}

impl Accounting {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            started: None,
            paused: None,
            paused_total: 0,
            last_byte: 0,
            when_quiet: None,
            first_event: false,
            output: 0,
        }
    }

    /// The agent was started.
    pub fn start(&mut self, now: u64) {
        self.started = Some(now);
    }

    /// The agent was stopped by command.
    pub fn pause(&mut self, now: u64) {
        self.paused.get_or_insert(now);
    }

    /// The agent was continued by command.
    pub fn resume(&mut self, now: u64) {
        if let Some(since) = self.paused.take() {
            self.paused_total += now.saturating_sub(since);
        }
    }

    /// Whether the agent is stopped by command.
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Bytes came on stdout or stderr. Only those that are a sign of life end
    /// the silence.
    pub fn output(&mut self, now: u64, bytes: u64, stdout: bool, lives: bool) {
        self.output += bytes;
        self.first_event |= stdout;
        if lives {
            self.lives(now);
        }
    }

    /// What is due now, one thing at a time. `usage` reads what the agent's
    /// processes used so far; it is called only in a long silence.
    pub fn check(&mut self, now: u64, mut usage: impl FnMut() -> Usage) -> Option<Finding> {
        if let Some((silent_ms, limit_ms)) = self.quiet(now) {
            self.when_quiet = Some((now, usage()));
            return Some(Finding::Quiet {
                silent_ms,
                limit_ms,
            });
        }
        let limit = self.reached(now)?;
        if limit == LimitKind::Idle
            && let Some((then, before)) = self.when_quiet
        {
            let activity = Activity::between(before, usage(), now.saturating_sub(then));
            if activity.is_work() {
                self.lives(now);
                return Some(Finding::Active(activity));
            }
        }
        Some(Finding::Limit(limit))
    }

    /// There was a sign of life.
    fn lives(&mut self, now: u64) {
        self.last_byte = self.active(now);
        self.when_quiet = None;
    }

    /// The silence and its limit, in milliseconds, once in a silence: when half
    /// of the limit is reached.
    fn quiet(&self, now: u64) -> Option<(u64, u64)> {
        let limit = self.limits.idle_ms.filter(|_| self.when_quiet.is_none())?;
        self.started.filter(|_| !self.is_paused())?;
        let silent = self.active(now).saturating_sub(self.last_byte);
        (silent >= limit / 2).then_some((silent, limit))
    }

    /// Bytes on stdout and stderr together.
    pub fn output_bytes(&self) -> u64 {
        self.output
    }

    /// Milliseconds the agent ran, without pauses.
    pub fn active(&self, now: u64) -> u64 {
        let Some(started) = self.started else {
            return 0;
        };
        let until = self.paused.unwrap_or(now);
        until
            .saturating_sub(started)
            .saturating_sub(self.paused_total)
    }

    /// The limit that is reached now, if any.
    fn reached(&self, now: u64) -> Option<LimitKind> {
        self.started?;
        if self
            .limits
            .output_bytes
            .is_some_and(|most| self.output > most)
        {
            return Some(LimitKind::Output);
        }
        let active = self.active(now);
        self.deadlines()
            .find(|(_, at)| active >= *at)
            .map(|(kind, _)| kind)
    }

    /// When the next time limit is reached if nothing happens; none while paused.
    pub fn next_deadline(&self, now: u64) -> Option<u64> {
        if self.started.is_none() || self.paused.is_some() {
            return None;
        }
        let active = self.active(now);
        let quiet = self
            .limits
            .idle_ms
            .filter(|_| self.when_quiet.is_none())
            .map(|limit| self.last_byte + limit / 2);
        let limits = self.deadlines().map(|(_, at)| at);
        let next = limits.chain(quiet).min()?;
        Some(now + next.saturating_sub(active))
    }

    /// Every time limit in active milliseconds.
    fn deadlines(&self) -> impl Iterator<Item = (LimitKind, u64)> {
        let Limits {
            wall_ms,
            idle_ms,
            first_event_ms,
            elapsed_ms,
            ..
        } = self.limits;
        let wall = wall_ms.map(|ms| (LimitKind::Wall, ms.saturating_sub(elapsed_ms)));
        let first = first_event_ms
            .filter(|_| !self.first_event)
            .map(|ms| (LimitKind::FirstEvent, ms));
        let idle = idle_ms.map(|ms| (LimitKind::Idle, self.last_byte + ms));
        [wall, first, idle].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests;
