//! The journal of what changes in a working tree while jobs write there: every
//! version of a file that stands for long enough is kept, with its time, so that
//! changes can be told apart that lie between the same two states.
//!
//! `watcher` tells what is touched, `ignored` what of it counts, `recorder` reads
//! and keeps it through `blobs`, and notes it in the `log`; `steps` puts the log
//! together with the states around it. One thread does it for one tree.

mod blobs;
mod ignored;
mod log;
mod recorder;
mod steps;
mod watcher;

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(crate) use log::Log;
pub use log::{Entry, Found, Gap, Version};
use recorder::{Recorder, wall_now};
pub use steps::{Record, Step, Steps};

/// How long a version stands at least that is kept, unless the user says otherwise.
pub const STANDS: Duration = Duration::from_millis(50);

/// How long an answer of the thread is waited for. It never waits for anything but
/// a disk.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// What is watched, and what is kept of it.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Top of the tree, canonical.
    pub top: PathBuf,
    /// Folder of its private repository.
    pub repository: PathBuf,
    /// How long a version stands at least that is kept.
    pub stands: Duration,
    /// Larger files than this many bytes are not kept.
    pub largest: u64,
}

/// The journal of one tree. It ends when this is dropped.
#[derive(Debug)]
pub struct ChangeJournal {
    commands: Option<Sender<Command>>,
    wake: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Command {
    Hold(Sender<()>),
    Mark(Mark, Sender<()>),
    Pause(bool, Sender<()>),
}

/// A state that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Its name, if it was kept.
    pub state: Option<String>,
    /// Whether anybody writes from then on.
    pub active: bool,
    /// Since when not everything may have been seen, in milliseconds since the epoch.
    pub unsure_since: Option<u64>,
}

impl ChangeJournal {
    /// Starts to watch. With `resumes`, writers were at work before, and nobody watched
    /// since the last entry: that is noted.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(options: JournalOptions, resumes: bool) -> io::Result<Self> {
        // Both ends are closed for programs that are started.
        let (read, wake) = std::io::pipe()?;
        let (read, wake) = (OwnedFd::from(read), OwnedFd::from(wake));
        for end in [&read, &wake] {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        let (commands, orders) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("changes".to_owned())
            .spawn(move || run(options, &orders, &read, resumes))?;
        Ok(Self {
            commands: Some(commands),
            wake,
            thread: Some(thread),
        })
    }

    /// Whether it still watches: it ends by itself where files cannot be watched.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// A state of the tree is about to be taken: what was seen until now comes before
    /// it, what is seen from now on after it. Waits until everything is watched; false
    /// if that takes too long.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.ask(Command::Hold)
    }

    /// The state was taken.
    pub fn mark(&self, mark: Mark) {
        self.ask(|done| Command::Mark(mark, done));
    }

    /// Keeps nothing for a while, so that objects can be removed that nobody needs; or
    /// goes on.
    /// False if it does not answer: it may be keeping something still.
    #[must_use]
    pub fn pause(&self, paused: bool) -> bool {
        self.ask(|done| Command::Pause(paused, done))
    }

    /// Whether it answers. If it does not, less is known of what changed; nothing else
    /// hangs on it.
    fn ask(&self, command: impl FnOnce(Sender<()>) -> Command) -> bool {
        let (done, answer) = mpsc::channel();
        let sent = self.commands.as_ref().map(|to| to.send(command(done)));
        if !matches!(sent, Some(Ok(()))) {
            return false;
        }
        // A full pipe wakes it too.
        let _ = rustix::io::write(&self.wake, b"c");
        answer.recv_timeout(ANSWERS_WITHIN).is_ok()
    }
}

impl Drop for ChangeJournal {
    fn drop(&mut self) {
        self.commands = None;
        let _ = rustix::io::write(&self.wake, b"e");
        if let Some(thread) = self.thread.take() {
            // It panicked if not; it has nothing that others wait for.
            let _ = thread.join();
        }
    }
}

fn run(options: JournalOptions, orders: &Receiver<Command>, wake: &OwnedFd, resumes: bool) {
    let last_entry = resumes.then(|| last_entry(&options.repository));
    let Ok(mut recorder) = Recorder::start(options, resumes) else {
        return;
    };
    if let Some(since) = last_entry {
        recorder.gap(since, "nobody watched while the daemon was not running");
    }
    loop {
        loop {
            match orders.try_recv() {
                Ok(command) => obey(&mut recorder, command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        if recorder.step(wake.as_fd()).is_err() {
            return;
        }
        let mut drained = [0; 64];
        while rustix::io::read(wake, &mut drained).is_ok_and(|read| read == drained.len()) {}
    }
}

fn obey(recorder: &mut Recorder, command: Command) {
    let done = match command {
        Command::Hold(done) => {
            if recorder.hold().is_err() {
                recorder.gap(wall_now(), "what happened cannot be read");
            }
            done
        }
        Command::Mark(mark, done) => {
            recorder.mark(mark.state.as_deref(), mark.active);
            if let Some(since) = mark.unsure_since {
                recorder.gap(since, "not everything was watched yet");
            }
            done
        }
        Command::Pause(paused, done) => {
            recorder.paused = paused;
            done
        }
    };
    // Who asked may have given up.
    let _ = done.send(());
}

/// When the log was last written, in milliseconds since the epoch.
fn last_entry(repository: &Path) -> u64 {
    let modified = Log::of(repository).modified();
    let since = modified.and_then(|at: SystemTime| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}
