//! The commands, one file each: the arguments and what is done with them.

pub mod apply;
pub mod cancel;
pub mod changes;
pub mod completions;
pub mod config;
pub mod conflicts;
pub mod daemon;
pub mod diff;
pub mod doctor;
pub mod drill;
pub mod events;
pub mod gc;
pub mod generate;
pub mod interrupt;
pub mod mcp;
pub mod ps;
pub mod reconcile;
pub mod release;
pub mod result;
pub mod rollback;
pub mod run;
pub mod runner;
pub mod skill;
pub mod spawn;
pub mod status;
pub mod wait;
