//! What comes before the attempt of a strict job: what is to be undone is undone,
//! and the state before is kept, without which nothing could be.

use std::sync::Arc;

use convoke_core::{
    coordination::some,
    failure::{Failure, FailureCode},
    job::Job,
};

use super::undo::{self, WHOLE_TREE};
use crate::{checkpoints, error_chain, state::Daemon};

/// Makes the tree of a strict job ready for its attempt; of others nothing is asked.
///
/// # Errors
/// The failure with which the job ends.
pub async fn ready(daemon: &Arc<Daemon>, job: &Job, attempt: u32) -> Result<(), Failure> {
    if !job.spec.is_strict() {
        return Ok(());
    }
    let failed = |message: String| Failure::new(FailureCode::Workspace, message);
    let tree = job.spec.tree.display();
    if job.to_undo().is_some() {
        crate::test_hooks::reach("before_take_back");
        undo::take_back(daemon, job).await.map_err(|error| {
            failed(format!(
                "strict coordination: the job is to run again, but what it did in {tree} cannot be taken back: {}",
                error.message
            ))
        })?;
    }
    let now = daemon.dispatcher().job(&job.id).cloned();
    let taken = now.as_ref().and_then(Job::taken_back);
    let stuck = taken.filter(|taken| !taken.inseparable.is_empty());
    if stuck.is_some_and(|taken| taken.inseparable == [WHOLE_TREE]) {
        return Err(failed(format!(
            "strict coordination: the state of {tree} after the earlier run of {} is not kept, so that what it did cannot be taken back; it stays as it is",
            job.id
        )));
    }
    if let Some(taken) = stuck {
        return Err(failed(format!(
            "strict coordination: {} changed {} while others did, and what each of them did there cannot be told apart; the files stay as they are, those before are beside them where there were any",
            job.id,
            some(&taken.inseparable)
        )));
    }
    checkpoints::before(daemon, job, attempt).await;
    let kept = tokio::task::spawn_blocking({
        let (daemon, job) = (Arc::clone(daemon), job.clone());
        move || {
            let repository = checkpoints::open(&daemon, &job.spec.tree);
            let open = repository.and_then(|repository| repository.is_open(job.id.as_str()));
            match open {
                Ok(true) => None,
                Ok(false) => {
                    let why = checkpoints::failure(&daemon, &job.id);
                    Some(why.unwrap_or_else(|| "`workspace.checkpoints` is false".to_owned()))
                }
                Err(error) => Some(error_chain(&error)),
            }
        }
    });
    match kept.await {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(failed(format!(
            "strict coordination: the state of {tree} before the job cannot be kept, so that what it does could not be taken back: {why}"
        ))),
        Err(error) => Err(failed(error.to_string())),
    }
}
