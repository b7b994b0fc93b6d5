//! What is decided about runs, without any I/O.

pub mod delegate;
pub mod skills;
