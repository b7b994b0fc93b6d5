//! Instants as stored and sent.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The present, by the system's wall clock.
    #[must_use]
    pub fn of(time: std::time::SystemTime) -> Self {
        let since = time
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// This instant plus `millis`.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant; 0 if the clock went back.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// RFC 3339 in UTC with milliseconds, such as `2026-01-31T08:00:00.123Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis)
            .map_or_else(|_| format!("{millis}ms"), |stamp| format!("{stamp:.3}"))
    }

    /// Reads an RFC 3339 instant; `None` if it is none or before 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(stamp.as_millisecond()).ok().map(Self)
    }
}

/// An instant on both clocks of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// What a person's clock showed. It can be set, and jumps when a suspended
    /// machine goes on.
    pub wall: UnixMillis,
    /// Milliseconds on the clock that limits are measured by: it never goes
    /// back and, on Linux, stands still while the machine is suspended. It
    /// begins anew with every start of the machine.
    pub mono_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trip() {
        let at = UnixMillis(1_767_225_600_120);
        assert_eq!(at.to_rfc3339(), "2026-01-01T00:00:00.120Z");
        assert_eq!(UnixMillis::parse(&at.to_rfc3339()), Some(at));
        assert_eq!(UnixMillis::parse("yesterday"), None);
    }
}
