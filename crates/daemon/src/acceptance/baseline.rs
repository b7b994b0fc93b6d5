//! Whether a strict job finds the clean tree that it expects.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use convoke_api::error::{ApiError, RequestCode};
use convoke_core::{coordination::some, job::Job};
use convoke_workspace::{attribution::Known, repository};

use super::Built;
use crate::{checkpoints, error_chain, observe, spans, state::Daemon, strict, told};

/// What a strict job can be instead, and what makes its tree clean.
const CHOICES: &str = "commit or stash them yourself, or start the job with `coordination: \"dirty\"` \
     (`--coordination dirty`), or with `workspace: \"worktree\"` in a working tree of its own";

/// Refuses strict jobs whose tree holds changes already. Nothing is done about them:
/// they are somebody's.
pub async fn check(daemon: &Arc<Daemon>, built: &mut [Result<Built, ApiError>]) {
    let mut known: HashMap<std::path::PathBuf, Option<ApiError>> = HashMap::new();
    for one in built {
        let Ok(found) = &*one else { continue };
        if !begins_strictly(daemon, found) {
            continue;
        }
        let tree = found.new.spec.tree.clone();
        if !known.contains_key(&tree) {
            let looking = tokio::task::spawn_blocking({
                let (daemon, tree) = (Arc::clone(daemon), tree.clone());
                move || refusal(&daemon, &tree)
            });
            let refused = looking.await.unwrap_or_else(|error| {
                Some(ApiError::new(RequestCode::Internal, error.to_string()))
            });
            known.insert(tree.clone(), refused);
        }
        if let Some(Some(error)) = known.get(&tree) {
            *one = Err(error.clone());
        }
    }
}

/// Whether a clean tree is asked of it: not of who goes on where another job stops,
/// nor of one that was accepted before and is asked for again.
fn begins_strictly(daemon: &Daemon, built: &Built) -> bool {
    let new = &built.new;
    let is_known = || {
        let key = new.idempotency.as_ref();
        key.is_some_and(|key| {
            let known = daemon.store.job_of_key(&new.owner, key);
            known.is_ok_and(|job| job.is_some())
        })
    };
    new.spec.is_strict() && new.spec.parent.is_none() && !is_known()
}

fn refusal(daemon: &Daemon, tree: &Path) -> Option<ApiError> {
    let shown = tree.display();
    if repository::top_level(tree).as_deref() != Some(tree) {
        let message = format!(
            "`coordination` is strict, but {shown} is in no git repository: whether it is clean cannot be told"
        );
        let hint = "run `git init` and commit, or start the job with `coordination: \"dirty\"` (`--coordination dirty`)";
        return Some(ApiError::invalid(message).with_hint(hint));
    }
    if !daemon.last_config().checkpoints {
        let message = "`coordination` is strict, but `workspace.checkpoints` is false: nothing could be taken back";
        let hint = "set `workspace.checkpoints = true` in config.toml, or start the job with `coordination: \"dirty\"`";
        return Some(ApiError::invalid(message).with_hint(hint));
    }
    let status = match observe::now(daemon, tree) {
        Ok(snapshot) => snapshot.status,
        Err(error) => {
            let message = format!(
                "`coordination` is strict, but it cannot be told whether {shown} is clean: {}",
                error_chain(&error)
            );
            return Some(
                ApiError::new(RequestCode::StateUnavailable, message)
                    .with_hint("look whether `git status` works there"),
            );
        }
    };
    let home = daemon.home.root();
    let paths = status.into_iter().map(|entry| entry.path);
    // Our own files may lie in the tree.
    let paths: Vec<String> = paths
        .filter(|path| {
            let path = tree.join(path);
            !path.starts_with(home) && !home.starts_with(&path)
        })
        .collect();
    let paths = match first_live(daemon, tree) {
        Some(first) => others_changes(daemon, &first).unwrap_or(paths),
        None => paths,
    };
    if paths.is_empty() {
        return None;
    }
    let message = format!(
        "`coordination` is strict, but the working tree {shown} is not clean: {} not committed",
        match paths.len() {
            1 => format!("{} is", paths[0]),
            _ => format!("{} are", some(&paths)),
        }
    );
    Some(ApiError::new(RequestCode::TreeDirty, message).with_hint(CHOICES))
}

/// The live strict job that began first in a tree, if the tree was clean then: what it
/// began with is what others begin with, too.
fn first_live(daemon: &Daemon, tree: &Path) -> Option<Job> {
    let mut live: Vec<Job> = {
        let dispatcher = daemon.dispatcher();
        let jobs = dispatcher.jobs();
        jobs.filter(|job| job.spec.is_strict() && job.spec.tree == *tree)
            .filter(|job| job.started_at.is_some())
            .cloned()
            .collect()
    };
    live.sort_by_key(|job| (job.started_at, job.accepted_seq));
    // Of one that has only just been started it is not known yet; it has written
    // nothing.
    let known = live
        .into_iter()
        .find_map(|job| Some((observe::before_of(daemon, &job)?, job)));
    known
        .filter(|(before, _)| before.status.is_empty())
        .map(|(_, job)| job)
}

/// Paths that changed since a job began and that no job can have changed; none if
/// that is not known.
fn others_changes(daemon: &Daemon, job: &Job) -> Option<Vec<String>> {
    let repository = checkpoints::open(daemon, &job.spec.tree).ok()?;
    let states = repository.states().ok()?;
    let first = strict::began(&states, job)?;
    let now = checkpoints::take(daemon, &repository).ok()?;
    let writing = spans::writing_at(&states[..first]);
    let spans = spans::between(&repository, (first, &states[first..]), &writing, &now).ok()?;
    let mut known = Known {
        top: repository.top().to_owned(),
        ..Known::default()
    };
    let writers = spans.iter().flat_map(|one| &one.span.writers);
    for writer in writers.collect::<BTreeSet<_>>() {
        told::note(daemon, writer, &mut known);
    }
    let mut paths = BTreeSet::new();
    for span in spans.iter().map(|one| &one.span) {
        for (path, steps) in &span.changed {
            let of_nobody = |step| known.whose(span, path, step).writers.is_empty();
            if steps.iter().any(of_nobody) {
                paths.insert(path.clone());
            }
        }
    }
    Some(paths.into_iter().collect())
}
