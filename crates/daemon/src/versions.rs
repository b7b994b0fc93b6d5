//! The versions that a file went through while jobs wrote in its working tree.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use convoke_api::{
    error::{ApiError, RequestCode},
    versions::{FileVersion, FileVersions, VersionsQuery},
};
use convoke_core::time::UnixMillis;
use convoke_workspace::{
    attribution::Known,
    journal::{Record, Step},
    private_repository::{KeptState, PrivateRepository},
};

use crate::{
    changes::{self, of_checkpoint, of_repository},
    checkpoints, spans,
    state::Daemon,
    told,
};

/// Most states that are looked through, the latest ones.
const MOST_STATES: usize = 1_000;

/// The versions of a file, and the content of one of them if that was asked for.
///
/// # Errors
/// The path cannot be used, nothing is kept of its tree, or there is no such version.
pub async fn of_file(daemon: &Arc<Daemon>, query: VersionsQuery) -> Result<FileVersions, ApiError> {
    let ended =
        |error: tokio::task::JoinError| ApiError::new(RequestCode::Internal, error.to_string());
    let placing = tokio::task::spawn_blocking({
        let (daemon, path) = (Arc::clone(daemon), PathBuf::from(&query.path));
        move || placed(&daemon, &path)
    });
    let (top, path) = placing.await.map_err(ended)??;
    let _turn = checkpoints::turn(&top).await;
    let daemon = Arc::clone(daemon);
    let reading = tokio::task::spawn_blocking(move || read(&daemon, &top, path, &query));
    reading.await.map_err(ended)?
}

/// The working tree of a file of which states are kept, and its path within. The file
/// and folders above it may be gone.
fn placed(daemon: &Daemon, path: &Path) -> Result<(PathBuf, String), ApiError> {
    if !path.is_absolute() {
        return Err(ApiError::invalid("`path` must be absolute"));
    }
    let shown = path.display();
    let there = path.ancestors().skip(1).find(|folder| folder.is_dir());
    let folder = there.and_then(|folder| Some((folder, fs_err::canonicalize(folder).ok()?)));
    let (there, folder) =
        folder.ok_or_else(|| ApiError::invalid(format!("{shown} lies in no folder")))?;
    // A submodule, or a folder of a tree without git, is kept with the tree around it.
    let trees = checkpoints::folder(daemon);
    let kept = folder
        .ancestors()
        .find(|folder| PrivateRepository::exists(&trees, folder));
    let full = match path.strip_prefix(there) {
        Ok(rest) => folder.join(rest),
        Err(_) => folder.clone(),
    };
    let Some(top) = kept else {
        return Err(ApiError::new(
            RequestCode::CheckpointMissing,
            format!("nothing is kept of {shown}, nor of a folder above it"),
        )
        .with_hint("versions are kept while jobs write in a working tree"));
    };
    let within = full.strip_prefix(top).unwrap_or(&full);
    Ok((top.to_owned(), within.to_string_lossy().into_owned()))
}

fn read(
    daemon: &Daemon,
    top: &Path,
    path: String,
    query: &VersionsQuery,
) -> Result<FileVersions, ApiError> {
    let failed = |error| of_repository(&error);
    let repository = checkpoints::open(daemon, top).map_err(failed)?;
    let states = repository.states().map_err(failed)?;
    let (early, states) = states.split_at(states.len().saturating_sub(MOST_STATES));
    let mut versions = Vec::new();
    if let Some(first) = states.first() {
        let before = first.checkpoint.file(&repository, &path).map_err(failed)?;
        versions.extend(before.map(|object| FileVersion {
            version_id: Some(object),
            at: None,
            job_ids: Vec::new(),
            passed: 0,
        }));
        versions.extend(steps(daemon, &repository, (early, states), &path)?);
    }
    let record = Record::read(&repository).map_err(failed)?;
    let content_base64 = match &query.version_id {
        Some(id)
            if versions
                .iter()
                .any(|one| one.version_id.as_ref() == Some(id)) =>
        {
            let content = repository.content(id).map_err(failed)?;
            Some(STANDARD.encode(content.ok_or_else(|| no_version(&path, id))?))
        }
        Some(id) => return Err(no_version(&path, id)),
        None => None,
    };
    Ok(FileVersions {
        top: top.display().to_string(),
        path,
        versions,
        gaps: record.gaps(states).into_iter().map(changes::gap).collect(),
        content_base64,
    })
}

fn no_version(path: &str, id: &str) -> ApiError {
    ApiError::new(
        RequestCode::CheckpointMissing,
        format!("no version `{id}` of {path} is kept"),
    )
    .with_hint("`convoke versions FILE` lists those that are")
}

fn steps(
    daemon: &Daemon,
    repository: &PrivateRepository,
    (early, states): (&[KeptState], &[KeptState]),
    path: &str,
) -> Result<Vec<FileVersion>, ApiError> {
    let end = checkpoints::take(daemon, repository).map_err(|error| of_checkpoint(&error))?;
    let writing = spans::writing_at(early);
    let spans = spans::between(repository, (early.len(), states), &writing, &end)
        .map_err(|error| of_repository(&error))?;
    let mut known = Known {
        top: repository.top().to_owned(),
        ..Known::default()
    };
    let mut asked = BTreeSet::new();
    let mut versions = Vec::new();
    for span in spans.into_iter().map(|between| between.span) {
        let Some(steps) = span.changed.get(path) else {
            continue;
        };
        for writer in &span.writers {
            if asked.insert(writer.clone()) {
                told::note(daemon, writer, &mut known);
            }
        }
        for step in steps {
            let whose = known.whose(&span, path, step).writers;
            versions.push(version(step, whose));
        }
    }
    Ok(versions)
}

fn version(step: &Step, whose: BTreeSet<String>) -> FileVersion {
    FileVersion {
        version_id: step.after.as_ref().map(|side| side.object.clone()),
        at: step.when.map(|(_, at)| UnixMillis(at).to_rfc3339()),
        job_ids: whose.into_iter().collect(),
        passed: step.passed,
    }
}
