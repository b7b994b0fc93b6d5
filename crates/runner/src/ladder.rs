//! The stop ladder: which rung is due when. Pure.

/// A rung of the ladder, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The spec's first signal to the agent.
    Interrupt,
    /// SIGTERM to the whole tree.
    Terminate,
    /// SIGKILL to everything.
    Kill,
    /// Nothing more can be done than say what is left.
    GiveUp,
}

/// A stop under way.
#[derive(Debug)]
pub struct Ladder {
    begun: u64,
    grace: u64,
    next: Step,
    killed: u64,
}

/// How long killed processes may take to go, in milliseconds.
pub const SWEEP_MS: u64 = 5_000;

impl Ladder {
    /// A graceful stop of `grace` milliseconds.
    pub fn graceful(now: u64, grace: u64) -> Self {
        Self {
            begun: now,
            grace,
            next: Step::Interrupt,
            killed: 0,
        }
    }

    /// A stop that kills at once.
    pub fn forced(now: u64) -> Self {
        Self {
            begun: now,
            grace: 0,
            next: Step::Kill,
            killed: 0,
        }
    }

    /// Kills at once, unless that was done.
    pub fn escalate(&mut self) {
        if self.next < Step::Kill {
            self.next = Step::Kill;
            self.grace = 0;
        }
    }

    /// When the next step is due (monotonic milliseconds).
    pub fn deadline(&self) -> u64 {
        match self.next {
            Step::Interrupt => self.begun,
            Step::Terminate => self.begun + self.grace / 2,
            Step::Kill => self.begun + self.grace,
            Step::GiveUp => self.killed + SWEEP_MS,
        }
    }

    /// The step that is due now; each comes once.
    pub fn due(&mut self, now: u64) -> Option<Step> {
        if now < self.deadline() {
            return None;
        }
        let step = self.next;
        self.next = match step {
            Step::Interrupt => Step::Terminate,
            Step::Terminate => Step::Kill,
            Step::Kill | Step::GiveUp => Step::GiveUp,
        };
        if step == Step::Kill {
            self.killed = now;
        }
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_once_and_in_order() {
        let mut ladder = Ladder::graceful(100, 1_000);
        assert_eq!(ladder.due(100), Some(Step::Interrupt));
        assert_eq!(ladder.due(599), None);
        assert_eq!(ladder.due(600), Some(Step::Terminate));
        assert_eq!(ladder.due(1_100), Some(Step::Kill));
        assert_eq!(ladder.deadline(), 1_100 + SWEEP_MS);
    }

    #[test]
    fn force_skips_rungs() {
        let mut ladder = Ladder::graceful(100, 1_000);
        ladder.due(100);
        ladder.escalate();
        assert_eq!(ladder.due(101), Some(Step::Kill));
        ladder.escalate();
        assert_eq!(ladder.due(102), None);
        assert_eq!(Ladder::forced(5).due(5), Some(Step::Kill));
    }
}
