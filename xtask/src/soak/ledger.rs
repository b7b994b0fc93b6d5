//! What was asked for and what was answered, and what went wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use super::plan::Job;

/// One key and the answers to it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What was asked for.
    pub job: Job,
    /// The jobs that were named in answers: one, if all is well.
    pub ids: BTreeSet<String>,
}

/// Something that must not be.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Key and label of the job, if it is about one.
    pub key: Option<String>,
    /// The job, as far as known.
    pub job: Option<String>,
    /// What its agent is like.
    pub temper: Option<&'static str>,
    /// What is wrong.
    pub what: String,
}

/// What all threads write down.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<BTreeMap<u64, Entry>>,
    cancelled: Mutex<BTreeSet<String>>,
    failures: Mutex<Vec<Failure>>,
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Ledger {
    /// A job is about to be asked for.
    pub fn asked(&self, job: &Job) {
        let entry = Entry {
            job: job.clone(),
            ids: BTreeSet::new(),
        };
        lock(&self.entries).insert(job.index, entry);
    }

    /// A request was answered with a job.
    pub fn answered(&self, index: u64, id: &str) {
        if let Some(entry) = lock(&self.entries).get_mut(&index) {
            entry.ids.insert(id.to_owned());
        }
    }

    /// A job is about to be cancelled.
    pub fn cancelled(&self, id: &str) {
        lock(&self.cancelled).insert(id.to_owned());
    }

    /// Whether a job was.
    pub fn was_cancelled(&self, id: &str) -> bool {
        lock(&self.cancelled).contains(id)
    }

    /// Everything asked for so far.
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.entries).values().cloned().collect()
    }

    /// Everything asked for so far, by its key.
    pub fn by_key(&self) -> BTreeMap<String, Entry> {
        let entries = lock(&self.entries);
        let by_key = entries
            .values()
            .map(|entry| (entry.job.key.clone(), entry.clone()));
        by_key.collect()
    }

    /// Ids of the last few accepted jobs.
    pub fn recent(&self, count: usize) -> Vec<String> {
        let entries = lock(&self.entries);
        let accepted = entries.values().rev().filter_map(|entry| entry.ids.first());
        accepted.take(count).cloned().collect()
    }

    /// Numbers of jobs asked for and accepted.
    pub fn totals(&self) -> (usize, usize) {
        let entries = lock(&self.entries);
        let accepted = entries.values().filter(|entry| !entry.ids.is_empty());
        (entries.len(), accepted.count())
    }

    /// Something about a job is wrong.
    pub fn fail(&self, job: &Job, id: Option<&str>, what: impl Into<String>) {
        lock(&self.failures).push(Failure {
            key: Some(job.key.clone()),
            job: id.map(str::to_owned),
            temper: Some(job.temper.name()),
            what: what.into(),
        });
    }

    /// Something else is wrong.
    pub fn fail_at_large(&self, what: impl Into<String>) {
        lock(&self.failures).push(Failure {
            key: None,
            job: None,
            temper: None,
            what: what.into(),
        });
    }

    /// All that went wrong.
    pub fn failures(&self) -> Vec<Failure> {
        lock(&self.failures).clone()
    }

    /// Something that is worth counting happened.
    pub fn count(&self, what: &str) {
        *lock(&self.counts).entry(what.to_owned()).or_default() += 1;
    }

    /// How often what happened, of all whose name begins with `prefix`, by the
    /// rest of the name.
    pub fn counts(&self, prefix: &str) -> BTreeMap<String, u64> {
        lock(&self.counts)
            .iter()
            .filter_map(|(what, count)| Some((what.strip_prefix(prefix)?.to_owned(), *count)))
            .collect()
    }
}

/// A thread that panicked spoils no list: each is changed in one step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
