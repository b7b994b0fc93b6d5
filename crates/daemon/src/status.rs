//! The daemon about itself, and its end.

use std::{sync::Arc, time::Duration};

use convoke_api::daemon::DaemonView;
use convoke_core::{ids::JobId, lifecycle::StopReason};

use crate::{control, state::Daemon, wait};

/// How long stopped jobs may take before the daemon ends all the same; their
/// runners finish the work.
const JOBS_END_WITHIN: Duration = Duration::from_secs(30);

/// The daemon as shown.
#[must_use]
pub fn of(daemon: &Daemon) -> DaemonView {
    let (running, queued) = {
        let dispatcher = daemon.dispatcher();
        (dispatcher.running(), dispatcher.queued())
    };
    DaemonView {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: daemon.started_at.to_rfc3339(),
        home: daemon.home.root().display().to_string(),
        socket: daemon.socket.display().to_string(),
        running: u32::try_from(running).unwrap_or(u32::MAX),
        attached: u32::try_from(daemon.live.attached()).unwrap_or(u32::MAX),
        queued: u32::try_from(queued).unwrap_or(u32::MAX),
        memory_bytes: crate::memory::resident_bytes(),
    }
}

/// Ends the daemon, after its jobs if asked to. Answers at once.
pub fn stop(daemon: &Arc<Daemon>, jobs: bool) {
    if !jobs {
        daemon.shutdown.cancel();
        return;
    }
    let ids: Vec<JobId> = daemon
        .dispatcher()
        .jobs()
        .map(|job| job.id.clone())
        .collect();
    for id in &ids {
        control::stop(daemon, id, StopReason::Shutdown, false);
    }
    let daemon = Arc::clone(daemon);
    tokio::spawn(async move {
        let all = async {
            for id in &ids {
                wait::wait_for_end(&daemon, id, JOBS_END_WITHIN).await;
                wait::wait_for_finalised(&daemon, id, JOBS_END_WITHIN).await;
            }
        };
        let _ = tokio::time::timeout(JOBS_END_WITHIN, all).await;
        daemon.shutdown.cancel();
    });
}
