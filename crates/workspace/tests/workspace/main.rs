//! States of working trees, with the real git.

mod checkpoints;
mod histories;
mod journals;
#[cfg(target_os = "linux")]
mod layers;
mod rollbacks;
mod scene;
mod states;
mod worktrees;
