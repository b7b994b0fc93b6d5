//! What decides and serves: dispatcher, executors, recovery, discovery, and
//! the HTTP API.
//!
//! The life of a request: [`http`](crate::http) checks the peer;
//! `acceptance` validates, bounds and commits; the dispatcher of
//! `convoke-core` decides; `commit` writes the decision down and carries it
//! out; `executor` runs the attempt, has `findings` look at what it did, and reports
//! back; `finalise` does what follows the end. `recovery` takes everything up again after a crash.

mod acceptance;
mod apart;
mod api_errors;
mod apply;
mod changes;
mod checkpoints;
mod clock;
mod commit;
mod config;
mod conflicts;
mod control;
mod damage;
mod database;
mod delegate;
mod discovery;
mod disk_space;
mod doctor;
mod environment;
mod event_pages;
mod executor;
mod finalise;
mod findings;
mod forecast;
mod gc;
mod hook;
mod http;
mod image;
#[doc(hidden)]
pub mod inputs;
mod instance;
mod journals;
mod leftovers;
mod lifecycle_events;
mod lists;
mod live;
mod liveness;
mod logging;
mod memory;
mod needs;
mod observe;
mod overlays;
mod power;
mod private_file;
mod rebuild;
mod reconcile;
mod recovery;
mod results;
mod rollback;
mod scope_folders;
mod scrub;
mod secrets;
mod spans;
mod spares;
mod state;
mod status;
mod strict;
mod test_hooks;
mod told;
mod versions;
mod views;
mod wait;
mod workplaces;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use convoke_api::error::{ApiError, RequestCode};
use convoke_store::{StateHome, socket_folder};
use tokio::sync::mpsc;

use instance::{Instance, InstanceError};
use state::{Daemon, Parts};

/// How long tasks may take to end after the daemon was told to.
const TASKS_END_WITHIN: Duration = Duration::from_secs(5);

/// Variables of the daemon's own environment that are settings.
const SETTINGS: [&str; 2] = ["CONVOKE_K_READ", "CONVOKE_K_WRITE"];

/// What a daemon is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The state home, absolute.
    pub home: PathBuf,
    /// The user's configuration file, which need not exist.
    pub config: PathBuf,
    /// The program of this process, from which runners are started.
    pub program: PathBuf,
}

/// The daemon could not start.
#[derive(Debug)]
pub enum StartError {
    /// Another daemon serves the state home.
    Busy,
    /// Something else, as clients are told it.
    Refused(ApiError),
}

/// Runs the daemon until it is told to end. `ready` is called once, when
/// requests are served.
///
/// # Errors
/// The daemon could not start.
pub fn run(options: &Options, ready: impl FnOnce()) -> Result<(), StartError> {
    let home = StateHome::open(&options.home)
        .map_err(|error| StartError::Refused(api_errors::of_home(&error)))?;
    let lock = Instance::take(&home).map_err(|error| of_instance(&error))?;
    logging::start(&home.log_file()).map_err(|error| {
        StartError::Refused(ApiError::new(
            RequestCode::StateUnavailable,
            error.to_string(),
        ))
    })?;
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(|error| {
            StartError::Refused(ApiError::new(RequestCode::Internal, error.to_string()))
        })?;
    let result = runtime.block_on(serve(options, home, lock, ready));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(
    options: &Options,
    home: StateHome,
    lock: std::fs::File,
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let store =
        database::open(&home).map_err(|error| StartError::Refused(api_errors::of_store(&error)))?;
    let uid = rustix::process::getuid().as_raw();
    let sockets = socket_folder(&home, uid)
        .map_err(|error| StartError::Refused(api_errors::of_home(&error)))?;
    let socket = sockets.join(address()?);
    let (commits, items) = mpsc::unbounded_channel();
    let parts = Parts {
        home: home.clone(),
        store,
        sockets,
        socket: socket.clone(),
        program: options.program.clone(),
        config_path: options.config.clone(),
        environment: settings_of_environment(),
    };
    let daemon = Daemon::new(parts, commits)
        .map_err(|error| StartError::Refused(api_errors::of_config(&error)))?;
    let daemon = Arc::new(daemon);
    let committer = tokio::spawn(commit::run(Arc::clone(&daemon), items));
    let found = recovery::restore(&daemon)
        .await
        .map_err(|error| StartError::Refused(api_errors::of_store(&error)))?;
    let (instance, listener) =
        Instance::listen(&home, lock, socket).map_err(|error| of_instance(&error))?;
    tracing::info!(home = %home.root().display(), pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "the daemon serves");
    ready();
    recovery::adopt(&daemon, found);
    spares::begin(&daemon);
    let ticker = tokio::spawn(tick(Arc::clone(&daemon)));
    let collector = tokio::spawn(gc::watch(Arc::clone(&daemon)));
    let leftover_watcher = tokio::spawn(leftovers::watch(Arc::clone(&daemon)));
    let watcher = tokio::spawn(liveness::watch(Arc::clone(&daemon)));
    let memory_watcher = tokio::spawn(memory::watch(Arc::clone(&daemon)));
    let signals = tokio::spawn(end_on_signal(Arc::clone(&daemon)));
    let served = http::serve(Arc::clone(&daemon), listener);
    let stopping = daemon.shutdown.clone();
    tokio::select! {
        result = served => if let Err(error) = result {
            tracing::error!(%error, "the socket is lost; the daemon ends");
        },
        // Answers under way get a moment; idle connections do not hold it up.
        () = async { stopping.cancelled().await; tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(300)).await } => {}
    }
    daemon.shutdown.cancel();
    ticker.abort();
    watcher.abort();
    collector.abort();
    leftover_watcher.abort();
    memory_watcher.abort();
    signals.abort();
    daemon.tasks.close();
    let _ = tokio::time::timeout(TASKS_END_WITHIN, daemon.tasks.wait()).await;
    // What was decided up to now is written down before the lock is given up.
    let _ = tokio::time::timeout(TASKS_END_WITHIN, daemon.all_committed()).await;
    committer.abort();
    tracing::info!("the daemon ends; its jobs go on");
    drop(instance);
    Ok(())
}

/// Lets time pass for the dispatcher: pauses that end, patience that runs out.
async fn tick(daemon: Arc<Daemon>) {
    let mut interval = tokio::time::interval(Duration::from_millis(500));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let due = {
            let dispatcher = daemon.dispatcher();
            dispatcher.queued() > 0
        };
        if due {
            daemon.submit(convoke_core::dispatcher::Input::Tick);
        }
    }
}

async fn end_on_signal(daemon: Arc<Daemon>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    daemon.shutdown.cancel();
}

/// Eight hexadecimal digits: the name of the daemon's socket.
fn address() -> Result<String, StartError> {
    let random = getrandom::u32().map_err(|error| {
        StartError::Refused(ApiError::new(
            RequestCode::Internal,
            format!("no random numbers: {error}"),
        ))
    })?;
    Ok(format!("{random:08x}"))
}

fn settings_of_environment() -> BTreeMap<String, String> {
    SETTINGS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect()
}

/// Every job that waits holds its event file open.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(errno) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%errno, "the limit of open files stays as it is");
    }
}

fn of_instance(error: &InstanceError) -> StartError {
    match error {
        InstanceError::Busy { .. } => StartError::Busy,
        InstanceError::File { .. } => StartError::Refused(ApiError::new(
            RequestCode::StateUnavailable,
            error_chain(error),
        )),
    }
}

/// An error and its causes on one line.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
