//! Whether a layer can be laid over a tree. It is tried before a job is accepted, in a
//! process that does what the runner will do: why it cannot be is known in time, and
//! something else can take its place. The runner goes by nothing of this; where its
//! own overlay fails, the agent is not started.

use std::{
    collections::HashMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use convoke_core::runner_protocol::{OVERLAY_ARG, Overlay};
use convoke_workspace::{
    layer::{self, Layer},
    obstacle,
    private_repository::PrivateRepository,
};

use crate::{checkpoints, image, state::Daemon, workplaces};

/// How long a trial may take.
const TRIED_WITHIN: Duration = Duration::from_secs(10);

/// Most trees that are remembered.
const MOST_TREES: usize = 64;

/// How long it counts that no file of others was found, whatever changed in the tree.
const COUNTS_FOR: Duration = Duration::from_secs(60);

/// What is known of a tree over which a layer can be laid.
#[derive(Clone, Debug)]
struct Known {
    /// Device and inode of its top.
    identity: (u64, u64),
    /// The last state that was kept of it when its owners were looked at.
    state: Option<String>,
    /// When they were.
    at: Instant,
}

impl Known {
    /// Whether its owners need not be looked at again.
    fn holds(&self, now: &Self) -> bool {
        let is_same = self.state.is_some() && self.state == now.state;
        is_same || now.at.duration_since(self.at) < COUNTS_FOR
    }
}

static KNOWN: LazyLock<Mutex<HashMap<PathBuf, Known>>> = LazyLock::new(Mutex::default);

/// What keeps a layer from being laid over a tree, if anything does.
pub async fn obstacle(daemon: &Arc<Daemon>, tree: &Path) -> Option<String> {
    if let Some(obstacle) = obstacle::of_tree(tree, daemon.home.root()) {
        return Some(obstacle);
    }
    let now = now(daemon, tree);
    let known = {
        let all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(tree).cloned()
    };
    let known = known.filter(|known| known.identity == now.identity);
    if known.is_none()
        && let Err(reason) = try_out(daemon, tree).await
    {
        return Some(reason);
    }
    if known.is_some_and(|known| known.holds(&now)) {
        return None;
    }
    if let Some(foreign) = look_for_foreign(tree.to_owned()).await {
        return Some(foreign);
    }
    let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= MOST_TREES {
        all.clear();
    }
    all.insert(tree.to_owned(), now);
    None
}

/// Forgets what is known of a tree: a runner could not lay a layer over it.
pub fn forget(tree: &Path) {
    let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    all.remove(tree);
}

fn now(daemon: &Daemon, tree: &Path) -> Known {
    let meta = fs_err::metadata(tree);
    Known {
        identity: meta.map_or((0, 0), |meta| (meta.dev(), meta.ino())),
        state: PrivateRepository::last_tree(&checkpoints::folder(daemon), tree),
        at: Instant::now(),
    }
}

/// Files of others in the tree: what is written first is copied with its owner, which
/// does not exist in the namespace.
async fn look_for_foreign(tree: PathBuf) -> Option<String> {
    let shown = tree.display().to_string();
    let looking = tokio::task::spawn_blocking(move || obstacle::foreign(&tree));
    match looking.await {
        Ok(Ok(None)) => None,
        Ok(Ok(Some(path))) => Some(format!(
            "{} belongs to another user or group than the one that runs jobs, so that it could not be written",
            path.display()
        )),
        Ok(Err(error)) => Some(format!("{shown} cannot be looked through: {error}")),
        Err(error) => Some(format!("{shown} cannot be looked through: {error}")),
    }
}

/// Lays a layer over the tree in a process of its own.
async fn try_out(daemon: &Daemon, tree: &Path) -> Result<(), String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = workplaces::trials(daemon).join(format!("{}-{number}", std::process::id()));
    let layer = Layer {
        tree: tree.to_owned(),
        upper: folder.join("upper"),
    };
    let work = workplaces::work_folder(&layer);
    let tried = match layer.make(&work) {
        Ok(()) => run(daemon, planned(layer, work)).await,
        Err(error) => Err(format!("{} cannot be made: {error}", folder.display())),
    };
    if let Err(error) = layer::remove(&folder) {
        tracing::warn!(folder = %folder.display(), %error, "the folder of a trial stays");
    }
    tried
}

async fn run(daemon: &Daemon, overlay: Overlay) -> Result<(), String> {
    let mut command = tokio::process::Command::new(image::own_image(&daemon.program));
    let planned = serde_json::to_string(&overlay)
        .map_err(|error| format!("it cannot be tried out: {error}"))?;
    command
        .arg0(&daemon.program)
        .arg(OVERLAY_ARG)
        .arg(planned)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(TRIED_WITHIN, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("it cannot be tried out: {error}")),
        Err(_) => return Err(format!("the trial did not end within {TRIED_WITHIN:?}")),
    };
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match reason.is_empty() {
        true => Err(format!("the trial ended with {}", output.status)),
        false => Err(reason),
    }
}

/// What a runner is to lay over the tree.
#[must_use]
pub fn planned(layer: Layer, work: PathBuf) -> Overlay {
    Overlay {
        tree: layer.tree,
        upper: layer.upper,
        work,
        user_attributes: layer::has_user_attributes(),
    }
}
