//! The rules about who goes first: nothing idle, nobody passed without need,
//! nobody starved.

use convoke_core::{
    scheduler::{Caps, PATIENCE_MS},
    time::UnixMillis,
};

use crate::oracle::{Facts, Oracle, Used, rule};

/// The first in line, out of patience, and what it still waits to be released.
#[derive(Clone, Debug)]
pub struct Front {
    job: usize,
    caps: Caps,
    total: i64,
    room: i64,
    owner: i64,
    scope: i64,
    lacks_scope: bool,
}

/// What a job gave back.
#[derive(Clone, Copy, Debug)]
pub struct Released {
    /// The job.
    pub job: usize,
    /// Whether the slots of its attempt, in the daemon and of its owner.
    pub attempt: bool,
    /// Whether its place in the tree.
    pub room: bool,
    /// Whether its scope.
    pub lease: bool,
}

impl Front {
    fn new(job: usize, all: &[Facts], used: &Used, caps: &Caps) -> Self {
        let facts = &all[job];
        let missing = |used: u32, cap: u32| (i64::from(used) - i64::from(cap) + 1).max(0);
        let owner = facts
            .owner_cap
            .map_or(0, |cap| missing(used.owners[facts.owner], cap));
        let scope = if used.leases.contains(&job) {
            0
        } else {
            let holders = used.leases.iter();
            let holders = holders.filter(|other| all[**other].clashes(facts));
            i64::try_from(holders.count()).unwrap_or(i64::MAX)
        };
        Self {
            job,
            caps: *caps,
            total: missing(used.total, caps.total),
            room: facts
                .room()
                .map_or(0, |room| missing(used.rooms[room], facts.room_cap(caps))),
            owner,
            scope,
            lacks_scope: scope > 0,
        }
    }
}

impl Oracle {
    /// Judges what was started, and what was not, in one decision.
    pub fn judge_fairness(
        &mut self,
        now: UnixMillis,
        caps: &Caps,
        started: &[usize],
        released: &[Released],
    ) -> Result<(), String> {
        let mut waiting: Vec<usize> = (0..self.facts.len())
            .filter(|job| self.ready(*job, now))
            .collect();
        waiting.sort_by_key(|job| self.place(*job));
        self.nothing_idle(now, caps, &waiting)?;
        self.nobody_passed_without_need(now, caps, &waiting, started)?;
        self.the_first_is_not_robbed(now, caps, &waiting, started)?;
        self.the_first_is_not_starved(now, caps, &waiting, started, released)?;
        for job in waiting {
            let passed = started
                .iter()
                .any(|other| self.place(*other) > self.place(job));
            if passed {
                self.status[job].passed_since.get_or_insert(now.0);
            }
        }
        Ok(())
    }

    fn out_of_patience(&self, job: usize, now: UnixMillis) -> bool {
        self.status[job]
            .passed_since
            .is_some_and(|since| now.0 - since >= PATIENCE_MS)
    }

    /// If every resource a ready job wants has room, it must have started,
    /// unless the room is kept for an earlier one that is out of patience.
    fn nothing_idle(&self, now: UnixMillis, caps: &Caps, waiting: &[usize]) -> Result<(), String> {
        for (index, job) in waiting.iter().enumerate() {
            let facts = &self.facts[*job];
            let caps = &self.caps_in(facts.tree, caps);
            if !self.used.fits(facts, caps) || !self.may_write(&self.used, *job) {
                continue;
            }
            let keepers: Vec<&Facts> = waiting[..index]
                .iter()
                .filter(|other| self.out_of_patience(**other, now))
                .map(|other| &self.facts[*other])
                .collect();
            let in_room = keepers
                .iter()
                .filter(|keeper| keeper.room() == facts.room())
                .count();
            let room_kept = in_room > 0
                && facts.room().is_some_and(|room| {
                    self.used.rooms[room] as usize + in_room >= facts.room_cap(caps) as usize
                });
            let scope_kept = keepers.iter().any(|keeper| keeper.clashes(facts));
            let caps_of_owner: Vec<u32> = keepers
                .iter()
                .filter(|keeper| keeper.owner == facts.owner)
                .filter_map(|keeper| keeper.owner_cap)
                .collect();
            let owner_kept = caps_of_owner.iter().min().is_some_and(|cap| {
                let cap = facts.owner_cap.map_or(*cap, |own| own.min(*cap));
                self.used.owners[facts.owner] as usize + caps_of_owner.len() >= cap as usize
            });
            rule!(
                room_kept || owner_kept || scope_kept,
                "job {job} could start and does not: {:?}, {caps:?}, {facts:?}",
                self.used
            );
        }
        Ok(())
    }

