//! Readers and writers of files outside of the state home. Blocking.

pub mod run_folder;
pub mod skills;
