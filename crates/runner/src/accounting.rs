//! The limits of a spec: how much time and output an agent has used, and which
//! limit is due. Pure: times come in as monotonic milliseconds.

use convoke_core::runner_protocol::{LimitKind, Limits};

/// What an agent has used of its limits.
#[derive(Debug)]
pub struct Accounting {
    limits: Limits,
    /// When the agent was started; nothing counts before.
    started: Option<u64>,
    /// Since when it is stopped by command.
    paused: Option<u64>,
    paused_total: u64,
    /// Active time at which the last byte came.
    last_byte: u64,
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

    /// Bytes came on stdout or stderr.
    pub fn output(&mut self, now: u64, bytes: u64, stdout: bool) {
        self.output += bytes;
        self.first_event |= stdout;
        self.last_byte = self.active(now);
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
    pub fn reached(&self, now: u64) -> Option<LimitKind> {
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
        let next = self.deadlines().map(|(_, at)| at).min()?;
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
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            wall_ms: Some(1_000),
            idle_ms: Some(300),
            first_event_ms: Some(200),
            output_bytes: Some(10),
            elapsed_ms: 100,
        }
    }

    #[test]
    fn each_limit_is_reached_at_its_time() {
        let mut used = Accounting::new(limits());
        assert_eq!(used.next_deadline(50), None);
        used.start(1_000);
        assert_eq!(used.next_deadline(1_000), Some(1_200));
        assert_eq!(used.reached(1_200), Some(LimitKind::FirstEvent));
        used.output(1_150, 4, true);
        assert_eq!(used.next_deadline(1_200), Some(1_450));
        assert_eq!(used.reached(1_449), None);
        assert_eq!(used.reached(1_450), Some(LimitKind::Idle));
        used.output(1_800, 4, false);
        assert_eq!(used.reached(1_900), Some(LimitKind::Wall));
        used.output(1_810, 3, false);
        assert_eq!(used.reached(1_811), Some(LimitKind::Output));
    }

    #[test]
    fn a_pause_counts_for_nothing() {
        let mut used = Accounting::new(limits());
        used.start(0);
        used.output(100, 1, true);
        used.pause(150);
        used.pause(170);
        assert_eq!(used.next_deadline(9_000), None);
        assert_eq!(used.reached(9_000), None);
        used.resume(10_000);
        assert_eq!(used.active(10_000), 150);
        assert_eq!(used.next_deadline(10_000), Some(10_250));
    }
}
