//! Where the attempts of a job work: in the caller's tree, in a working tree of
//! their own, or in a layer over the caller's tree. Working trees and layers lie in
//! the state home, and stay until what was done there is applied or discarded, or the
//! job is forgotten.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use convoke_core::{
    failure::{Failure, FailureCode},
    ids::JobId,
    job::Job,
    scope::Scope,
    spec::Workspace,
};
use convoke_workspace::{
    checkpoint::CheckpointError,
    layer::{self, Layer},
    private_repository::{Edge, PrivateRepository, PrivateRepositoryError, io_error},
    worktree,
};

use crate::{apart::Apart, checkpoints, clock, error_chain, state::Daemon};

/// Names of the folders of the state home with working trees and with layers, which
/// have one folder for each job.
const WORKTREES: &str = "worktrees";
const OVERLAYS: &str = "overlays";

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
    let top = match &spec.workspace {
        // A layer lies over the tree itself.
        Workspace::Shared | Workspace::Overlay { .. } => spec.tree.clone(),
        Workspace::Worktree { of } => own_tree(daemon, of, &spec.tree),
    };
    let mut place = Workplace {
        folder: PathBuf::new(),
        tree: spec.tree.clone(),
        top,
    };
    place.folder = place.place_of(&spec.working_directory);
    place
}

/// What a job does apart from the tree, if it is there.
#[must_use]
pub fn existing(daemon: &Daemon, job: &Job) -> Option<Apart> {
    apart(daemon, job).filter(Apart::is_there)
}

/// Where what a job does apart from the tree lies, if it does.
#[must_use]
pub fn apart(daemon: &Daemon, job: &Job) -> Option<Apart> {
    let tree = &job.spec.tree;
    match &job.spec.workspace {
        Workspace::Shared => None,
        Workspace::Worktree { of } => Some(Apart::Tree(own_tree(daemon, of, tree))),
        Workspace::Overlay { of } => Some(Apart::Layer(layer_of(daemon, of, tree))),
    }
}

/// The layer a job works in, if it does.
#[must_use]
pub fn layer(daemon: &Daemon, job: &Job) -> Option<Layer> {
    match apart(daemon, job)? {
        Apart::Layer(layer) => Some(layer),
        Apart::Tree(_) => None,
    }
}

/// The folder of a kind that belongs to a job.
fn folder_of(daemon: &Daemon, kind: &str, owner: &JobId) -> PathBuf {
    daemon.home.root().join(kind).join(owner.as_str())
}

/// Every folder that may belong to a job.
fn folders_of(daemon: &Daemon, owner: &JobId) -> [PathBuf; 2] {
    [WORKTREES, OVERLAYS].map(|kind| folder_of(daemon, kind, owner))
}

/// The folder of what a job does apart, if it does.
fn own_folder(daemon: &Daemon, job: &Job) -> Option<PathBuf> {
    match &job.spec.workspace {
        Workspace::Shared => None,
        Workspace::Worktree { of } => Some(folder_of(daemon, WORKTREES, of)),
        Workspace::Overlay { of } => Some(folder_of(daemon, OVERLAYS, of)),
    }
}

/// It has the name of the tree, which agents may go by.
fn own_tree(daemon: &Daemon, owner: &JobId, tree: &Path) -> PathBuf {
    let name = tree.file_name().unwrap_or("tree".as_ref());
    folder_of(daemon, WORKTREES, owner).join(name)
}

fn layer_of(daemon: &Daemon, owner: &JobId, tree: &Path) -> Layer {
    Layer {
        tree: tree.to_owned(),
        upper: folder_of(daemon, OVERLAYS, owner).join("upper"),
    }
}

/// The folder beside a layer that the file system itself needs.
#[must_use]
pub fn work_folder(layer: &Layer) -> PathBuf {
    layer.upper.with_file_name("work")
}

/// Where it is tried out whether layers are possible.
#[must_use]
pub fn trials(daemon: &Daemon) -> PathBuf {
    daemon.home.root().join(OVERLAYS).join("trials")
}

