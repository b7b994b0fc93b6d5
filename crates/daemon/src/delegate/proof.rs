//! What a worker claims beside what was seen of it: looked at once, right after the end,
//! and kept, because the files may change later.

use std::path::{Path, PathBuf};

use convoke_core::{job::Job, lifecycle::Outcome};
use convoke_runs::controllers::delegate::{Checked, Proof, claimed};

use crate::{observe, private_file, state::Daemon, workplaces};

/// Most claims that are looked at.
const MOST: usize = 1_000;

fn file(daemon: &Daemon, job: &Job) -> PathBuf {
    daemon.home.job_artifacts(&job.id).join("proof.json")
}

/// What was seen when the run ended, if it was looked.
pub fn kept(daemon: &Daemon, job: &Job) -> Option<Proof> {
    let bytes = std::fs::read(file(daemon, job)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// What is seen of the claims of a run that completed; what was seen before stays.
/// Blocking.
pub fn take(daemon: &Daemon, job: &Job) -> Option<Proof> {
    let end = job.end()?;
    if end.outcome != Outcome::Completed {
        return None;
    }
    if let Some(known) = kept(daemon, job) {
        return Some(known);
    }
    let claimed = claimed(end.final_message.as_deref()?);
    let folder = workplaces::of(daemon, job).folder;
    let changed = observe::observed(daemon, job).map(|observed| observed.changed);
    let checked = claimed.iter().take(MOST).map(|path| Checked {
        path: path.clone(),
        exists: fs_err::symlink_metadata(folder.join(path)).is_ok(),
        observed: changed
            .as_ref()
            .map(|changed| is_among(changed, &job.spec.tree, &folder.join(path))),
    });
    let proof = Proof {
        checked: checked.collect(),
        claimed,
        verified: Vec::new(),
    };
    let bytes = serde_json::to_vec(&proof).expect("texts and numbers are JSON");
    if let Err(error) = private_file::write(&file(daemon, job), &bytes) {
        tracing::warn!(job = %job.id, %error, "what was seen of the claims of the run is not kept");
        return None;
    }
    Some(proof)
}

/// Whether a file is among paths that are relative to the top of its tree.
fn is_among(changed: &[String], tree: &Path, file: &Path) -> bool {
    let plain: PathBuf = file.components().collect();
    let real = fs_err::canonicalize(&plain).unwrap_or(plain);
    real.strip_prefix(tree)
        .is_ok_and(|relative| changed.iter().any(|path| Path::new(path) == relative))
}
