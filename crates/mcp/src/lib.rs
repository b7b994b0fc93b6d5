//! The MCP toolsets, over the client.
//!
//! [`serve_stdio`] answers one MCP client on stdin and stdout. The server holds
//! no state: jobs live in the daemon, so it may start and end at any time. It
//! lists its tools without the daemon, and starts one only for a call.
//!
//! One file per tool or family of tools: its arguments, its answer, and how the
//! one becomes the other by requests to the daemon. `catalog` lists them,
//! `schema_pass` makes schemas that every client understands, `arguments`
//! checks a call against the published schema, `caller` tells who asks.

mod answers;
mod arguments;
mod caller;
mod catalog;
mod changes;
mod control;
mod delegate;
mod delegate_catalog;
mod end_of_input;
mod errors;
mod events;
mod help;
mod jobs;
mod result;
mod schema_pass;
mod server;
mod sessions;
mod settings;
mod spawn;
mod spawn_group;
mod status;
mod synchronous;
mod test_hooks;
mod wait;
mod words;

pub use server::{JobsServer, ServeError, ServerConfig, Toolset, serve, serve_stdio};
