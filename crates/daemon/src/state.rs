//! What all parts of the daemon share.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use convoke_core::{
    dispatcher::{Dispatcher, Input},
    ids::JobId,
    job::Job,
    lifecycle::{LifecycleRecord, StopReason},
    time::UnixMillis,
};
use convoke_store::{StateHome, Store, StoreError};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock,
    commit::CommitItem,
    config::{self, Config, ConfigError},
    discovery::Discovery,
    journals::Journals,
    leftovers::Leftovers,
    live::LiveJobs,
};

/// What the executor of a live attempt can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopCommand {
    /// Why.
    pub reason: StopReason,
    /// Whether without a grace period.
    pub force: bool,
}

/// The daemon: shared by its tasks and by the handlers of requests.
#[derive(Debug)]
pub struct Daemon {
    /// Folder of everything that is remembered.
    pub home: StateHome,
    /// The database.
    pub store: Store,
    /// Jobs that are not settled yet.
    pub live: LiveJobs,
    /// What is left of ended jobs.
    pub leftovers: Leftovers,
    /// What is known of the agent programs.
    pub discovery: Discovery,
    /// What changes in working trees while jobs write there.
    pub journals: Journals,
    /// Folder of the sockets.
    pub sockets: PathBuf,
    /// Address of the API.
    pub socket: PathBuf,
    /// The program of this process, from which runners are started.
    pub program: PathBuf,
    /// When the daemon started.
    pub started_at: UnixMillis,
    /// Ends the daemon when cancelled.
    pub shutdown: CancellationToken,
    /// Every task of the daemon.
    pub tasks: TaskTracker,
    /// Number of the last committed lifecycle record.
    pub last_record: watch::Sender<u64>,
    /// Held while it is found out after which turn of a conversation the next
    /// one comes, until that one is accepted: there are never two writers.
    pub conversations: tokio::sync::Mutex<()>,
    /// Held while it is found out whether a run is at work already, until it is accepted.
    pub delegations: tokio::sync::Mutex<()>,
    /// Told of each job that is done with, for whoever tidies up after that.
    pub finalised: tokio::sync::Notify,
    config_path: PathBuf,
    /// The few variables of the daemon's own environment that are settings.
    environment: BTreeMap<String, String>,
    config: RwLock<Loaded>,
    dispatcher: Mutex<Dispatcher>,
    commits: mpsc::UnboundedSender<CommitItem>,
    stops: Mutex<HashMap<JobId, watch::Sender<Option<StopCommand>>>>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<Config>,
    modified: Option<std::time::SystemTime>,
}

/// What [`Daemon::new`] puts together.
#[derive(Debug)]
pub struct Parts {
    /// Folder of everything that is remembered.
    pub home: StateHome,
    /// The database.
    pub store: Store,
    /// Folder of the sockets.
    pub sockets: PathBuf,
    /// Address of the API.
    pub socket: PathBuf,
    /// The program of this process.
    pub program: PathBuf,
    /// The user's configuration file.
    pub config_path: PathBuf,
    /// Variables that are settings.
    pub environment: BTreeMap<String, String>,
}

impl Daemon {
    /// Puts the daemon together; `commits` leads to the committer.
    ///
    /// # Errors
    /// The configuration is not valid.
    pub fn new(
        parts: Parts,
        commits: mpsc::UnboundedSender<CommitItem>,
    ) -> Result<Self, ConfigError> {
        let modified = modified(&parts.config_path);
        let config = config::load(&parts.config_path, &parts.environment)?;
        let dispatcher = Dispatcher::new(config.caps);
        Ok(Self {
            home: parts.home,
            store: parts.store,
            live: LiveJobs::default(),
            leftovers: Leftovers::default(),
            discovery: Discovery::default(),
            journals: Journals::default(),
            sockets: parts.sockets,
            socket: parts.socket,
            program: parts.program,
            started_at: clock::now(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            last_record: watch::Sender::new(0),
            conversations: tokio::sync::Mutex::new(()),
            delegations: tokio::sync::Mutex::new(()),
            finalised: tokio::sync::Notify::new(),
            config_path: parts.config_path,
            environment: parts.environment,
            config: RwLock::new(Loaded {
                config: Arc::new(config),
                modified,
            }),
            dispatcher: Mutex::new(dispatcher),
            commits,
            stops: Mutex::new(HashMap::new()),
        })
    }

    /// The settings in force; the file is read again when it has changed.
    ///
    /// # Errors
    /// The file has changed and is not valid now.
    pub fn config(&self) -> Result<Arc<Config>, ConfigError> {
        let now = modified(&self.config_path);
        {
            let loaded = self.config.read().unwrap_or_else(PoisonError::into_inner);
            if loaded.modified == now {
                return Ok(Arc::clone(&loaded.config));
            }
        }
        let config = Arc::new(config::load(&self.config_path, &self.environment)?);
        self.dispatcher().set_caps(config.caps);
        let mut loaded = self.config.write().unwrap_or_else(PoisonError::into_inner);
        *loaded = Loaded {
            config: Arc::clone(&config),
            modified: now,
        };
        Ok(config)
    }

    /// The settings last found valid.
    pub fn last_config(&self) -> Arc<Config> {
        Arc::clone(
            &self
                .config
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .config,
        )
    }

    /// The decisions about live jobs. Hold it briefly: nothing is awaited
    /// under it.
    pub fn dispatcher(&self) -> MutexGuard<'_, Dispatcher> {
        self.dispatcher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the dispatcher decide and hands the decision to the committer, in
    /// one step, so that records are committed in the order of the decisions.
    pub fn submit(&self, input: Input) {
        let mut dispatcher = self.dispatcher();
        let now = clock::now();
        let decision = dispatcher.decide(now, input);
        // The committer lives as long as the daemon; after it nothing matters.
        let _ = self
            .commits
            .send(CommitItem::Decision { at: now, decision });
    }

    /// Waits until everything submitted so far is committed.
    pub async fn all_committed(&self) {
        let (reached, barrier) = tokio::sync::oneshot::channel();
        if self.commits.send(CommitItem::Barrier(reached)).is_ok() {
            // Without a committer the daemon ends, and nothing is acknowledged.
            let _ = barrier.await;
        }
    }

    /// Hands a checkpoint to the committer, behind everything submitted so far.
    pub fn submit_checkpoint(&self, checkpoint: convoke_store::Checkpoint) {
        let _ = self.commits.send(CommitItem::Checkpoint(checkpoint));
    }

    /// Where the stop commands for a job's executor arrive. Made by whoever
    /// comes first, the executor or the one who stops.
    pub fn stop_channel(&self, job: &JobId) -> watch::Sender<Option<StopCommand>> {
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        stops
            .entry(job.clone())
            .or_insert_with(|| watch::Sender::new(None))
            .clone()
    }

    /// Forgets the stop channel of a job that is over.
    pub fn drop_stop_channel(&self, job: &JobId) {
        self.stops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(job);
    }

    /// A job, live or over.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn job(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        if let Some(job) = self.dispatcher().job(id) {
            return Ok(Some(job.clone()));
        }
        self.store.job(id)
    }

    /// Tells the feed that records were committed.
    pub fn committed(&self, records: &[LifecycleRecord]) {
        if let Some(last) = records.last() {
            self.last_record.send_if_modified(|seq| {
                let newer = last.seq > *seq;
                if newer {
                    *seq = last.seq;
                }
                newer
            });
        }
    }
}

fn modified(path: &std::path::Path) -> Option<std::time::SystemTime> {
    fs_err::metadata(path).and_then(|meta| meta.modified()).ok()
}
