//! What the threads of a soak have in common.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use convoke_test_support::{
    census,
    environment::{Ran, TestEnvironment},
};
use serde_json::Value;

use super::{ledger::Ledger, ledger::lock, plan::Plan, world::World};

/// One cancellation that is due.
#[derive(Debug)]
pub struct Due {
    /// When.
    pub at: Instant,
    /// Which job.
    pub id: String,
    /// Whether by force.
    pub force: bool,
}

/// Shared by all threads.
pub struct Stage<'a> {
    /// Where everything runs.
    pub world: &'a World,
    /// Which jobs there are.
    pub plan: Plan,
    /// What became of them.
    pub ledger: Ledger,
    /// How many kills are wanted; with none, no command is killed either.
    pub kills: u64,
    /// When it began.
    pub began: Instant,
    /// When no new jobs are to be asked for any more.
    pub until: Instant,
    next: AtomicU64,
    live: AtomicU64,
    broken_off: AtomicBool,
    due: Mutex<Vec<Due>>,
}

impl<'a> Stage<'a> {
    /// Opens for so long.
    pub fn new(world: &'a World, plan: Plan, kills: u64, length: Duration) -> Self {
        let began = Instant::now();
        Self {
            world,
            plan,
            ledger: Ledger::default(),
            kills,
            began,
            until: began + length,
            next: AtomicU64::new(0),
            live: AtomicU64::new(0),
            broken_off: AtomicBool::new(false),
            due: Mutex::new(Vec::new()),
        }
    }

    /// The environment.
    pub fn environment(&self) -> &TestEnvironment {
        &self.world.environment
    }

    /// Whether it still goes on.
    pub fn goes_on(&self) -> bool {
        Instant::now() < self.until && !self.broken_off.load(Ordering::Relaxed)
    }

    /// Ends it early, because a thread cannot go on.
    pub fn break_off(&self) {
        self.broken_off.store(true, Ordering::Relaxed);
    }

    /// The number of the next job.
    pub fn next_index(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// How many jobs live, as far as known.
    pub fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// One more lives.
    pub fn one_more(&self) {
        self.live.fetch_add(1, Ordering::Relaxed);
    }

    /// What the daemon says of how many live.
    pub fn set_live(&self, live: u64) {
        self.live.store(live, Ordering::Relaxed);
    }

    /// Plans a cancellation.
    pub fn cancel_later(&self, due: Due) {
        lock(&self.due).push(due);
    }

    /// Takes the cancellations whose time has come.
    pub fn take_due(&self) -> Vec<Due> {
        let now = Instant::now();
        lock(&self.due)
            .extract_if(.., |due| due.at <= now)
            .collect()
    }

    /// Rests until an instant, or the end.
    pub fn rest_until(&self, instant: Instant) {
        while Instant::now() < instant && self.goes_on() {
            census::pause();
        }
    }

    /// Runs `convoke` to its end.
    ///
    /// # Errors
    /// It cannot be started, or hangs.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran, String> {
        run(self.environment(), arguments)
    }

    /// Runs `convoke --format json` to its end.
    ///
    /// # Errors
    /// It cannot be started, hangs, fails or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, String> {
        let all: Vec<&str> = ["--format", "json"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let ran = self.run(&all)?;
        match ran.success() {
            true => serde_json::from_str(&ran.stdout)
                .map_err(|error| format!("convoke {}: {error}", all.join(" "))),
            false => Err(format!("convoke {}: {ran}", all.join(" "))),
        }
    }
}

/// Rests for a moment.
pub fn rest(milliseconds: u64) {
    let deadline = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < deadline {
        census::pause();
    }
}

fn run(environment: &TestEnvironment, arguments: &[&str]) -> Result<Ran, String> {
    let what = format!("convoke {}", arguments.join(" "));
    let mut command = environment.convoke(arguments);
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .map_err(|error| format!("start {what}: {error}"))?;
    Ran::try_ended(child, &what)
}
