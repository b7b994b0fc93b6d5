//! What is known of a job's secrets.

use convoke_core::{ids::JobId, mask::Masker};
use convoke_store::HomeError;

use crate::state::Daemon;

/// The masker of a job; none when its environment was deleted, which happens
/// only after its secrets were taken out of everything that is kept.
///
/// # Errors
/// The environment is there and cannot be read: nothing the job printed may be
/// shown then.
pub fn masker_of(daemon: &Daemon, job: &JobId) -> Result<Option<Masker>, HomeError> {
    if !daemon.home.job_env(job).exists() {
        return Ok(None);
    }
    let environment = daemon.home.read_env(job)?;
    Ok(Some(Masker::of_environment(&environment)))
}