/// Makes the working tree or the layer of a job's own, unless it is there.
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
    let what = match job.spec.workspace {
        Workspace::Overlay { .. } => "no layer of its own could be made over",
        _ => "no working tree of its own could be made from",
    };
    Err(Failure::new(
        FailureCode::Workspace,
        format!("{what} {tree}: {why}"),
    ))
}

fn make(daemon: &Daemon, job: &Job) -> Result<(), CheckpointError> {
    let Some(owner) = job.spec.workspace.own() else {
        return Ok(());
    };
    let (tree, place) = (&job.spec.tree, of(daemon, job));
    let repository = checkpoints::open(daemon, tree)?;
    if let Some(layer) = layer(daemon, job) {
        make_layer(daemon, &repository, owner, &layer)?;
        return Ok(note_user(daemon, job, owner)?);
    }
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
    note_user(daemon, job, owner)?;
    Ok(())
}

/// Makes an empty layer, and keeps the state of the tree beneath.
fn make_layer(
    daemon: &Daemon,
    repository: &PrivateRepository,
    owner: &JobId,
    layer: &Layer,
) -> Result<(), CheckpointError> {
    let is_there = layer.upper.is_dir();
    let states = repository.states_of_own_tree(owner.as_str())?;
    match states.is_empty() {
        // The state beneath is kept when it is whole.
        false if is_there => {
            let work = work_folder(layer);
            return Ok(Layer::renew_work(&work).map_err(io_error("renew", &work))?);
        }
        false => {
            let gone = std::io::ErrorKind::NotFound.into();
            return Err(io_error("find", &layer.upper)(gone).into());
        }
        true => {}
    }
    let folder = folder_of(daemon, OVERLAYS, owner);
    layer::remove(&folder).map_err(io_error("remove", &folder))?;
    layer
        .make(&work_folder(layer))
        .map_err(io_error("create", &folder))?;
    note_source(&folder, &layer.tree)?;
    let base = checkpoints::take(daemon, repository)?;
    crate::test_hooks::reach("worktree_made");
    let now = clock::now().0;
    repository.keep(owner.as_str(), (Edge::Base, 1), now, base)?;
    Ok(())
}

