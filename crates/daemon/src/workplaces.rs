//! Where the attempts of a job work: in the caller's tree, or in a working tree of
//! their own. Those lie in the state home, and stay until what was done there is
//! applied or discarded, or the job is forgotten.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use convoke_core::{
    failure::{Failure, FailureCode},
    ids::JobId,
    job::Job,
    scope::Scope,
};
use convoke_workspace::{
    checkpoint::CheckpointError,
    private_repository::{Edge, PrivateRepository, PrivateRepositoryError, io_error},
    worktree,
};

use crate::{checkpoints, clock, error_chain, state::Daemon};

/// Name of the file that says of which tree a working tree is one.
const SOURCE: &str = "source";

/// Name of the file that lists jobs that went on in the working tree, one a line.
const USERS: &str = "jobs";

/// Where a job works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workplace {
    /// Top of the working tree.
    pub top: PathBuf,
    /// The folder in which its agent starts.
    pub folder: PathBuf,
    /// The tree that it was asked to work in.
    tree: PathBuf,
}

impl Workplace {
    /// A path of the tree it was asked to work in, where it works; others stay.
    #[must_use]
    pub fn place_of(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.tree) {
            // An empty rest would add a slash.
            Ok(rest) => self.top.components().chain(rest.components()).collect(),
            Err(_) => path.to_owned(),
        }
    }

    /// A scope, where the job works.
    #[must_use]
    pub fn scope(&self, scope: &Scope) -> Scope {
        let placed = |paths: &[PathBuf]| paths.iter().map(|path| self.place_of(path)).collect();
        Scope {
            write: placed(&scope.write),
            read: placed(&scope.read),
        }
    }
}

/// Where a job works.
#[must_use]
pub fn of(daemon: &Daemon, job: &Job) -> Workplace {
    let spec = &job.spec;
    let top = match spec.workspace.own() {
        None => spec.tree.clone(),
        Some(owner) => own_tree(daemon, owner, &spec.tree),
    };
    let mut place = Workplace {
        folder: PathBuf::new(),
        tree: spec.tree.clone(),
        top,
    };
    place.folder = place.place_of(&spec.working_directory);
    place
}

/// The working tree of a job's own, if it has one and it is there.
#[must_use]
pub fn existing(daemon: &Daemon, job: &Job) -> Option<PathBuf> {
    let owner = job.spec.workspace.own()?;
    let top = own_tree(daemon, owner, &job.spec.tree);
    top.is_dir().then_some(top)
}

fn folder(daemon: &Daemon) -> PathBuf {
    daemon.home.root().join("worktrees")
}

/// It has the name of the tree, which agents may go by.
fn own_tree(daemon: &Daemon, owner: &JobId, tree: &Path) -> PathBuf {
    let name = tree.file_name().unwrap_or("tree".as_ref());
    folder(daemon).join(owner.as_str()).join(name)
}

/// Makes the working tree of a job's own, unless it is there.
///
/// # Errors
/// The failure with which the job ends.
pub async fn prepare(daemon: &Arc<Daemon>, job: &Job) -> Result<(), Failure> {
    if job.spec.workspace.is_shared() {
        return Ok(());
    }
    let _turn = checkpoints::turn(&job.spec.tree).await;
    let making = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || make(&daemon, &job)
    });
    let why = match making.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error_chain(&error),
        Err(error) => error.to_string(),
    };
    let tree = job.spec.tree.display();
    Err(Failure::new(
        FailureCode::Workspace,
        format!("no working tree of its own could be made from {tree}: {why}"),
    ))
}

fn make(daemon: &Daemon, job: &Job) -> Result<(), CheckpointError> {
    let Some(owner) = job.spec.workspace.own() else {
        return Ok(());
    };
    let (tree, place) = (&job.spec.tree, of(daemon, job));
    let repository = checkpoints::open(daemon, tree)?;
    let view = repository.view(&place.top, owner.as_str())?;
    let states = repository.states_of_own_tree(owner.as_str())?;
    match states.last() {
        // Its first state is kept when it is whole.
        Some(_) if place.top.is_dir() => {}
        Some(last) => create(tree, &view, &last.checkpoint)?,
        None => {
            let base = checkpoints::take(daemon, &repository)?;
            create(tree, &view, &base)?;
            crate::test_hooks::reach("worktree_made");
            let now = clock::now().0;
            repository.keep(owner.as_str(), (Edge::Base, 1), now, base)?;
        }
    }
    make_folder(&place.folder)?;
    note_user(daemon, owner, &job.id)?;
    Ok(())
}

/// Makes a folder unless a link on the way leads elsewhere: what the agent may write
/// is checked before it starts.
fn make_folder(folder: &Path) -> Result<(), PrivateRepositoryError> {
    let existing = folder.ancestors().find(|above| above.is_dir());
    let leads_elsewhere = existing.is_some_and(|existing| {
        fs_err::canonicalize(existing).map_or(true, |real| real != existing)
    });
    if leads_elsewhere {
        let error = std::io::Error::other("a link stands on the way");
        return Err(io_error("create", folder)(error));
    }
    fs_err::create_dir_all(folder).map_err(io_error("create", folder))
}

