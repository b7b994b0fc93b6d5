//! Whether and when a job whose attempt failed is tried again.
//!
//! Pure: the pause before an attempt follows from the job, the failure and the
//! number of attempts so far, so that a restarted daemon decides the same.

use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, FailureCode},
    ids::JobId,
    time::UnixMillis,
};

/// How failed attempts of a job are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; 1 means that none is repeated.
    pub attempts: u32,
    /// Milliseconds before the second attempt; doubled for each further one.
    pub pause_ms: u64,
    /// Longest of these pauses, milliseconds.
    pub longest_pause_ms: u64,
    /// Longest time, milliseconds, for which a known end of a rate limit is
    /// waited for.
    pub longest_wait_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            pause_ms: 2_000,
            longest_pause_ms: 5 * 60 * 1000,
            longest_wait_ms: 6 * 60 * 60 * 1000,
        }
    }
}

/// Shortest pause after a rate limit of which the end is not known, in
/// milliseconds: asking again sooner prolongs it.
const RATE_LIMIT_PAUSE_MS: u64 = 30_000;

/// Added to the known end of a rate limit, milliseconds: the provider's clock
/// and ours differ.
const AFTER_RESET_MS: u64 = 500;

impl RetryPolicy {
    /// Every attempt is the last.
    #[must_use]
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// When the next attempt may start, if there is to be one. `made` counts
    /// the attempts so far, the failed one included.
    #[must_use]
    pub fn next(
        &self,
        job: &JobId,
        failure: &Failure,
        made: u32,
        now: UnixMillis,
    ) -> Option<UnixMillis> {
        if made >= self.attempts || !is_repeated(failure.code) {
            return None;
        }
        if let Some(until) = failure.until {
            let wait = until.since(now);
            let spread = self.spread(job, made, self.pause_ms);
            let start = now.plus(wait + AFTER_RESET_MS + spread);
            return (wait <= self.longest_wait_ms).then_some(start);
        }
        let first = match failure.code {
            FailureCode::RateLimited => self.pause_ms.max(RATE_LIMIT_PAUSE_MS),
            _ => self.pause_ms,
        };
        let doubled = first.saturating_mul(1 << made.saturating_sub(1).min(32));
        let pause = doubled.min(self.longest_pause_ms.max(first));
        // Never none at all: the queue orders by it.
        Some(now.plus((pause + self.spread(job, made, pause)).max(1)))
    }

    /// Up to a quarter of `pause`, different for each job, so that jobs that
    /// failed together do not come back together.
    fn spread(&self, job: &JobId, made: u32, pause: u64) -> u64 {
        let seed = job.as_str().bytes().fold(u64::from(made), |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (seed >> 16) % (pause / 4).max(1)
    }
}

/// Failures that pass: the provider was out of reach or busy, or the runner
/// died. Everything else would fail again, or is for a person to decide.
#[must_use]
pub fn is_repeated(code: FailureCode) -> bool {
    matches!(
        code,
        FailureCode::Network
            | FailureCode::RateLimited
            | FailureCode::Overloaded
            | FailureCode::Lost
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn next(code: FailureCode, made: u32) -> Option<u64> {
        let failure = Failure::new(code, "");
        let at = RetryPolicy::default().next(&JobId::from_random(7), &failure, made, NOW);
        at.map(|at| at.since(NOW))
    }

    #[test]
    fn only_what_passes_is_repeated_and_not_for_ever() {
        for code in FailureCode::ALL {
            assert_eq!(next(*code, 1).is_some(), is_repeated(*code), "{code}");
            assert_eq!(next(*code, 4), None, "{code}");
        }
        let never = RetryPolicy::never();
        let failure = Failure::new(FailureCode::Network, "");
        assert_eq!(never.next(&JobId::from_random(7), &failure, 1, NOW), None);
    }

    #[test]
    fn pauses_grow_and_differ() {
        let pause = |made| next(FailureCode::Network, made).expect("a pause");
        assert!((2_000..2_500).contains(&pause(1)));
        assert!((4_000..5_000).contains(&pause(2)));
        assert!((8_000..10_000).contains(&pause(3)));
        assert!(next(FailureCode::RateLimited, 1).expect("a pause") >= 30_000);
        let of = |random| {
            let failure = Failure::new(FailureCode::Network, "");
            RetryPolicy::default().next(&JobId::from_random(random), &failure, 1, NOW)
        };
        assert!((0..20).any(|random| of(random) != of(99)));
    }

    #[test]
    fn a_known_reset_is_waited_for_unless_it_is_too_far() {
        let policy = RetryPolicy::default();
        let until = |ms| Failure::new(FailureCode::RateLimited, "").until(Some(NOW.plus(ms)));
        let at = |ms| policy.next(&JobId::from_random(7), &until(ms), 1, NOW);
        let soon = at(90_000).expect("parked").since(NOW);
        assert!((90_500..91_000).contains(&soon), "{soon}");
        assert_eq!(at(7 * 60 * 60 * 1000), None);
        // The clock was set forward meanwhile.
        let past = Failure::new(FailureCode::RateLimited, "").until(Some(UnixMillis(1)));
        assert!(policy.next(&JobId::from_random(7), &past, 1, NOW) > Some(NOW));
    }
}
