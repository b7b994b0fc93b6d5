//! Who starts next: slots, queues and reservations.
//!
//! A job demands one unit of each of its resources at once: a slot of the
//! daemon, a reader's or writer's slot of its tree, and a slot of its owner if
//! the owner is capped. Among jobs that want the same resource it is first in,
//! first out within a priority; a job blocked on one resource holds up nobody
//! who does not want that one. A job that others have passed for
//! [`PATIENCE_MS`] reserves what it still can get of its tree and its owner, so
//! that nobody starves. The daemon's slots need no reserving: whatever a job
//! waits for comes free together with one of them. (But for a place in a tree
//! that an ended job held because processes of it were left: who gets that one
//! is the first to get the next slot of the daemon.)
//!
//! A writer with a scope takes no writer's slot. It holds its folders, from its
//! first attempt until it is over: who wants one of them, or one within or above
//! it, waits.
//!
//! A job with a working tree of its own takes a slot of the daemon only.
//!
//! Strict writers that collided run again one after the other: see [`sequence`].
//!
//! Where writers collided, fewer of them may be at once: see [`crate::writer_caps`].

mod leases;
mod sequence;
mod slots;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use self::slots::{Demand, Reserved, Slots, TOTAL};
use crate::{
    ids::JobId,
    job::{Job, JobState},
    time::UnixMillis,
    writer_caps::WriterCaps,
};

/// How long a job lets others pass before it reserves, in milliseconds.
pub const PATIENCE_MS: u64 = 60_000;

/// How many attempts may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// In the whole daemon.
    pub total: u32,
    /// Readers in one shared tree.
    pub readers: u32,
    /// Writers in one shared tree.
    pub writers: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            total: 32,
            readers: 8,
            writers: 3,
        }
    }
}

/// Why a queued job does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Every slot of the daemon is taken.
    Total {
        /// How many there are.
        cap: u32,
    },
    /// The tree has as many readers as it may have.
    Readers {
        /// How many that is.
        cap: u32,
    },
    /// The tree has as many writers as it may have.
    Writers {
        /// How many that is.
        cap: u32,
    },
    /// Other jobs hold folders of its scope.
    Scope {
        /// Which, as far as they hold them or have waited longer for them.
        jobs: Vec<JobId>,
    },
    /// The owner runs as many jobs as it may.
    Owner {
        /// How many that is.
        cap: u32,
    },
    /// Strict jobs run again one after the other, beside no other strict one.
    Conflict {
        /// Which it waits for.
        jobs: Vec<JobId>,
    },
    /// Needed jobs have not completed.
    Needs {
        /// Which.
        jobs: Vec<JobId>,
    },
    /// It waits out a pause between attempts.
    BackOff {
        /// Until when.
        until: UnixMillis,
    },
}

/// A job that another one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The job waited for.
    pub job: JobId,
    /// Whether it must complete; else any end will do.
    pub must_complete: bool,
}

/// Place in line: priority, then those that ran before, then arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: std::cmp::Reverse<i32>,
    new: bool,
    seq: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    id: JobId,
    demand: Demand,
    needs: Vec<Need>,
    not_before: Option<UnixMillis>,
    passed_since: Option<UnixMillis>,
}

impl Waiting {
    /// Whether only slots keep it from starting.
    fn ready(&self, now: UnixMillis) -> bool {
        self.needs.is_empty() && self.not_before.is_none_or(|at| at <= now)
    }

    /// Whether others have passed it for long enough.
    fn out_of_patience(&self, now: UnixMillis) -> bool {
        self.passed_since
            .is_some_and(|since| now.since(since) >= PATIENCE_MS)
    }
}

/// The queue and the slots.
#[derive(Debug)]
pub struct Scheduler {
    slots: Slots,
    queue: BTreeMap<Place, Waiting>,
    places: HashMap<JobId, Place>,
    /// Who may be waiting for a job; may name jobs that left the line.
    dependents: HashMap<JobId, Vec<JobId>>,
    writer_caps: WriterCaps,
    last_seen: Option<UnixMillis>,
}

