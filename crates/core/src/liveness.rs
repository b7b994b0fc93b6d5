//! Whether a running job is alive, from all signs of life together.
//!
//! Pure. The daemon gathers the signs and shows the verdict; the runner acts at
//! the limits by itself and by the same measure of activity
//! ([`Activity::is_work`]).

use serde::{Deserialize, Serialize};

use crate::time::UnixMillis;

/// Silence up to this long, in milliseconds, is nothing to speak of.
pub const QUIET_AFTER_MS: u64 = 15_000;

/// Share of one processor, in thousandths, above which processes count as at
/// work. What an idle agent uses for its timers is far less.
const WORK_CPU_PER_MILLE: u64 = 30;

/// Bytes read and written a second above which processes count as at work.
const WORK_BYTES_PER_SECOND: u64 = 8 * 1024;

/// What the processes of a job used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// Bytes read and written, pipes and sockets included, where the system
    /// tells.
    pub io_bytes: u64,
}

/// What the processes of a job used within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Length of that time, milliseconds.
    pub over_ms: u64,
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// Bytes read and written.
    pub io_bytes: u64,
}

impl Activity {
    /// Between two readings, `over_ms` apart. What ended processes used may be
    /// missing in the later one.
    #[must_use]
    pub fn between(before: Usage, after: Usage, over_ms: u64) -> Self {
        Self {
            over_ms,
            cpu_ms: after.cpu_ms.saturating_sub(before.cpu_ms),
            io_bytes: after.io_bytes.saturating_sub(before.io_bytes),
        }
    }

    /// Whether somebody is at work.
    #[must_use]
    pub fn is_work(&self) -> bool {
        self.over_ms > 0
            && (self.cpu_ms * 1_000 >= self.over_ms * WORK_CPU_PER_MILLE
                || self.io_bytes * 1_000 >= self.over_ms * WORK_BYTES_PER_SECOND)
    }
}

/// Something that lasts since an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// Since when.
    pub since: UnixMillis,
    /// What, in words.
    pub what: String,
}

/// Everything that is known of a running attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signs {
    /// The present.
    pub now: UnixMillis,
    /// When the attempt started.
    pub started: UnixMillis,
    /// The last output that was a sign of life.
    pub last_life: Option<UnixMillis>,
    /// Milliseconds since then, or since the start, by the clock that limits are
    /// measured by: a suspended machine is not silent.
    pub silent_ms: u64,
    /// The agent says that it waits for its provider.
    pub provider_wait: Option<Lasting>,
    /// The agent waits for the answer of a person.
    pub question: Option<Lasting>,
    /// The tool call that has lasted longest.
    pub open_tool: Option<Lasting>,
    /// What its processes used lately, if it is known.
    pub activity: Option<Activity>,
    /// Limit of silence, milliseconds; 0 means none.
    pub idle_ms: u64,
}

/// What the signs come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something happens.
    Working,
    /// The provider is out of reach or busy; the agent tries again.
    WaitingOnProvider,
    /// A person has to answer.
    WaitingOnPerson,
    /// Nothing has happened for a while, which may be normal.
    Quiet,
    /// Nothing has happened for half the limit of silence; at the limit the
    /// attempt is ended.
    Stalled,
}

impl Verdict {
    /// The verdict as sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::WaitingOnProvider => "waiting_on_provider",
            Self::WaitingOnPerson => "waiting_on_person",
            Self::Quiet => "quiet",
            Self::Stalled => "stalled",
        }
    }
}

/// A verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// The verdict.
    pub verdict: Verdict,
    /// Since when.
    pub since: UnixMillis,
    /// Why, in words; the most important first.
    pub reasons: Vec<String>,
}

/// Judges the signs.
#[must_use]
pub fn judge(signs: &Signs) -> Liveness {
    let life = signs.last_life.unwrap_or(signs.started);
    let works = signs.activity.is_some_and(|activity| activity.is_work());
    let (verdict, since) = if let Some(question) = &signs.question {
        (Verdict::WaitingOnPerson, question.since)
    } else if let Some(wait) = &signs.provider_wait {
        (Verdict::WaitingOnProvider, wait.since)
    } else if signs.silent_ms < QUIET_AFTER_MS || works {
        (Verdict::Working, life)
    } else if signs.idle_ms > 0 && signs.silent_ms >= signs.idle_ms / 2 {
        (Verdict::Stalled, life)
    } else {
        (Verdict::Quiet, life)
    };
    Liveness {
        verdict,
        since,
        reasons: reasons(signs, verdict),
    }
}