    /// A job that started must not have taken what an earlier ready one lacks.
    fn nobody_passed_without_need(
        &self,
        now: UnixMillis,
        caps: &Caps,
        waiting: &[usize],
        started: &[usize],
    ) -> Result<(), String> {
        for (index, job) in waiting.iter().enumerate() {
            let facts = &self.facts[*job];
            let caps = &self.caps_in(facts.tree, caps);
            let kept_out = waiting[..index].iter().any(|other| {
                let keeper = &self.facts[*other];
                self.out_of_patience(*other, now)
                    && (keeper.room() == facts.room()
                        || keeper.owner == facts.owner
                        || keeper.clashes(facts))
            });
            if kept_out {
                continue;
            }
            for other in started
                .iter()
                .filter(|other| self.place(**other) > self.place(*job))
            {
                let mut without = self.used.clone();
                without.give(&self.facts[*other]);
                without.strict.remove(other);
                if !self.status[*other].returned {
                    without.leases.remove(other);
                }
                rule!(
                    !without.fits(facts, caps) || !self.may_write(&without, *job),
                    "job {other} started instead of job {job}, which was earlier"
                );
            }
        }
        Ok(())
    }

    /// What the first in line wants and can have stays for it once it is out of
    /// patience.
    fn the_first_is_not_robbed(
        &self,
        now: UnixMillis,
        caps: &Caps,
        waiting: &[usize],
        started: &[usize],
    ) -> Result<(), String> {
        let Some(first) = waiting
            .first()
            .filter(|first| self.out_of_patience(**first, now))
        else {
            return Ok(());
        };
        let facts = &self.facts[*first];
        let caps = &self.caps_in(facts.tree, caps);
        for other in started
            .iter()
            .filter(|other| self.place(**other) > self.place(*first))
        {
            let taker = &self.facts[*other];
            let room = taker.room() != facts.room()
                || facts
                    .room()
                    .is_none_or(|room| self.used.rooms[room] < facts.room_cap(caps));
            let scope = self.used.leases.contains(first)
                || self.status[*other].returned
                || !taker.clashes(facts)
                // Who is not to start yet keeps nothing.
                || !self.has_turn(&self.used, *first);
            let owner = taker.owner != facts.owner
                || facts
                    .owner_cap
                    .is_none_or(|cap| self.used.owners[facts.owner] < cap);
            // It keeps no slots from those who may hold its scope.
            let slots = (room && owner) || !self.may_write(&self.used, *first);
            rule!(
                slots && scope,
                "job {other} took what job {first} has waited for too long"
            );
        }
        Ok(())
    }

    /// Once everything the first in line lacked was released as often as it
    /// lacked it, it must have started.
    fn the_first_is_not_starved(
        &mut self,
        now: UnixMillis,
        caps: &Caps,
        waiting: &[usize],
        started: &[usize],
        released: &[Released],
    ) -> Result<(), String> {
        let first = waiting
            .first()
            .copied()
            .filter(|first| self.out_of_patience(*first, now));
        // Who is not to start yet keeps nothing.
        let first = first.filter(|first| self.has_turn(&self.used, *first));
        let Some(first) = first else {
            self.front = None;
            return Ok(());
        };
        let facts = &self.facts[first];
        let caps = &self.caps_in(facts.tree, caps);
        let overtaken = started
            .iter()
            .any(|other| self.place(*other) < self.place(first));
        let known = self
            .front
            .take()
            .filter(|front| front.job == first && front.caps == *caps && !overtaken);
        // A place in the tree that comes free alone comes without a slot of the
        // daemon; those that came free before went to others, rightly.
        let alone = released.iter().any(|one| !one.attempt);
        let known = known.filter(|_| !alone);
        let Some(mut front) = known else {
            self.front = Some(Front::new(first, &self.facts, &self.used, caps));
            return Ok(());
        };
        for one in released {
            let other = &self.facts[one.job];
            front.total -= i64::from(one.attempt);
            front.room -= i64::from(one.room && other.room() == facts.room());
            front.owner -= i64::from(one.attempt && other.owner == facts.owner);
            front.scope -= i64::from(one.lease && other.clashes(facts));
        }
        if front.lacks_scope {
            let has_it = self.may_write(&self.used, first);
            rule!(
                has_it || front.scope > 0,
                "job {first} starves for its scope: {front:?}, {:?}",
                self.used
            );
            // Only now it keeps slots for itself.
            let fresh = || Front::new(first, &self.facts, &self.used, caps);
            self.front = Some(if has_it { fresh() } else { front });
            return Ok(());
        }
        let missing = [front.total, front.room, front.owner];
        let starved = missing.iter().all(|missing| *missing <= 0);
        rule!(!starved, "job {first} starves: {front:?}, {:?}", self.used);
        self.front = Some(front);
        Ok(())
    }
}
