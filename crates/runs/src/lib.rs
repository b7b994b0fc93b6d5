//! Runs: work that is more than one turn of an agent.
//!
//! [`controllers`] decide and are pure; [`files`] reads and writes what lies outside
//! of the state home: skills and run folders. Called by the daemon only. This crate
//! knows what a job is (`convoke-core`) and nothing of the API, the agents or the
//! store.

pub mod controllers;
pub mod files;
