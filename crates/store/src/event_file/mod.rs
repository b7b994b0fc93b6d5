//! `events.jsonl`, the events of one job, one line each.
//!
//! A projection: written by the job's executor only, never synced, rebuildable
//! from the runner's journal and the lifecycle records. A cursor is a byte
//! offset at the start of a line, opaque to those who hold one.
//!
//! Every line carries the source of its event and, as `other`, the last source
//! of the other kind before it. So the last line alone tells what the file
//! holds, however long it is.

pub(crate) mod append;
pub(crate) mod error;
mod line;
pub(crate) mod page;
pub(crate) mod sources;
pub(crate) mod tail;
