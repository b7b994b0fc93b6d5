//! Damage that was found in the state home, written down for `doctor`.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use convoke_core::time::UnixMillis;
use convoke_store::StateHome;
use serde::{Deserialize, Serialize};

use crate::clock;

/// Version of a line of `damage.jsonl`.
const VERSION: u32 = 1;

/// What was found damaged, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Version of this form.
    pub version: u32,
    /// When it was found.
    pub at: UnixMillis,
    /// What was found.
    pub found: String,
    /// What was done.
    pub done: String,
}

fn path(home: &StateHome) -> PathBuf {
    home.root().join("damage.jsonl")
}

/// Writes it down. It is in the log in any case.
pub fn report(home: &StateHome, found: &str, done: &str) {
    tracing::error!(found, done, "damage in the state home");
    let damage = Damage {
        version: VERSION,
        at: clock::now(),
        found: found.to_owned(),
        done: done.to_owned(),
    };
    if let Err(error) = append(home, &damage) {
        tracing::error!(%error, "damage could not be written down");
    }
}

fn append(home: &StateHome, damage: &Damage) -> io::Result<()> {
    let mut line = serde_json::to_vec(damage)?;
    line.push(b'\n');
    let mut file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path(home))?;
    file.write_all(&line)
}

/// All that was written down, oldest first.
pub fn known(home: &StateHome) -> Vec<Damage> {
    let text = std::fs::read_to_string(path(home)).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
