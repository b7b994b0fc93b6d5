//! A job: the fold of its lifecycle records.

use serde::{Deserialize, Serialize};

use crate::{
    coordination::{Clash, TakenBack},
    failure::Failure,
    finding::Finding,
    ids::{JobId, RunnerId},
    lifecycle::{JobEnd, LifecycleEvent, LifecycleRecord, StopReason},
    owner::Owner,
    spec::JobSpec,
    time::UnixMillis,
};

/// A job as its lifecycle records tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What it is to do.
    pub spec: JobSpec,
    /// On whose behalf.
    pub owner: Owner,
    /// When it was taken on.
    pub accepted_at: UnixMillis,
    /// Number of its first record: its place in line.
    pub accepted_seq: u64,
    /// When its first attempt started.
    pub started_at: Option<UnixMillis>,
    /// Attempts started so far.
    pub attempts: u32,
    /// The agent's conversation, once known.
    pub thread: Option<String>,
    /// Attempts that ended without settling the job, in order.
    pub past: Vec<PastAttempt>,
    /// When the live attempt started, or the last one.
    pub attempt_started_at: Option<UnixMillis>,
    /// What was seen of it besides its own words.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Where it stands.
    pub state: JobState,
}

/// An attempt that ended without settling the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastAttempt {
    /// Its number. One that does not count gives it to the next.
    pub attempt: u32,
    /// Whether it counts.
    pub counted: bool,
    /// When it started.
    pub started_at: UnixMillis,
    /// When it ended.
    pub ended_at: UnixMillis,
    /// Why it did not settle the job.
    pub cause: Failure,
    /// Other strict jobs that changed the same files, if that is why. It counts
    /// against no cap of attempts then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clash: Option<Box<Clash>>,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Queued {
        /// Since when.
        since: UnixMillis,
        /// Not to be started before, if set.
        not_before: Option<UnixMillis>,
        /// Whether it has run before and so goes ahead of its peers.
        returned: bool,
        /// What ended the attempt before, if there was one.
        cause: Option<Failure>,
    },
    /// Its runner is being started; it may or may not exist.
    Starting {
        /// Since when.
        since: UnixMillis,
        /// Attempt, from 1.
        attempt: u32,
    },
    /// Its agent runs.
    Running {
        /// Since when.
        since: UnixMillis,
        /// Attempt, from 1.
        attempt: u32,
    },
    /// Its agent has said its last word.
    Finishing {
        /// Since when.
        since: UnixMillis,
        /// Attempt, from 1.
        attempt: u32,
    },
    /// It is being stopped on request.
    Stopping {
        /// Since when.
        since: UnixMillis,
        /// Attempt, from 1.
        attempt: u32,
        /// Why.
        reason: StopReason,
        /// Whether without a grace period.
        force: bool,
    },
    /// It is over.
    Ended {
        /// When.
        at: UnixMillis,
        /// How.
        end: Box<JobEnd>,
    },
}

impl JobState {
    /// The state's name: `queued`, `starting`, `running`, `finishing`,
    /// `stopping`, `completed`, `failed` or `cancelled`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Finishing { .. } => "finishing",
            Self::Stopping { .. } => "stopping",
            Self::Ended { end, .. } => end.outcome.as_str(),
        }
    }

    /// The live attempt, if there is one.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::Starting { attempt, .. }
            | Self::Running { attempt, .. }
            | Self::Finishing { attempt, .. }
            | Self::Stopping { attempt, .. } => Some(*attempt),
            Self::Queued { .. } | Self::Ended { .. } => None,
        }
    }
}

/// A lifecycle event that does not fit the state it meets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job {job} is {state}: `{event}` does not apply")]
pub struct IllegalTransition {
    /// The job.
    pub job: JobId,
    /// Its state.
    pub state: &'static str,
    /// The event.
    pub event: &'static str,
}

impl Job {
    /// The job that an accepted record begins.
    #[must_use]
    pub fn accepted(id: JobId, seq: u64, at: UnixMillis, spec: JobSpec, owner: Owner) -> Self {
        Self {
            id,
            spec,
            owner,
            accepted_at: at,
            accepted_seq: seq,
            started_at: None,
            attempts: 0,
            thread: None,
            past: Vec::new(),
            attempt_started_at: None,
            findings: Vec::new(),
            state: JobState::Queued {
                since: at,
                not_before: None,
                returned: false,
                cause: None,
            },
        }
    }

    /// Folds the records of one job, the first of which accepts it. `None` if
    /// it does not, or if one does not apply.
    #[must_use]
    pub fn replay(records: &[LifecycleRecord]) -> Option<Self> {
        let (first, rest) = records.split_first()?;
        let LifecycleEvent::Accepted { spec, owner } = &first.event else {
            return None;
        };
        let mut job = Self::accepted(
            first.job.clone(),
            first.seq,
            first.at,
            spec.as_ref().clone(),
            owner.clone(),
        );
        for record in rest {
            job.apply(record.at, &record.event).ok()?;
        }
        Some(job)
    }

    /// The runner of the live attempt, if there is one.
    #[must_use]
    pub fn runner(&self) -> Option<RunnerId> {
        self.state
            .attempt()
            .map(|attempt| RunnerId::of_attempt(&self.id, attempt))
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, JobState::Ended { .. })
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<&JobEnd> {
        match &self.state {
            JobState::Ended { end, .. } => Some(end),
            _ => None,
        }
    }

