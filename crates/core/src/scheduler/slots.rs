//! What jobs hold while they run: slots and leases.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::{
    Blocked, Caps, Waiting,
    leases::Leases,
    sequence::{Sequence, Turn},
};
use crate::{
    ids::JobId, job::Job, owner::Owner, sandbox::Access, scope::overlap, time::UnixMillis,
};

/// Index of the daemon's slots.
pub(super) const TOTAL: usize = 0;

/// Something of which there is a limited number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Resource {
    Total,
    Readers(PathBuf),
    Writers(PathBuf),
    Owner(Owner),
}

/// What a job wants: indices into [`Slots::used`], and folders.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    /// None of a writer with a scope, whose lease keeps others away, and of a job
    /// with a working tree of its own.
    tree: Option<usize>,
    access: Access,
    owner: usize,
    owner_cap: Option<u32>,
    scope: Vec<PathBuf>,
    turn: Option<Turn>,
}

/// What a job lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// A slot of a resource.
    Slot(usize),
    /// Folders of its scope.
    Lease,
    /// Its turn among strict writers.
    Turn,
}

impl Demand {
    fn resources(&self) -> impl Iterator<Item = usize> {
        [Some(TOTAL), self.tree, Some(self.owner)]
            .into_iter()
            .flatten()
    }

    /// Whether the lack of another job can keep this one from starting too.
    pub(super) fn is_bound_by(&self, lack: Lack, other: &Self) -> bool {
        match lack {
            Lack::Slot(resource) => self.is_bound_by_slot(resource),
            Lack::Lease => overlap(&self.scope, &other.scope),
            Lack::Turn => {
                let turns = self.turn.as_ref().zip(other.turn.as_ref());
                turns.is_some_and(|(own, other)| own.is_beside(other))
            }
        }
    }

    fn is_bound_by_slot(&self, resource: usize) -> bool {
        resource == TOTAL
            || self.tree == Some(resource)
            || (resource == self.owner && self.owner_cap.is_some())
    }
}

/// The slots and leases, and who holds them.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) caps: Caps,
    index: HashMap<Resource, usize>,
    used: Vec<u32>,
    holders: HashMap<JobId, Demand>,
    leases: Leases,
    sequence: Sequence,
    /// Ended jobs that still hold their lease or the slot of their tree, and
    /// which that is.
    left: HashMap<JobId, Option<usize>>,
    /// Writers of trees in which some collided: how many may be there at once.
    lowered: HashMap<usize, u32>,
}

/// What jobs out of patience keep from those behind them, during one pass.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    slots: HashMap<usize, Kept>,
    scopes: Vec<(JobId, Vec<PathBuf>)>,
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

impl Slots {
    pub(super) fn new(caps: Caps) -> Self {
        Self {
            caps,
            index: HashMap::from([(Resource::Total, TOTAL)]),
            used: vec![0],
            holders: HashMap::new(),
            leases: Leases::default(),
            sequence: Sequence::default(),
            left: HashMap::new(),
            lowered: HashMap::new(),
        }
    }

    /// Number of attempts that hold slots.
    pub(super) fn holders(&self) -> usize {
        self.holders.len()
    }

    /// Sets how many writers may be in a tree; none for as many as the caps say.
    pub(super) fn lower(&mut self, tree: &Path, writers: Option<u32>) {
        let resource = self.resource(Resource::Writers(tree.to_owned()));
        match writers {
            Some(writers) => self.lowered.insert(resource, writers),
            None => self.lowered.remove(&resource),
        };
    }

    fn resource(&mut self, resource: Resource) -> usize {
        let used = &mut self.used;
        *self.index.entry(resource).or_insert_with(|| {
            used.push(0);
            used.len() - 1
        })
    }

    /// What a job wants.
    pub(super) fn demand(&mut self, job: &Job) -> Demand {
        let scope = job.spec.leased().to_vec();
        let tree = job.spec.tree.clone();
        let tree = match job.spec.access {
            _ if !job.spec.workspace.is_shared() => None,
            Access::Read => Some(Resource::Readers(tree)),
            Access::Write => scope.is_empty().then_some(Resource::Writers(tree)),
        };
        Demand {
            tree: tree.map(|tree| self.resource(tree)),
            access: job.spec.access,
            owner: self.resource(Resource::Owner(job.owner.clone())),
            owner_cap: job.spec.owner_cap,
            scope,
            turn: Turn::of(job),
        }
    }

    /// Gives a job what it wants.
    pub(super) fn hold(&mut self, job: JobId, demand: Demand) {
        for resource in demand.resources() {
            self.used[resource] += 1;
        }
        self.lease(&job, &demand);
        if let Some(turn) = &demand.turn {
            self.sequence.starts(&job, turn);
        }
        self.holders.insert(job, demand);
    }

    /// Gives a job its lease alone.
    pub(super) fn lease(&mut self, job: &JobId, demand: &Demand) {
        self.leases.take(job, &demand.scope);
    }

    /// Has a job that waits for another attempt keep others away, if it does.
    pub(super) fn stand(&mut self, job: &JobId, demand: &Demand) {
        if let Some(turn) = &demand.turn {
            self.sequence.stands(job, turn);
        }
    }

    /// Takes back the slots of a job, but not its lease.
    pub(super) fn release(&mut self, job: &JobId) {
        if let Some(demand) = self.holders.remove(job) {
            self.sequence.pauses(job);
            for resource in demand.resources() {
                self.used[resource] = self.used[resource].saturating_sub(1);
            }
        }
    }

    /// Takes back everything of a job that is over.
    pub(super) fn release_all(&mut self, job: &JobId) {
        self.release(job);
        self.leases.give_back(job);
        self.sequence.ends(job);
    }

