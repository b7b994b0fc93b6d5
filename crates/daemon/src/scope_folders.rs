//! Folders that a job may write and that do not exist yet: a sandbox can let an
//! agent write in folders only that are there when it starts.

use std::{
    io,
    path::{Path, PathBuf},
};

use convoke_core::{ids::JobId, job::Job};
use serde_json::json;

use crate::{error_chain, state::Daemon, workplaces};

/// Name of the observation in the store: the folders that were made for a job,
/// outermost first.
const MADE: &str = "scope_folders";

/// Makes those that are missing, and remembers which.
///
/// # Errors
/// One cannot be made; the path says which.
pub async fn make(daemon: &Daemon, job: &Job) -> Result<(), (PathBuf, io::Error)> {
    let place = workplaces::of(daemon, job);
    let scope = job.spec.scope.as_ref().map(|scope| place.scope(scope));
    let mut missing: Vec<PathBuf> = Vec::new();
    let layer = workplaces::layer(daemon, job);
    for folder in scope.iter().flat_map(|scope| &scope.write) {
        if let Some(layer) = layer
            .as_ref()
            .filter(|layer| folder.starts_with(&layer.tree))
        {
            let fresh = layer.missing(folder);
            missing.extend(fresh.map_err(|error| (folder.clone(), error))?);
            continue;
        }
        let above = folder.ancestors().take_while(|folder| !folder.exists());
        missing.extend(above.map(Path::to_owned));
    }
    missing.sort();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    // Remembered first: what was not made after all is not removed either.
    let mut known = made(daemon, &job.id);
    known.extend(missing.iter().cloned());
    if let Err(error) = daemon
        .store
        .record_observation(&job.id, MADE, json!(known))
        .await
    {
        tracing::warn!(job = %job.id, error = %error_chain(&error), "folders made for the job stay after it");
    }
    for folder in missing {
        let in_layer = layer
            .as_ref()
            .filter(|layer| folder.starts_with(&layer.upper));
        let made = match in_layer {
            Some(layer) => layer.make_folder(&folder),
            None => fs_err::create_dir(&folder),
        };
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err((folder, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes those that were made for a job and hold nothing.
pub fn remove_empty(daemon: &Daemon, job: &Job) {
    let wanted = job.spec.scope.as_ref().is_some_and(|s| !s.write.is_empty());
    if !wanted {
        return;
    }
    for folder in made(daemon, &job.id).iter().rev() {
        match fs_err::remove_dir(folder) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                ) => {}
            Err(error) => tracing::warn!(job = %job.id, %error, "a folder made for the job stays"),
        }
    }
}

fn made(daemon: &Daemon, job: &JobId) -> Vec<PathBuf> {
    let mut observations = daemon.store.observations(job).unwrap_or_default();
    let made = observations.remove(MADE);
    made.and_then(|value| serde_json::from_value(value).ok())
        .unwrap_or_default()
}