    /// Attempts that were, or are to be, undone because of other strict jobs.
    fn clashes(&self) -> impl Iterator<Item = &PastAttempt> {
        self.past.iter().filter(|past| past.clash.is_some())
    }

    /// How often it ran again, or is to, because it collided with strict jobs.
    #[must_use]
    pub fn reruns(&self) -> usize {
        self.clashes().count()
    }

    /// Whether what an attempt did was, or is to be, taken back.
    #[must_use]
    pub fn is_undone(&self, attempt: u32) -> bool {
        self.clashes().any(|past| past.attempt == attempt)
    }

    /// What was taken back of it last, if anything was.
    #[must_use]
    pub fn taken_back(&self) -> Option<&TakenBack> {
        self.findings
            .iter()
            .rev()
            .find_map(|finding| match finding {
                Finding::TakenBack(taken) => Some(taken),
                _ => None,
            })
    }

    /// The last attempt of which all that it did is taken back; 0 if none is.
    #[must_use]
    pub fn undone_to(&self) -> u32 {
        let taken = self.taken_back();
        let taken = taken.filter(|taken| taken.inseparable.is_empty());
        taken.map_or(0, |taken| taken.attempt)
    }

    /// The attempt whose changes are to be taken back before the next one starts.
    #[must_use]
    pub fn to_undo(&self) -> Option<&PastAttempt> {
        let done = self.taken_back().map_or(0, |taken| taken.attempt);
        self.clashes().last().filter(|past| past.attempt > done)
    }

    /// Moves the job by one decision.
    ///
    /// # Errors
    /// When the event does not apply to the present state; nothing changes then.
    pub fn apply(
        &mut self,
        at: UnixMillis,
        event: &LifecycleEvent,
    ) -> Result<(), IllegalTransition> {
        use JobState as S;
        use LifecycleEvent as E;
        let live = self.state.attempt();
        let next = match (&self.state, event) {
            (S::Queued { .. }, E::AttemptStarting { attempt, .. }) => {
                self.attempts = *attempt;
                self.started_at.get_or_insert(at);
                self.attempt_started_at = Some(at);
                S::Starting {
                    since: at,
                    attempt: *attempt,
                }
            }
            (S::Starting { attempt, .. }, E::AttemptRunning { attempt: now, .. })
                if attempt == now =>
            {
                S::Running {
                    since: at,
                    attempt: *attempt,
                }
            }
            (
                S::Stopping { attempt, .. } | S::Finishing { attempt, .. },
                E::AttemptRunning { attempt: now, .. },
            ) if attempt == now => {
                return Ok(());
            }
            (_, E::ThreadKnown { attempt, thread }) if live == Some(*attempt) => {
                self.thread = Some(thread.clone());
                return Ok(());
            }
            (state, E::Found { finding, .. }) if !matches!(state, S::Ended { .. }) => {
                self.findings.push((**finding).clone());
                return Ok(());
            }
            (S::Starting { .. } | S::Running { .. }, E::Finishing { attempt })
                if live == Some(*attempt) =>
            {
                S::Finishing {
                    since: at,
                    attempt: *attempt,
                }
            }
            (
                S::Starting { attempt, .. }
                | S::Running { attempt, .. }
                | S::Finishing { attempt, .. }
                | S::Stopping {
                    attempt,
                    force: false,
                    ..
                },
                E::Stopping { reason, force, .. },
            ) => S::Stopping {
                since: at,
                attempt: *attempt,
                reason: *reason,
                force: *force,
            },
            (
                S::Starting { .. } | S::Running { .. } | S::Finishing { .. },
                E::Requeued {
                    attempt,
                    not_before,
                    counted,
                    cause,
                    clash,
                },
            ) if live == Some(*attempt) => {
                self.past.push(PastAttempt {
                    attempt: *attempt,
                    counted: *counted,
                    started_at: self.attempt_started_at.unwrap_or(at),
                    ended_at: at,
                    cause: cause.clone(),
                    clash: clash.clone(),
                });
                if clash.is_some() {
                    // What was said there is of work that is undone.
                    self.thread = None;
                }
                if !counted {
                    self.attempts = self.attempts.saturating_sub(1);
                }
                S::Queued {
                    since: at,
                    not_before: *not_before,
                    returned: true,
                    cause: Some(cause.clone()),
                }
            }
            (
                S::Queued { .. }
                | S::Starting { .. }
                | S::Running { .. }
                | S::Finishing { .. }
                | S::Stopping { .. },
                E::Ended { end },
            ) => S::Ended {
                at,
                end: end.clone(),
            },
            _ => return Err(self.illegal(event)),
        };
        self.state = next;
        Ok(())
    }

    fn illegal(&self, event: &LifecycleEvent) -> IllegalTransition {
        IllegalTransition {
            job: self.id.clone(),
            state: self.state.name(),
            event: event.name(),
        }
    }
}

impl LifecycleEvent {
    /// The event's name as stored.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "job.accepted",
            Self::AttemptStarting { .. } => "attempt.starting",
            Self::AttemptRunning { .. } => "attempt.running",
            Self::ThreadKnown { .. } => "attempt.thread",
            Self::Finishing { .. } => "attempt.finishing",
            Self::Stopping { .. } => "job.stopping",
            Self::Requeued { .. } => "job.requeued",
            Self::Found { .. } => "job.found",
            Self::Ended { .. } => "job.ended",
        }
    }
}
