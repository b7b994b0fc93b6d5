//! Wire types, error codes and paths of the HTTP API, version 1.
//!
//! Clients and the daemon share these types and nothing else. They are kept
//! apart from stored and runtime types: a wire type only ever gains optional
//! fields. Readers ignore fields they do not know.

pub mod caller;
pub mod changes;
pub mod control;
pub mod coordination;
pub mod daemon;
pub mod delegate;
pub mod doctor;
pub mod error;
pub mod events;
pub mod gc;
pub mod job;
pub mod openapi;
pub mod paths;
pub mod result;
pub mod spawn;
pub mod values;
pub mod versions;

/// Version of the API, as in the paths.
pub const API_VERSION: u32 = 1;
