//! States of working trees, with the real git.

mod checkpoints;
mod histories;
mod journals;
mod rollbacks;
mod scene;
mod states;
mod worktrees;
