//! What a job is: ids, owner, specs, states, events, the lifecycle machine and
//! the scheduler.
//!
//! Nothing here does I/O, reads a clock or draws random numbers: time, disk and
//! processes come in as [`dispatcher::Input`] and go out as
//! [`dispatcher::Decision`], so that tests can run thousands of histories in
//! one thread. See `docs/design/lifecycle.md` for the state diagram.

pub mod coordination;
pub mod dispatcher;
pub mod event;
pub mod failure;
pub mod finding;
pub mod ids;
pub mod job;
pub mod lifecycle;
pub mod limits;
pub mod liveness;
pub mod mask;
pub mod owner;
pub mod retention;
pub mod retry;
pub mod run;
pub mod runner_protocol;
pub mod sandbox;
pub mod scheduler;
pub mod scope;
pub mod spec;
pub mod time;
pub mod writer_caps;