    /// The same, but for its lease and the slot of its tree.
    pub(super) fn release_but_tree(&mut self, job: &JobId) {
        self.sequence.ends(job);
        if let Some(demand) = self.holders.get(job).cloned() {
            self.release(job);
            self.leave(job, &demand);
        }
    }

    /// Has an ended job hold its lease and the slot of its tree.
    pub(super) fn leave(&mut self, job: &JobId, demand: &Demand) {
        if self.left.insert(job.clone(), demand.tree).is_some() {
            return;
        }
        self.lease(job, demand);
        if let Some(tree) = demand.tree {
            self.used[tree] += 1;
        }
    }

    /// Takes back what an ended job still held; whether it held anything.
    pub(super) fn release_left(&mut self, job: &JobId) -> bool {
        let left = self.left.remove(job);
        if left.is_some() {
            self.leases.give_back(job);
        }
        if let Some(tree) = left.flatten() {
            self.used[tree] = self.used[tree].saturating_sub(1);
        }
        left.is_some()
    }

    /// Ended jobs that hold something a waiting one wants, sorted.
    pub(super) fn left_in_the_way_of(&self, job: &JobId, demand: &Demand) -> Vec<JobId> {
        let in_tree = |tree: &Option<usize>| tree.is_some() && *tree == demand.tree;
        let left = self.left.iter();
        let mut here: Vec<JobId> = left
            .filter(|(_, tree)| in_tree(tree))
            .map(|(job, _)| job.clone())
            .collect();
        let holders = self.leases.holders(job, &demand.scope);
        here.extend(
            holders
                .filter(|other| self.left.contains_key(*other))
                .cloned(),
        );
        here.sort();
        here
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

    /// Whether no slot is left of a resource.
    pub(super) fn is_full(&self, resource: usize, demand: &Demand, reserved: &Reserved) -> bool {
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

    /// What keeps a job from starting, if anything does.
    pub(super) fn lack(&self, job: &JobId, demand: &Demand, reserved: &Reserved) -> Option<Lack> {
        // First, for it says most.
        if !self.before_its_turn(job, demand).is_empty() {
            return Some(Lack::Turn);
        }
        let mut resources = demand.resources();
        let full = resources.find(|resource| self.is_full(*resource, demand, reserved));
        full.map(Lack::Slot).or_else(|| {
            let taken = !self.in_the_way(job, demand, reserved).is_empty();
            taken.then_some(Lack::Lease)
        })
    }

    /// Strict writers that a job waits for.
    fn before_its_turn(&self, job: &JobId, demand: &Demand) -> Vec<JobId> {
        let turn = demand.turn.as_ref();
        turn.map(|turn| self.sequence.in_the_way(job, turn))
            .unwrap_or_default()
    }

    /// Jobs that hold or have reserved folders of another one's scope.
    fn in_the_way(&self, job: &JobId, demand: &Demand, reserved: &Reserved) -> Vec<JobId> {
        if demand.scope.is_empty() || self.leases.holds(job) {
            return Vec::new();
        }
        let holders = self.leases.holders(job, &demand.scope);
        let reservers = reserved
            .scopes
            .iter()
            .filter(|(_, scope)| overlap(scope, &demand.scope))
            .map(|(other, _)| other);
        let mut jobs: Vec<JobId> = holders.chain(reservers).cloned().collect();
        jobs.sort();
        jobs
    }

    /// Keeps for a job that lacks something what else it can get, if it is out of
    /// patience and the first such to wait for that.
    pub(super) fn reserve(
        &self,
        waiting: &Waiting,
        lack: Lack,
        now: UnixMillis,
        reserved: &mut Reserved,
    ) {
        let demand = &waiting.demand;
        let is_first = |reserved: &mut Reserved| match lack {
            Lack::Slot(full) => reserved.waited_for.insert(full),
            Lack::Lease => {
                let mut scopes = reserved.scopes.iter();
                !scopes.any(|(_, scope)| overlap(scope, &demand.scope))
            }
            // Who is before it may need what it would keep.
            Lack::Turn => false,
        };
        if !waiting.out_of_patience(now) || !is_first(reserved) {
            return;
        }
        // Who holds its folders may be in line too, and need a slot to be done with
        // them: a job that lacks folders keeps no slots from others.
        let lacks_folders = !self.in_the_way(&waiting.id, demand, reserved).is_empty();
        let wanted = [demand.tree, Some(demand.owner)].into_iter().flatten();
        for resource in wanted.filter(|_| !lacks_folders) {
            if !demand.is_bound_by_slot(resource) {
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
        if !demand.scope.is_empty() {
            let scope = (waiting.id.clone(), demand.scope.clone());
            reserved.scopes.push(scope);
        }
    }

    /// The lack in words of the caps.
    pub(super) fn blocked_by(&self, lack: Lack, waiting: &Waiting, reserved: &Reserved) -> Blocked {
        let demand = &waiting.demand;
        let full = match lack {
            Lack::Slot(full) => full,
            Lack::Lease => {
                return Blocked::Scope {
                    jobs: self.in_the_way(&waiting.id, demand, reserved),
                };
            }
            Lack::Turn => {
                return Blocked::Conflict {
                    jobs: self.before_its_turn(&waiting.id, demand),
                };
            }
        };
        let cap = self.cap_now(full, demand, reserved);
        match demand.access {
            _ if full == TOTAL => Blocked::Total { cap },
            _ if full == demand.owner => Blocked::Owner { cap },
            Access::Read => Blocked::Readers { cap },
            Access::Write => Blocked::Writers { cap },
        }
    }
}
