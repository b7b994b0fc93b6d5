//! States of working trees, with the real git.

mod checkpoints;
mod histories;
mod rollbacks;
mod scene;
mod states;
mod worktrees;
