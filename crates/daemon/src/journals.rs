//! The journals of what changes in working trees while jobs write there. Each runs
//! from the first writer on, and a while longer: the next one need not wait until
//! everything is watched again. Nothing depends on them: without one, less is known
//! of who changed what.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use convoke_core::job::Job;
use convoke_workspace::{
    journal::{ChangeJournal, JournalOptions, Mark},
    private_repository::PrivateRepository,
};
use tokio::time::Instant;

use crate::{checkpoints, clock, state::Daemon};

/// How long a tree is watched when nobody writes there any more.
const LINGERS: Duration = Duration::from_secs(30);

/// The journals, by top of the tree.
#[derive(Debug, Default)]
pub struct Journals {
    running: Mutex<HashMap<PathBuf, Running>>,
}

#[derive(Debug)]
struct Running {
    journal: Arc<ChangeJournal>,
    /// Since when nobody writes in the tree.
    idle_since: Option<Instant>,
}

/// A state is being taken: what is seen meanwhile comes after it.
#[derive(Debug)]
pub struct Hold {
    journal: Option<Arc<ChangeJournal>>,
    /// Since when not everything may have been seen.
    unsure_since: Option<u64>,
}

impl Journals {
    fn running(&self) -> MutexGuard<'_, HashMap<PathBuf, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, tree: &Path) -> Option<Arc<ChangeJournal>> {
        let running = self.running();
        let journal = &running.get(tree)?.journal;
        journal.is_alive().then(|| Arc::clone(journal))
    }

    fn started(&self, daemon: &Daemon, tree: &Path, resumes: bool) -> Option<Arc<ChangeJournal>> {
        if let Some(known) = self.running().get_mut(tree)
            && known.journal.is_alive()
        {
            // Else it could be ended for being idle.
            known.idle_since = None;
            return Some(Arc::clone(&known.journal));
        }
        let config = daemon.last_config();
        if config.version_stands_ms == 0 {
            return None;
        }
        let options = JournalOptions {
            top: tree.to_owned(),
            repository: PrivateRepository::folder_of(&checkpoints::folder(daemon), tree),
            stands: Duration::from_millis(config.version_stands_ms),
            largest: config.largest_file,
        };
        let journal = match ChangeJournal::start(options, resumes) {
            Ok(journal) => Arc::new(journal),
            Err(error) => {
                tracing::warn!(tree = %tree.display(), %error, "what changes in the tree is not recorded");
                return None;
            }
        };
        let known = Running {
            journal: Arc::clone(&journal),
            idle_since: None,
        };
        self.running().insert(tree.to_owned(), known);
        Some(journal)
    }

    /// Starts to watch a tree in which somebody is about to write. Blocking for a
    /// moment, but not until everything is watched.
    /// With `resumes`, others write there already.
    pub fn start(&self, daemon: &Daemon, tree: &Path, resumes: bool) {
        self.started(daemon, tree, resumes);
    }

    /// A state of the tree is about to be taken. Blocking, until everything is watched.
    pub fn hold(&self, tree: &Path) -> Hold {
        let journal = self.of(tree);
        let now = clock::now().0;
        let is_sure = journal.as_ref().is_none_or(|journal| journal.hold());
        Hold {
            journal,
            unsure_since: (!is_sure).then_some(now),
        }
    }

    /// The state was taken and kept under this name, or could not be; the repository
    /// tells who writes from then on.
    pub fn mark(
        daemon: &Arc<Daemon>,
        hold: Hold,
        repository: &PrivateRepository,
        state: Option<String>,
    ) {
        let Some(journal) = hold.journal else { return };
        let writers = repository.open_writers();
        let active = writers.is_ok_and(|writers| !writers.is_empty());
        journal.mark(Mark {
            state,
            active,
            unsure_since: hold.unsure_since,
        });
        let tree = repository.top();
        if let Some(known) = daemon.journals.running().get_mut(tree) {
            known.idle_since = (!active).then(Instant::now);
        }
        if !active {
            daemon
                .tasks
                .spawn(end_when_idle(Arc::clone(daemon), tree.to_owned()));
        }
    }

    /// Goes on after a restart of the daemon, if writers are at work in the job's tree.
    /// Blocking.
    pub fn resume(&self, daemon: &Daemon, job: &Job) {
        let (trees, tree) = (checkpoints::folder(daemon), &job.spec.tree);
        if !checkpoints::are_kept(job)
            || !job.spec.workspace.is_shared()
            || !PrivateRepository::exists(&trees, tree)
        {
            return;
        }
        let is_open = checkpoints::open(daemon, tree)
            .is_ok_and(|repository| repository.is_open(job.id.as_str()).unwrap_or_default());
        if is_open {
            self.started(daemon, tree, true);
        }
    }

    /// Lets the journal of a tree keep nothing while objects are removed that nobody
    /// needs; none if it does not answer. Blocking.
    pub fn paused<T>(&self, tree: &Path, remove: impl FnOnce() -> T) -> Option<T> {
        let journal = self.of(tree);
        let is_paused = journal.as_ref().is_none_or(|journal| journal.pause(true));
        let removed = is_paused.then(remove);
        if let Some(journal) = &journal {
            // It goes on as soon as it can.
            let _ = journal.pause(false);
        }
        removed
    }
}

/// Ends the journal of a tree when nobody wrote there for a while.
async fn end_when_idle(daemon: Arc<Daemon>, tree: PathBuf) {
    tokio::select! {
        () = tokio::time::sleep_until(Instant::now() + LINGERS) => {}
        () = daemon.shutdown.cancelled() => {}
    }
    let ended = {
        let mut running = daemon.journals.running();
        let is_idle = |known: &Running| {
            let idle = known
                .idle_since
                .is_some_and(|since| since.elapsed() >= LINGERS);
            idle || daemon.shutdown.is_cancelled()
        };
        match running.get(&tree).is_some_and(is_idle) {
            true => running.remove(&tree),
            false => None,
        }
    };
    if let Some(ended) = ended {
        // It waits for the thread.
        let _ = tokio::task::spawn_blocking(move || drop(ended)).await;
    }
}
