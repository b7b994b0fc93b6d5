//! Fuzz targets: everything that reads bytes from outside, one file per
//! subject.
//!
//! Each target reads its committed corpus first, then bounded random inputs
//! from a fixed seed, so that the ordinary test suite runs it. `cargo xtask
//! fuzz` runs the same targets for as long as asked, with new seeds.

mod agents;
mod api;
mod corpus;
mod event_file;
mod harness;
mod journal;
mod json;
mod mcp;
mod mcp_daemon;
mod mcp_peer;
mod messages;
mod projection;
mod skills;
