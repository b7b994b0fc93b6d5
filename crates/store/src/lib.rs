//! What is remembered: SQLite, job and runner folders, event files.
//!
//! Three rooms, each of which may change without the others:
//!
//! - the **state home** ([`StateHome`], [`socket_folder()`]): where files lie, who
//!   may read them, and what is on disk before a reply is given;
//! - the **database** ([`Store`]): lifecycle records, the truth about every
//!   job, and the projections that make them quick to read. No other crate
//!   contains SQL;
//! - the **event files** ([`EventFile`], [`read_page`]): one per job, written by
//!   its executor only, never synced, rebuildable from the runner's journal.

mod connection;
mod error;
mod event_file;
mod filesystem_kind;
mod home;
mod job_folder;
mod private_folder;
mod queries;
mod readers;
mod salvage;
mod schema;
mod socket_folder;
mod spare_folders;
mod store;
mod trash;
mod writer;

pub use error::StoreError;
pub use event_file::{
    append::EventFile,
    error::EventFileError,
    page::{EventPage, read_page},
    sources::{JournalMark, LastSources},
    tail::Tail,
};
pub use home::{HomeError, StateHome};
pub use queries::{
    accept::{Acceptance, IDEMPOTENCY_MILLIS, IdempotencyKey, NewJob},
    audit::AuditEntry,
    blocked::Blocking,
    checkpoints::Checkpoint,
    counts::Counts,
    forget::EndedJob,
    lifecycle::LiveJobs,
    list::{JobFilter, JobRow, Page, PageRequest},
    lookup::{JobStanding, Resolved},
    sessions::Session,
};
pub use salvage::{SalvageError, Salvaged, rebuild_database};
pub use socket_folder::socket_folder;
pub use store::Store;
pub use trash::folder_bytes;
