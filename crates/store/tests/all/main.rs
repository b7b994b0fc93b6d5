//! The tests of the store, in one binary.

mod crash;
mod database_file;
mod event_file;
mod replay;
mod scale;
mod store;
mod support;
mod users;
