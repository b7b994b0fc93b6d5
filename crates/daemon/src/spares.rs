//! Keeps folders of jobs and runners ready, so that a new job finds its own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{error_chain, state::Daemon};

/// Whether somebody is at it.
static FILLING: AtomicBool = AtomicBool::new(false);

/// Throws away what an earlier daemon left ready and makes folders anew, in the
/// background.
pub fn begin(daemon: &Arc<Daemon>) {
    let home = daemon.home.clone();
    FILLING.store(true, Ordering::Relaxed);
    daemon.tasks.spawn_blocking(move || {
        let begun = home
            .forget_spare_folders()
            .and_then(|()| home.fill_spare_folders());
        report(begun);
    });
}

/// Makes up for what was taken, in the background.
pub fn refill(daemon: &Arc<Daemon>) {
    if FILLING.swap(true, Ordering::Relaxed) {
        return;
    }
    let home = daemon.home.clone();
    daemon
        .tasks
        .spawn_blocking(move || report(home.fill_spare_folders()));
}

/// The same if only few are left: an attempt that starts makes up for what its
/// job took, when its answer is out.
pub fn refill_few(daemon: &Arc<Daemon>) {
    if daemon.home.has_few_spare_folders() {
        refill(daemon);
    }
}

fn report(filled: Result<(), convoke_store::HomeError>) {
    FILLING.store(false, Ordering::Relaxed);
    if let Err(error) = filled {
        // Jobs make their own folders then.
        tracing::debug!(error = %error_chain(&error), "no folders could be made ahead");
    }
}
