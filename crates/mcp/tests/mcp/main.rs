//! The server as a client sees it, over a fake daemon.

mod calls;
mod daemon;
mod fixture;
mod peer;
mod protocol;
mod refusals;
mod skill;
mod waits;
