//! Finds the agent programs a job can use and remembers what they answered.

mod codex;
mod programs;
mod registrations;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use convoke_agents::codex_exec::probe::{Capabilities, Registration};

pub use codex::{Codex, TurnSettings};
pub use programs::look_up;
pub use registrations::codex_home;

use registrations::ListKey;

/// What a file was when something was learned from it: another stamp means
/// asking again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileStamp {
    path: PathBuf,
    modified: Option<std::time::SystemTime>,
    len: u64,
}

impl FileStamp {
    /// The stamp of a file that may not exist.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let meta = fs_err::metadata(path).ok();
        Self {
            path: path.to_owned(),
            modified: meta.as_ref().and_then(|meta| meta.modified().ok()),
            len: meta.map_or(0, |meta| meta.len()),
        }
    }
}

/// Answers of agent programs, kept while the files they depend on stay.
#[derive(Debug, Default)]
pub struct Discovery {
    capabilities: Mutex<HashMap<FileStamp, Capabilities>>,
    registrations: Mutex<HashMap<ListKey, Vec<Registration>>>,
}

/// Entries kept at most; then all are forgotten.
const MOST_ENTRIES: usize = 256;

impl Discovery {
    fn known_capabilities(&self, stamp: &FileStamp) -> Option<Capabilities> {
        self.capabilities
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(stamp)
            .cloned()
    }

    fn remember_capabilities(&self, stamp: FileStamp, capabilities: Capabilities) {
        let mut known = self
            .capabilities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_ENTRIES {
            known.clear();
        }
        known.insert(stamp, capabilities);
    }

    fn known_registrations(&self, key: &ListKey) -> Option<Vec<Registration>> {
        self.registrations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    fn remember_registrations(&self, key: ListKey, list: Vec<Registration>) {
        let mut known = self
            .registrations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_ENTRIES {
            known.clear();
        }
        known.insert(key, list);
    }
}

/// Variables of a job.
pub type Environment = BTreeMap<String, String>;
