//! Strict jobs: what two of them did to the same files is taken back, and they run
//! again one after the other.
//!
//! At the end of an attempt `collisions` looks whether other strict jobs changed the
//! same files. If so, the dispatcher puts the job back in line. When the first of
//! those that wait may start, alone, `ready` has the changes of all of them taken
//! back, by what `plan` makes of the kept states, and that is committed before its
//! agent starts. A daemon that dies in between does the same again: what is back
//! already is left alone.

mod collisions;
mod plan;
mod ready;
mod undo;

use std::collections::HashMap;

use convoke_core::{ids::JobId, job::Job};
use convoke_workspace::private_repository::{Edge, KeptState};

pub use collisions::judged;
pub use ready::ready;

use crate::state::Daemon;

/// The place of the first state before what a job did; what was taken back so that
/// it runs again is not its doing any more.
#[must_use]
pub fn began(states: &[KeptState], job: &Job) -> Option<usize> {
    let is_own = |state: &KeptState| state.writer == job.id.as_str() && state.edge == Edge::Before;
    let counts = |state: &KeptState| state.nth().is_none_or(|nth| nth > job.undone_to());
    let first = states
        .iter()
        .position(|state| is_own(state) && counts(state));
    first.or_else(|| states.iter().position(is_own))
}

/// Of the jobs whose changes were taken back so that they run again, the last
/// attempt for which that holds.
#[must_use]
pub fn undone(daemon: &Daemon, states: &[KeptState]) -> HashMap<String, u32> {
    let rollbacks = states.iter().filter_map(|state| {
        let (job, _) = state.writer.split_once(".rollback-")?;
        JobId::parse(job)
    });
    let mut undone = HashMap::new();
    for id in rollbacks {
        if undone.contains_key(id.as_str()) {
            continue;
        }
        let job = daemon.job(&id).ok().flatten();
        undone.insert(id.to_string(), job.map_or(0, |job| job.undone_to()));
    }
    undone
}