/// Notes that a job works in the working tree that was made for another one.
fn note_user(daemon: &Daemon, owner: &JobId, job: &JobId) -> Result<(), PrivateRepositoryError> {
    if owner == job {
        return Ok(());
    }
    let path = folder(daemon).join(owner.as_str()).join(USERS);
    let mut users = fs_err::read_to_string(&path).unwrap_or_default();
    if users.lines().any(|line| line == job.as_str()) {
        return Ok(());
    }
    users.push_str(&format!("{job}\n"));
    fs_err::write(&path, users).map_err(io_error("write", &path))
}

/// Whether a job works in a working tree of its own with changes of which nobody has
/// decided yet. What cannot be read counts as such. Blocking.
#[must_use]
pub fn is_undecided(daemon: &Daemon, job: &JobId) -> bool {
    let spec = daemon.job(job).ok().flatten().map(|job| job.spec);
    let Some(owner) = spec.as_ref().and_then(|spec| spec.workspace.own()) else {
        return false;
    };
    let source = fs_err::read_to_string(folder(daemon).join(owner.as_str()).join(SOURCE));
    let Ok(source) = source.map(PathBuf::from) else {
        return false;
    };
    let states = checkpoints::open(daemon, &source)
        .and_then(|repository| repository.states_of_own_tree(owner.as_str()));
    match states {
        Ok(states) => match (states.first(), states.last()) {
            (Some(base), Some(last)) => base.checkpoint != last.checkpoint,
            _ => false,
        },
        // Without the tree there is nothing to apply it to.
        Err(_) => source.is_dir(),
    }
}

/// A job that is known and works, or worked, in the working tree of this one.
#[must_use]
pub fn user_of(daemon: &Daemon, owner: &JobId) -> Option<JobId> {
    let path = folder(daemon).join(owner.as_str()).join(USERS);
    let users = fs_err::read_to_string(path).ok()?;
    let mut users = users.lines().filter_map(JobId::parse);
    users.find(|user| checkpoints::is_known(daemon, user))
}

fn create(
    tree: &Path,
    view: &PrivateRepository,
    state: &convoke_workspace::checkpoint::Checkpoint,
) -> Result<(), PrivateRepositoryError> {
    worktree::create(tree, view, state)?;
    if let Some(above) = view.top().parent() {
        let note = above.join(SOURCE);
        fs_err::write(&note, tree.as_os_str().as_encoded_bytes())
            .map_err(io_error("write", &note))?;
    }
    Ok(())
}

/// Removes the working tree of a job's own; what was kept of it stays. Blocking.
///
/// # Errors
/// Something of it cannot be removed.
pub fn remove(daemon: &Daemon, job: &Job) -> Result<(), PrivateRepositoryError> {
    let Some(owner) = job.spec.workspace.own() else {
        return Ok(());
    };
    checkpoints::open(daemon, &job.spec.tree)?.drop_view(owner.as_str());
    remove_from(
        &job.spec.tree,
        &folder(daemon).join(owner.as_str()),
        &of(daemon, job).top,
    )
}

fn remove_from(tree: &Path, folder: &Path, top: &Path) -> Result<(), PrivateRepositoryError> {
    worktree::remove(tree, top)?;
    match fs_err::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_error("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

/// The jobs with a working tree of their own that was made from `tree`, and where
/// that lies. Blocking.
#[must_use]
pub fn made_from(daemon: &Daemon, tree: &Path) -> Vec<(JobId, PathBuf)> {
    let Ok(entries) = fs_err::read_dir(folder(daemon)) else {
        return Vec::new();
    };
    let own = entries.flatten().filter_map(|entry| {
        let owner = entry.file_name().to_str().and_then(JobId::parse)?;
        let source = fs_err::read(entry.path().join(SOURCE)).ok()?;
        let top = own_tree(daemon, &owner, tree);
        (source == tree.as_os_str().as_encoded_bytes() && top.is_dir()).then_some((owner, top))
    });
    own.collect()
}

/// Removes the working trees of jobs that are forgotten. Blocking.
pub fn forget(daemon: &Daemon) {
    let Ok(entries) = fs_err::read_dir(folder(daemon)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(JobId::parse);
        if owner.is_none_or(|owner| checkpoints::is_known(daemon, &owner)) {
            continue;
        }
        let source = fs_err::read_to_string(entry.path().join(SOURCE)).unwrap_or_default();
        let source = PathBuf::from(source);
        let top = entry
            .path()
            .join(source.file_name().unwrap_or("tree".as_ref()));
        match remove_from(&source, &entry.path(), &top) {
            Ok(()) => {
                tracing::info!(folder = %entry.path().display(), "the working tree of a forgotten job was removed")
            }
            Err(error) => {
                tracing::warn!(error = %error_chain(&error), "the working tree of a forgotten job stays");
            }
        }
    }
}