fn note_source(folder: &Path, tree: &Path) -> Result<(), PrivateRepositoryError> {
    let note = folder.join(SOURCE);
    fs_err::write(&note, tree.as_os_str().as_encoded_bytes()).map_err(io_error("write", &note))
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
fn note_user(daemon: &Daemon, job: &Job, owner: &JobId) -> Result<(), PrivateRepositoryError> {
    let Some(folder) = own_folder(daemon, job).filter(|_| *owner != job.id) else {
        return Ok(());
    };
    let path = folder.join(USERS);
    let mut users = fs_err::read_to_string(&path).unwrap_or_default();
    if users.lines().any(|line| line == job.id.as_str()) {
        return Ok(());
    }
    users.push_str(&format!("{}\n", job.id));
    fs_err::write(&path, users).map_err(io_error("write", &path))
}

/// Whether a job works in a working tree of its own with changes of which nobody has
/// decided yet. What cannot be read counts as such. Blocking.
#[must_use]
pub fn is_undecided(daemon: &Daemon, job: &JobId) -> bool {
    let Some(job) = daemon.job(job).ok().flatten() else {
        return false;
    };
    let (Some(owner), Some(folder)) = (job.spec.workspace.own(), own_folder(daemon, &job)) else {
        return false;
    };
    let source = match fs_err::read_to_string(folder.join(SOURCE)) {
        Ok(source) => PathBuf::from(source),
        // It was removed when that was decided.
        Err(error) => return error.kind() != std::io::ErrorKind::NotFound,
    };
    let states = checkpoints::open(daemon, &source)
        .and_then(|repository| repository.states_of_own_tree(owner.as_str()));
    match states {
        Ok(states) => match (states.first(), states.last()) {
            // Without a result nobody knows what it did.
            (Some(_), Some(last)) if last.edge == Edge::Base => checkpoints::are_kept(&job),
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
    let users = folders_of(daemon, owner).map(|folder| {
        let users = fs_err::read_to_string(folder.join(USERS));
        users.unwrap_or_default()
    });
    let mut users = users
        .iter()
        .flat_map(|users| users.lines())
        .filter_map(JobId::parse);
    users.find(|user| checkpoints::is_known(daemon, user))
}

fn create(
    tree: &Path,
    view: &PrivateRepository,
    state: &convoke_workspace::checkpoint::Checkpoint,
) -> Result<(), PrivateRepositoryError> {
    worktree::create(tree, view, state)?;
    match view.top().parent() {
        Some(above) => note_source(above, tree),
        None => Ok(()),
    }
}

/// Removes the working tree or the layer of a job's own; what was kept of it stays.
/// Blocking.
///
/// # Errors
/// Something of it cannot be removed.
pub fn remove(daemon: &Daemon, job: &Job) -> Result<(), PrivateRepositoryError> {
    let (Some(owner), Some(folder)) = (job.spec.workspace.own(), own_folder(daemon, job)) else {
        return Ok(());
    };
    checkpoints::open(daemon, &job.spec.tree)?.drop_view(owner.as_str());
    match job.spec.workspace.is_overlay() {
        true => layer::remove(&folder).map_err(io_error("remove", &folder)),
        false => remove_from(&job.spec.tree, &folder, &of(daemon, job).top),
    }
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

/// The jobs that do something apart from `tree`, and where that lies. Blocking.
#[must_use]
pub fn made_from(daemon: &Daemon, tree: &Path) -> Vec<(JobId, Apart)> {
    let mut made = Vec::new();
    for kind in [WORKTREES, OVERLAYS] {
        for (owner, folder) in folders_of_kind(daemon, kind) {
            let source = fs_err::read(folder.join(SOURCE)).ok();
            if source.as_deref() != Some(tree.as_os_str().as_encoded_bytes()) {
                continue;
            }
            let apart = match kind {
                OVERLAYS => Apart::Layer(layer_of(daemon, &owner, tree)),
                _ => Apart::Tree(own_tree(daemon, &owner, tree)),
            };
            if apart.is_there() {
                made.push((owner, apart));
            }
        }
    }
    made
}

fn folders_of_kind(daemon: &Daemon, kind: &str) -> Vec<(JobId, PathBuf)> {
    let Ok(entries) = fs_err::read_dir(daemon.home.root().join(kind)) else {
        return Vec::new();
    };
    let own = entries.flatten().filter_map(|entry| {
        let owner = entry.file_name().to_str().and_then(JobId::parse)?;
        Some((owner, entry.path()))
    });
    own.collect()
}

/// Removes the working trees and the layers of jobs that are forgotten. Blocking.
pub fn forget(daemon: &Daemon) {
    forget_trials(daemon);
    for kind in [WORKTREES, OVERLAYS] {
        for (owner, folder) in folders_of_kind(daemon, kind) {
            if checkpoints::is_known(daemon, &owner) {
                continue;
            }
            let removed = match kind {
                OVERLAYS => layer::remove(&folder).map_err(io_error("remove", &folder)),
                _ => remove_forgotten(&folder),
            };
            match removed {
                Ok(()) => {
                    tracing::info!(folder = %folder.display(), "the working tree of a forgotten job was removed")
                }
                Err(error) => {
                    tracing::warn!(error = %error_chain(&error), "the working tree of a forgotten job stays");
                }
            }
        }
    }
}

/// Removes what trials of a daemon that died left.
fn forget_trials(daemon: &Daemon) {
    let Ok(entries) = fs_err::read_dir(trials(daemon)) else {
        return;
    };
    let own = format!("{}-", std::process::id());
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&own) {
            continue;
        }
        if let Err(error) = layer::remove(&entry.path()) {
            tracing::warn!(%error, "the folder of a trial stays");
        }
    }
}

fn remove_forgotten(folder: &Path) -> Result<(), PrivateRepositoryError> {
    let source = fs_err::read_to_string(folder.join(SOURCE)).unwrap_or_default();
    let source = PathBuf::from(source);
    let top = folder.join(source.file_name().unwrap_or("tree".as_ref()));
    remove_from(&source, folder, &top)
}
