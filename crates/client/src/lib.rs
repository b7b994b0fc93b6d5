//! Typed client of the API; starts the daemon by the command its caller gives
//! it.
//!
//! [`Client`] speaks HTTP/1.1 over the unix socket that `daemon.json` in the
//! state home names, keeps a few connections open, and connects anew when the
//! daemon was replaced. A new request may start the daemon ([`Launcher`]);
//! nothing that merely goes on (a wait, a stream) does, so that a daemon that
//! was stopped on purpose stays stopped. Inside a job no daemon is ever
//! started ([`inside_job`]).

mod address;
mod ancestry;
mod calls;
mod client;
mod error;
mod guard;
mod handover;
mod launch;
mod pool;
mod query;
mod server_sent;
mod stream;

pub use client::Client;
pub use error::ClientError;
pub use guard::{Evidence, inside_job};
pub use launch::Launcher;
pub use stream::{EventStream, LifecycleStream};
