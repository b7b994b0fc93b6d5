//! What a job does apart from the tree it was asked to work in: in a working tree of
//! its own, or in a layer over the tree.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use convoke_api::error::ApiError;
use convoke_core::{ids::JobId, job::Job};
use convoke_workspace::{
    checkpoint::{Checkpoint, CheckpointError},
    layer::Layer,
    private_repository::{PrivateRepository, PrivateRepositoryError},
    tree_diff,
};

use crate::{
    apply,
    changes::{of_checkpoint, of_repository},
    checkpoints,
    state::Daemon,
};

/// Where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apart {
    /// In a working tree of the job's own.
    Tree(PathBuf),
    /// In a layer over the tree.
    Layer(Layer),
}

impl Apart {
    /// The folder that holds it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self {
            Self::Tree(top) => top,
            Self::Layer(layer) => &layer.upper,
        }
    }

    /// Whether it is there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.folder().is_dir()
    }

    /// What was made so far of `base`, which the job began with. Blocking.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn state(
        &self,
        daemon: &Daemon,
        repository: &PrivateRepository,
        owner: &JobId,
        base: &Checkpoint,
    ) -> Result<Checkpoint, CheckpointError> {
        match self {
            Self::Tree(top) => {
                let view = repository.view(top, owner.as_str())?;
                checkpoints::take(daemon, &view)
            }
            Self::Layer(layer) => layer.take(
                repository,
                owner.as_str(),
                base,
                &checkpoints::limits(daemon),
            ),
        }
    }
}

/// Those of some paths that changed beneath the layer of a job since it began with
/// `base`; none of other jobs, and once it is decided what becomes of the changes.
/// Blocking.
///
/// # Errors
/// The tree cannot be looked at.
pub fn base_moved(
    daemon: &Daemon,
    repository: &PrivateRepository,
    job: &Job,
    (base, paths): (&Checkpoint, &[String]),
) -> Result<Vec<String>, ApiError> {
    if !job.spec.workspace.is_overlay() || apply::settled(daemon, job).is_some() {
        return Ok(Vec::new());
    }
    let present = checkpoints::take(daemon, repository).map_err(|error| of_checkpoint(&error))?;
    moved(repository, base, &present, paths).map_err(|error| of_repository(&error))
}

/// Those of some paths that are different in two states of a tree.
///
/// # Errors
/// States cannot be compared.
pub fn moved(
    repository: &PrivateRepository,
    base: &Checkpoint,
    present: &Checkpoint,
    paths: &[String],
) -> Result<Vec<String>, PrivateRepositoryError> {
    let beneath = tree_diff::between(repository, &base.tree, &present.tree, false)?;
    let beneath: BTreeSet<String> = beneath.into_iter().map(|change| change.path).collect();
    let paths: BTreeSet<String> = paths.iter().cloned().collect();
    Ok(paths.intersection(&beneath).cloned().collect())
}
