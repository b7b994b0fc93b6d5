//! All SQL there is, one file a subject. Each function takes a connection with
//! an open transaction; who opened it decides whether it may write.

pub(crate) mod accept;
pub(crate) mod audit;
pub(crate) mod blocked;
pub(crate) mod checkpoints;
pub(crate) mod columns;
pub(crate) mod counts;
pub(crate) mod forget;
pub(crate) mod lifecycle;
pub(crate) mod list;
pub(crate) mod lookup;
pub(crate) mod observations;
pub(crate) mod projection;
pub(crate) mod sessions;
