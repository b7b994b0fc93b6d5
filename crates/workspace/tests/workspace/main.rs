//! States of working trees, with the real git.

mod checkpoints;
mod rollbacks;
mod scene;
mod states;
