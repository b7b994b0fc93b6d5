//! What changed on disk around a job.
//!
//! `snapshot` is what git says of a repository at one moment, `history` where its
//! HEAD and refs point, `checkpoint` what
//! lies in the working tree at one moment, kept in a `private_repository`
//! beside it; `tree_diff` is what is different between two checkpoints,
//! `journal` what changed in between,
//! `attribution` whose change that was, `overlaps` what two writers both changed,
//! `rollback` takes changes back. A job may have a `worktree` of its own, or a
//! `layer` over the tree unless there is an `obstacle`, whose changes `apply` brings
//! into the tree it came from. All of it by the `git` program, which runs nothing that a repository could configure.

pub mod apply;
pub mod attribution;
pub mod bounded;
pub mod changes;
pub mod checkpoint;
mod filter_memory;
pub mod git;
pub mod history;
pub mod journal;
pub mod layer;
mod merge;
mod objects;
pub mod obstacle;
pub mod overlaps;
mod plain_file;
pub mod private_repository;
pub mod repository;
pub mod rollback;
pub mod snapshot;
pub mod snapshot_memory;
pub mod tree_diff;
mod tree_writer;
pub mod worktree;

pub use tree_writer::read_within;