fn reasons(signs: &Signs, verdict: Verdict) -> Vec<String> {
    let mut reasons = Vec::new();
    let lasts = |lasting: &Lasting| shown(signs.now.since(lasting.since));
    if let Some(question) = &signs.question {
        reasons.push(format!("asks for {}: {}", lasts(question), question.what));
    }
    if let Some(wait) = &signs.provider_wait {
        reasons.push(format!(
            "waits for its provider for {}: {}",
            lasts(wait),
            wait.what
        ));
    }
    let silence = shown(signs.silent_ms);
    reasons.push(match signs.last_life {
        Some(_) => format!("last sign of life {silence} ago"),
        None => format!("no sign of life since its start {silence} ago"),
    });
    if let Some(tool) = &signs.open_tool {
        reasons.push(format!("{} runs for {}", tool.what, lasts(tool)));
    }
    if let Some(activity) = &signs.activity {
        reasons.push(used(activity));
    }
    // What is at work is spared at the limit, and so is not threatened by it.
    let threatened = verdict != Verdict::Working && verdict != Verdict::WaitingOnPerson;
    if threatened && signs.idle_ms > 0 {
        let left_ms = signs.idle_ms.saturating_sub(signs.silent_ms);
        reasons.push(format!(
            "ended at {} by `limits.idle` ({}) unless something happens",
            signs.now.plus(left_ms).to_rfc3339(),
            shown(signs.idle_ms)
        ));
    }
    reasons
}

fn used(activity: &Activity) -> String {
    let percent = activity.cpu_ms * 100 / activity.over_ms.max(1);
    format!(
        "its processes used {percent} % of a processor and moved {} KiB in the last {}",
        activity.io_bytes / 1024,
        shown(activity.over_ms)
    )
}

fn shown(ms: u64) -> String {
    // Whole seconds: nobody reads milliseconds of a silence.
    let seconds = i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    format!("{:#}", jiff::SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const MINUTE: u64 = 60_000;

    fn ago(ms: u64) -> UnixMillis {
        UnixMillis(NOW.0 - ms)
    }

    fn silent_for(ms: u64) -> Signs {
        Signs {
            now: NOW,
            started: ago(60 * MINUTE),
            last_life: Some(ago(ms)),
            silent_ms: ms,
            provider_wait: None,
            question: None,
            open_tool: None,
            activity: None,
            idle_ms: 30 * MINUTE,
        }
    }

    fn verdict(signs: &Signs) -> Verdict {
        judge(signs).verdict
    }

    #[test]
    fn silence_is_quiet_and_then_a_stall() {
        assert_eq!(verdict(&silent_for(14_999)), Verdict::Working);
        assert_eq!(verdict(&silent_for(15_000)), Verdict::Quiet);
        assert_eq!(verdict(&silent_for(15 * MINUTE - 1)), Verdict::Quiet);
        let stalled = judge(&silent_for(15 * MINUTE));
        assert_eq!(stalled.verdict, Verdict::Stalled);
        assert_eq!(stalled.since, ago(15 * MINUTE));
        assert!(
            stalled
                .reasons
                .iter()
                .any(|why| why.contains("`limits.idle`"))
        );
        let unlimited = Signs {
            idle_ms: 0,
            ..silent_for(100 * MINUTE)
        };
        assert_eq!(verdict(&unlimited), Verdict::Quiet);
    }

    #[test]
    fn who_works_in_silence_is_not_called_stalled() {
        let used = |cpu_ms, io_bytes| Signs {
            activity: Some(Activity {
                over_ms: 20_000,
                cpu_ms,
                io_bytes,
            }),
            ..silent_for(29 * MINUTE)
        };
        assert_eq!(verdict(&used(10_000, 0)), Verdict::Working);
        assert_eq!(verdict(&used(0, 1_000_000)), Verdict::Working);
        assert_eq!(verdict(&used(100, 1_000)), Verdict::Stalled);
        let text = judge(&used(10_000, 0)).reasons.join("; ");
        assert!(text.contains("50 % of a processor"), "{text}");
    }

    #[test]
    fn waiting_for_others_is_named() {
        let wait = || Lasting {
            since: ago(5 * MINUTE),
            what: "Reconnecting...".to_owned(),
        };
        let provider = Signs {
            provider_wait: Some(wait()),
            ..silent_for(5 * MINUTE)
        };
        let liveness = judge(&provider);
        assert_eq!(liveness.verdict, Verdict::WaitingOnProvider);
        assert_eq!(liveness.since, ago(5 * MINUTE));
        assert!(liveness.reasons[0].contains("Reconnecting"));
        let person = Signs {
            question: Some(wait()),
            ..provider
        };
        assert_eq!(verdict(&person), Verdict::WaitingOnPerson);
        // The clock was set back since.
        let early = Signs {
            last_life: Some(NOW.plus(MINUTE)),
            ..silent_for(0)
        };
        assert_eq!(verdict(&early), Verdict::Working);
    }
}
