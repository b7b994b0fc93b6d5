//! One driver per agent program.
//!
//! A driver knows an agent's command line, turns what it prints into events
//! and says what came of it. It does no I/O: the executor of the daemon feeds
//! it lines and carries its checkpoints.

pub mod any;
pub mod claims;
pub mod codex_exec;
pub mod command;
pub mod driver;
