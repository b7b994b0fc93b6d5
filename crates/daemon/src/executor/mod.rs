//! Carries out one attempt of one job: starts or finds its runner, reads what
//! the agent prints, and says what came of it.
//!
//! One task per live attempt. Decisions belong to the dispatcher; the executor
//! reports and obeys.

mod attempt;
pub mod denials;
mod follow;
pub mod journal_file;
mod link;
pub mod lock;
mod lost;
mod prepare;
mod probe;
pub mod projection;
mod runner_process;
pub mod streams;
pub mod tail;
mod verdict;

use std::sync::Arc;

use convoke_core::ids::JobId;

pub use probe::containment;

use crate::state::Daemon;

/// Starts an attempt whose intent is committed.
pub fn start(daemon: &Arc<Daemon>, job: JobId, attempt: u32) {
    let task = attempt::start(Arc::clone(daemon), job, attempt);
    daemon.tasks.spawn(task);
}

/// Takes up an attempt found at the daemon's start, whatever became of it.
pub fn adopt(daemon: &Arc<Daemon>, job: JobId, attempt: u32) {
    let task = attempt::adopt(Arc::clone(daemon), job, attempt);
    daemon.tasks.spawn(task);
}