impl Scheduler {
    /// An empty scheduler.
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        Self {
            slots: Slots::new(caps),
            queue: BTreeMap::new(),
            places: HashMap::new(),
            dependents: HashMap::new(),
            writer_caps: WriterCaps::default(),
            last_seen: None,
        }
    }

    /// Changes the caps; running attempts are not touched.
    pub fn set_caps(&mut self, caps: Caps) {
        self.slots.caps = caps;
    }

    /// Notes that a writer of a tree ended, and whether it collided with another.
    pub fn writer_ended(&mut self, tree: &Path, overlapped: bool) {
        let most = self.slots.caps.writers;
        self.writer_caps.writer_ended(tree, overlapped, most);
        let now = self.writer_caps.of(tree, u32::MAX);
        self.slots.lower(tree, (now < u32::MAX).then_some(now));
    }

    /// Number of jobs in line.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Number of attempts that hold slots.
    #[must_use]
    pub fn running(&self) -> usize {
        self.slots.holders()
    }

    /// Puts a queued job in line; `needs` are those that have not ended.
    pub fn enqueue(&mut self, job: &Job, needs: Vec<Need>) {
        let (not_before, returned) = match &job.state {
            JobState::Queued {
                not_before,
                returned,
                ..
            } => (*not_before, *returned),
            _ => (None, false),
        };
        let place = Place {
            priority: std::cmp::Reverse(job.spec.priority),
            new: !returned,
            seq: job.accepted_seq,
        };
        for need in &needs {
            let dependents = self.dependents.entry(need.job.clone()).or_default();
            dependents.push(job.id.clone());
        }
        self.places.insert(job.id.clone(), place);
        let demand = self.slots.demand(job);
        if returned {
            self.slots.lease(&job.id, &demand);
            self.slots.stand(&job.id, &demand);
        }
        self.queue.insert(
            place,
            Waiting {
                id: job.id.clone(),
                demand,
                needs,
                not_before,
                passed_since: None,
            },
        );
    }

    /// Gives the slots of a job that is already live (found at start).
    pub fn adopt(&mut self, job: &Job) {
        let demand = self.slots.demand(job);
        self.slots.hold(job.id.clone(), demand);
    }

    /// Takes a job out of line; false if it was not in it.
    pub fn remove(&mut self, job: &JobId) -> bool {
        self.places
            .remove(job)
            .is_some_and(|place| self.queue.remove(&place).is_some())
    }

    /// Gives back the slots of an attempt that ended. Its job keeps its lease.
    pub fn release(&mut self, job: &JobId) {
        self.slots.release(job);
    }

    /// Gives back everything of a job that is over.
    pub fn release_all(&mut self, job: &JobId) {
        self.slots.release_all(job);
    }

    /// The same, but for what it holds of its tree: processes of it are left.
    pub fn release_but_tree(&mut self, job: &JobId) {
        self.slots.release_but_tree(job);
    }

    /// Has an ended job hold what it held of its tree (found at start).
    pub fn adopt_leftovers(&mut self, job: &Job) {
        let demand = self.slots.demand(job);
        self.slots.leave(&job.id, &demand);
    }

    /// Gives back what an ended job still held of its tree; whether it held
    /// anything.
    pub fn release_tree(&mut self, job: &JobId) -> bool {
        self.slots.release_left(job)
    }

    /// Ended jobs that hold what a job in line waits for.
    #[must_use]
    pub fn left_in_tree_of(&self, job: &JobId) -> Vec<JobId> {
        let place = self.places.get(job);
        match place.and_then(|place| self.queue.get(place)) {
            Some(waiting) => self.slots.left_in_the_way_of(job, &waiting.demand),
            None => Vec::new(),
        }
    }

    /// Notes that `job` ended; answers which jobs in line can now never start,
    /// because they need it completed and it did not.
    pub fn need_ended(&mut self, job: &JobId, completed: bool) -> Vec<JobId> {
        let mut hopeless = Vec::new();
        for dependent in self.dependents.remove(job).unwrap_or_default() {
            let place = self.places.get(&dependent);
            let Some(waiting) = place.and_then(|place| self.queue.get_mut(place)) else {
                continue;
            };
            let needed = |need: &Need| need.job == *job && need.must_complete;
            let failed = !completed && waiting.needs.iter().any(needed);
            waiting.needs.retain(|need| need.job != *job);
            if failed {
                hopeless.push(dependent);
            }
        }
        hopeless
    }

    /// The first instant at which a job's pause ends, if any job pauses.
    #[must_use]
    pub fn next_deadline(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.queue
            .values()
            .filter_map(|w| w.not_before)
            .filter(|at| *at > now)
            .min()
    }

    /// Takes out of line every job that can start now and gives it its slots.
    pub fn pick(&mut self, now: UnixMillis) -> Vec<JobId> {
        self.follow_clock(now);
        let mut reserved = Reserved::default();
        let mut chosen: Vec<Place> = Vec::new();
        let mut blocked: Vec<Place> = Vec::new();
        for (place, waiting) in &self.queue {
            if self.slots.is_full(TOTAL, &waiting.demand, &reserved) {
                break;
            }
            if !waiting.ready(now) {
                continue;
            }
            match self.slots.lack(&waiting.id, &waiting.demand, &reserved) {
                None => {
                    self.slots.hold(waiting.id.clone(), waiting.demand.clone());
                    chosen.push(*place);
                }
                Some(lack) => {
                    self.slots.reserve(waiting, lack, now, &mut reserved);
                    blocked.push(*place);
                }
            }
        }
        for place in blocked {
            if chosen.last().is_some_and(|last| *last > place)
                && let Some(waiting) = self.queue.get_mut(&place)
            {
                waiting.passed_since.get_or_insert(now);
            }
        }
        chosen
            .into_iter()
            .filter_map(|place| self.queue.remove(&place))
            .map(|w| {
                self.places.remove(&w.id);
                w.id
            })
            .collect()
    }

    /// Why a job in line does not start, and its position (from 1) among those
    /// that wait for the same thing; `None` if it is not in line or could
    /// start right now.
    #[must_use]
    pub fn why(&self, job: &JobId, now: UnixMillis) -> Option<(Blocked, usize)> {
        let place = *self.places.get(job)?;
        let waiting = self.queue.get(&place)?;
        if !waiting.needs.is_empty() {
            let jobs = waiting.needs.iter().map(|need| need.job.clone()).collect();
            return Some((Blocked::Needs { jobs }, 1));
        }
        if let Some(until) = waiting.not_before.filter(|at| *at > now) {
            return Some((Blocked::BackOff { until }, 1));
        }
        let mut reserved = Reserved::default();
        let ahead = || self.queue.range(..place).filter(|(_, w)| w.ready(now));
        for (_, earlier) in ahead() {
            if let Some(lack) = self.slots.lack(&earlier.id, &earlier.demand, &reserved) {
                self.slots.reserve(earlier, lack, now, &mut reserved);
            }
        }
        let lack = self.slots.lack(job, &waiting.demand, &reserved)?;
        let wants_it_too = |other: &Waiting| other.demand.is_bound_by(lack, &waiting.demand);
        let position = 1 + ahead().filter(|(_, other)| wants_it_too(other)).count();
        let blocked = self.slots.blocked_by(lack, waiting, &reserved);
        Some((blocked, position))
    }

    /// Moves what was noted of the clock when it is set back, so that nobody
    /// waits for the difference. To be called before anything else is noted.
    pub(crate) fn follow_clock(&mut self, now: UnixMillis) {
        let back = self.last_seen.map_or(0, |last| last.since(now));
        self.last_seen = Some(now);
        if back == 0 {
            return;
        }
        for waiting in self.queue.values_mut() {
            let noted = [&mut waiting.not_before, &mut waiting.passed_since];
            for instant in noted.into_iter().flatten() {
                instant.0 = instant.0.saturating_sub(back);
            }
        }
    }
}

#[cfg(test)]
mod tests;
