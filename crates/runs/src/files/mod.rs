//! Readers and writers of files outside of the state home. Blocking.

pub mod skills;
