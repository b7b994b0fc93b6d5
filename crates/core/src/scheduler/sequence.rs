//! Strict writers that run again: one after the other, in the order in which they
//! were accepted, and beside no other strict writer of their tree.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
};

use crate::{ids::JobId, job::Job};

/// What a strict writer wants of its tree.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    tree: PathBuf,
    /// Its place among those that run again; none if it does not.
    again: Option<u64>,
}

impl Turn {
    /// What a job wants; none if it is no strict writer.
    pub(super) fn of(job: &Job) -> Option<Self> {
        job.spec.is_strict().then(|| Self {
            tree: job.spec.tree.clone(),
            again: (job.reruns() > 0).then_some(job.accepted_seq),
        })
    }

    /// Whether it is one of the same tree.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.tree == other.tree
    }
}

/// The strict writers of each tree.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    trees: HashMap<PathBuf, Writers>,
}

#[derive(Debug, Default)]
struct Writers {
    /// Those with a live attempt.
    live: BTreeSet<JobId>,
    /// Those that run again, from the moment in which that is decided until they
    /// are over.
    again: BTreeMap<u64, JobId>,
}

impl Sequence {
    /// Notes a job in line.
    pub(super) fn stands(&mut self, job: &JobId, turn: &Turn) {
        if let Some(place) = turn.again {
            let writers = self.trees.entry(turn.tree.clone()).or_default();
            writers.again.insert(place, job.clone());
        }
    }

    /// Notes an attempt that starts.
    pub(super) fn starts(&mut self, job: &JobId, turn: &Turn) {
        self.stands(job, turn);
        let writers = self.trees.entry(turn.tree.clone()).or_default();
        writers.live.insert(job.clone());
    }

    /// Notes that the attempt of a job is over.
    pub(super) fn pauses(&mut self, job: &JobId) {
        self.forget(job, false);
    }

    /// Notes that a job is over.
    pub(super) fn ends(&mut self, job: &JobId) {
        self.forget(job, true);
    }

    fn forget(&mut self, job: &JobId, is_over: bool) {
        self.trees.retain(|_, writers| {
            writers.live.remove(job);
            if is_over {
                writers.again.retain(|_, other| other != job);
            }
            !writers.live.is_empty() || !writers.again.is_empty()
        });
    }

    /// Whom a job waits for, sorted.
    pub(super) fn in_the_way(&self, job: &JobId, turn: &Turn) -> Vec<JobId> {
        let Some(writers) = self.trees.get(&turn.tree) else {
            return Vec::new();
        };
        let mut jobs: BTreeSet<&JobId> = match turn.again {
            Some(place) => writers
                .again
                .range(..place)
                .map(|(_, other)| other)
                .collect(),
            None => writers.again.values().collect(),
        };
        if turn.again.is_some() {
            jobs.extend(&writers.live);
        }
        jobs.into_iter()
            .filter(|other| *other != job)
            .cloned()
            .collect()
    }
}
