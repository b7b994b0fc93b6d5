//! Scopes as leases: of two jobs that hold one, neither may write where the other
//! does.

use std::{collections::HashMap, path::PathBuf};

use crate::{ids::JobId, scope::overlap};

/// Who holds which folders. A job holds its own from its first attempt until it is
/// over and nothing of it is left, also while it waits for another attempt.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: HashMap<JobId, Vec<PathBuf>>,
}

impl Leases {
    /// Gives a job its folders, if it asks for any.
    pub(super) fn take(&mut self, job: &JobId, scope: &[PathBuf]) {
        if !scope.is_empty() {
            self.held.insert(job.clone(), scope.to_vec());
        }
    }

    /// Takes them back.
    pub(super) fn give_back(&mut self, job: &JobId) {
        self.held.remove(job);
    }

    /// Whether a job has its folders.
    pub(super) fn holds(&self, job: &JobId) -> bool {
        self.held.contains_key(job)
    }

    /// Other jobs that hold some of these folders.
    pub(super) fn holders<'a>(
        &'a self,
        job: &'a JobId,
        scope: &'a [PathBuf],
    ) -> impl Iterator<Item = &'a JobId> {
        self.held
            .iter()
            .filter(move |(other, held)| *other != job && overlap(held, scope))
            .map(|(other, _)| other)
    }
}
