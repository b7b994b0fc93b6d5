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
//! Where writers collided, fewer of them may be at once: see [`crate::writer_caps`].

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use crate::{
    ids::JobId,
    job::{Job, JobState},
    owner::Owner,
    sandbox::Access,
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

/// Something of which there is a limited number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Resource {
    Total,
    Readers(std::path::PathBuf),
    Writers(std::path::PathBuf),
    Owner(Owner),
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
    /// The owner runs as many jobs as it may.
    Owner {
        /// How many that is.
        cap: u32,
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

/// Indices into [`Slots::used`], with the job's own owner cap.
#[derive(Clone, Debug)]
struct Demand {
    tree: usize,
    access: Access,
    owner: usize,
    owner_cap: Option<u32>,
}

impl Demand {
    fn resources(&self) -> [usize; 3] {
        [TOTAL, self.tree, self.owner]
    }

    /// Whether `resource` can keep the job from starting.
    fn is_bound_by(&self, resource: usize) -> bool {
        resource == TOTAL
            || resource == self.tree
            || (resource == self.owner && self.owner_cap.is_some())
    }
}

/// The slots, and who holds them.
#[derive(Debug)]
struct Slots {
    caps: Caps,
    index: HashMap<Resource, usize>,
    used: Vec<u32>,
    holders: HashMap<JobId, Demand>,
    /// Ended jobs that still hold the slot of their tree, and which it is.
    left: HashMap<JobId, usize>,
    /// Writers of trees in which some collided: how many may be there at once.
    lowered: HashMap<usize, u32>,
}

/// What jobs out of patience keep from those behind them, during one pass.
#[derive(Debug, Default)]
struct Reserved {
    slots: HashMap<usize, Kept>,
    /// What those who reserved wait for. One is enough for each: the next can
    /// use nothing before that one has started.
    waited_for: HashSet<usize>,
}

/// What is reserved of one resource.
#[derive(Clone, Copy, Debug)]
struct Kept {
    slots: u32,
    /// The cap of those who reserved. It binds the others too: jobs of an owner
    /// may have different caps, and none may keep out one with a lower cap.
    cap: u32,
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

const TOTAL: usize = 0;

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
        let resource = self.slots.resource(Resource::Writers(tree.to_owned()));
        self.slots.lowered.insert(resource, now);
        if now == u32::MAX {
            self.slots.lowered.remove(&resource);
        }
    }

    /// Number of jobs in line.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Number of attempts that hold slots.
    #[must_use]
    pub fn running(&self) -> usize {
        self.slots.holders.len()
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
        self.queue.insert(
            place,
            Waiting {
                id: job.id.clone(),
                demand: self.slots.demand(job),
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

    /// Gives back the slots of an attempt that ended.
    pub fn release(&mut self, job: &JobId) {
        self.slots.release(job);
    }

    /// Gives back the slots of an attempt that ended, but for that of the tree:
    /// processes of it are left.
    pub fn release_but_tree(&mut self, job: &JobId) {
        if let Some(tree) = self.slots.holders.get(job).map(|demand| demand.tree) {
            self.slots.release(job);
            self.slots.leave(job.clone(), tree);
        }
    }

    /// Has an ended job hold the slot of its tree (found at start).
    pub fn adopt_leftovers(&mut self, job: &Job) {
        let tree = self.slots.demand(job).tree;
        self.slots.leave(job.id.clone(), tree);
    }

    /// Gives back the slot of its tree that an ended job still held; whether
    /// it held one.
    pub fn release_tree(&mut self, job: &JobId) -> bool {
        let tree = self.slots.left.remove(job);
        if let Some(tree) = tree {
            self.slots.used[tree] = self.slots.used[tree].saturating_sub(1);
        }
        tree.is_some()
    }

    /// Ended jobs that hold a slot of the tree that a job in line waits for.
    #[must_use]
    pub fn left_in_tree_of(&self, job: &JobId) -> Vec<JobId> {
        let place = self.places.get(job);
        let Some(waiting) = place.and_then(|place| self.queue.get(place)) else {
            return Vec::new();
        };
        let left = self.slots.left.iter();
        let mut here: Vec<JobId> = left
            .filter(|(_, tree)| **tree == waiting.demand.tree)
            .map(|(job, _)| job.clone())
            .collect();
        here.sort();
        here
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
            match self.slots.first_full(&waiting.demand, &reserved) {
                None => {
                    self.slots.hold(waiting.id.clone(), waiting.demand.clone());
                    chosen.push(*place);
                }
                Some(full) => {
                    self.slots.reserve(waiting, full, now, &mut reserved);
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
            if let Some(full) = self.slots.first_full(&earlier.demand, &reserved) {
                self.slots.reserve(earlier, full, now, &mut reserved);
            }
        }
        let full = self.slots.first_full(&waiting.demand, &reserved)?;
        let position = 1 + ahead().filter(|(_, w)| w.demand.is_bound_by(full)).count();
        let blocked = self.slots.blocked_by(full, &waiting.demand, &reserved);
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

impl Slots {
    fn new(caps: Caps) -> Self {
        Self {
            caps,
            index: HashMap::from([(Resource::Total, TOTAL)]),
            used: vec![0],
            holders: HashMap::new(),
            left: HashMap::new(),
            lowered: HashMap::new(),
        }
    }

    fn resource(&mut self, resource: Resource) -> usize {
        let used = &mut self.used;
        *self.index.entry(resource).or_insert_with(|| {
            used.push(0);
            used.len() - 1
        })
    }

    fn demand(&mut self, job: &Job) -> Demand {
        let tree = job.spec.tree.clone();
        let tree = match job.spec.access {
            Access::Read => Resource::Readers(tree),
            Access::Write => Resource::Writers(tree),
        };
        Demand {
            tree: self.resource(tree),
            access: job.spec.access,
            owner: self.resource(Resource::Owner(job.owner.clone())),
            owner_cap: job.spec.owner_cap,
        }
    }

    fn hold(&mut self, job: JobId, demand: Demand) {
        for resource in demand.resources() {
            self.used[resource] += 1;
        }
        self.holders.insert(job, demand);
    }

    fn release(&mut self, job: &JobId) {
        if let Some(demand) = self.holders.remove(job) {
            for resource in demand.resources() {
                self.used[resource] = self.used[resource].saturating_sub(1);
            }
        }
    }

    fn leave(&mut self, job: JobId, tree: usize) {
        if self.left.insert(job, tree).is_none() {
            self.used[tree] += 1;
        }
    }

    fn cap_of(&self, resource: usize, demand: &Demand) -> u32 {
        if resource == TOTAL {
            self.caps.total
        } else if resource == demand.owner {
            demand.owner_cap.unwrap_or(u32::MAX)
        } else {
            match demand.access {
                Access::Read => self.caps.readers,
                Access::Write => {
                    let lowered = self.lowered.get(&resource).copied();
                    self.caps.writers.min(lowered.unwrap_or(u32::MAX))
                }
            }
        }
    }

    fn is_full(&self, resource: usize, demand: &Demand, reserved: &Reserved) -> bool {
        let kept = reserved.slots.get(&resource).map_or(0, |kept| kept.slots);
        self.used[resource].saturating_add(kept) >= self.cap_now(resource, demand, reserved)
    }

    fn cap_now(&self, resource: usize, demand: &Demand, reserved: &Reserved) -> u32 {
        let kept = reserved
            .slots
            .get(&resource)
            .map_or(u32::MAX, |kept| kept.cap);
        self.cap_of(resource, demand).min(kept)
    }

    fn first_full(&self, demand: &Demand, reserved: &Reserved) -> Option<usize> {
        let mut resources = demand.resources().into_iter();
        resources.find(|resource| self.is_full(*resource, demand, reserved))
    }

    /// Keeps for a job that waits for `full` what else it can get, if it is out
    /// of patience and the first such to wait for that.
    fn reserve(&self, waiting: &Waiting, full: usize, now: UnixMillis, reserved: &mut Reserved) {
        if !waiting.out_of_patience(now) || !reserved.waited_for.insert(full) {
            return;
        }
        let demand = &waiting.demand;
        for resource in [demand.tree, demand.owner] {
            if !demand.is_bound_by(resource) {
                continue;
            }
            let slots = u32::from(!self.is_full(resource, demand, reserved));
            let cap = self.cap_of(resource, demand);
            let kept = reserved
                .slots
                .entry(resource)
                .or_insert(Kept { slots: 0, cap });
            kept.slots += slots;
            kept.cap = kept.cap.min(cap);
        }
    }

    fn blocked_by(&self, full: usize, demand: &Demand, reserved: &Reserved) -> Blocked {
        let cap = self.cap_now(full, demand, reserved);
        match demand.access {
            _ if full == TOTAL => Blocked::Total { cap },
            _ if full == demand.owner => Blocked::Owner { cap },
            Access::Read => Blocked::Readers { cap },
            Access::Write => Blocked::Writers { cap },
        }
    }
}

#[cfg(test)]
mod tests;
