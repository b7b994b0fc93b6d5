//! What changed on disk around a job.
//!
//! For now: the state of a git repository before and after a job, by the `git`
//! program, without touching the repository.

pub mod bounded;
pub mod changes;
mod filter_memory;
pub mod git;
pub mod repository;
pub mod snapshot;
