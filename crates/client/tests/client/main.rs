//! The client against a small server on a real unix socket.

mod connections;
mod server;
mod starting;
mod streams;
