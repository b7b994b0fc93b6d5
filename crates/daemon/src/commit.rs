//! Commits decisions, then carries out their actions.
//!
//! One task takes what the dispatcher decided, in order; what queues up while
//! one commit is written goes into the next. An action runs only after its
//! records are on disk.

use std::sync::Arc;

use convoke_core::{
    dispatcher::{Action, Decision},
    ids::JobId,
    lifecycle::{LifecycleEvent, LifecycleRecord},
    time::UnixMillis,
};
use convoke_store::Checkpoint;
use tokio::sync::{mpsc, oneshot};

use crate::{
    executor, finalise, lifecycle_events,
    state::{Daemon, StopCommand},
};

/// What is handed to the committer.
#[derive(Debug)]
pub enum CommitItem {
    /// A decision of the dispatcher.
    Decision {
        /// When it was made.
        at: UnixMillis,
        /// The decision.
        decision: Decision,
    },
    /// How far an attempt's output is read.
    Checkpoint(Checkpoint),
    /// Tells when everything handed over before it is committed.
    Barrier(oneshot::Sender<()>),
}

/// Most items committed at once.
const BATCH: usize = 256;

/// First pause after a commit that failed; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Commits until the daemon ends.
pub async fn run(daemon: Arc<Daemon>, mut items: mpsc::UnboundedReceiver<CommitItem>) {
    let mut batch = Vec::with_capacity(BATCH);
    while items.recv_many(&mut batch, BATCH).await > 0 {
        commit(&daemon, std::mem::take(&mut batch)).await;
    }
}

async fn commit(daemon: &Arc<Daemon>, batch: Vec<CommitItem>) {
    let mut records: Vec<(UnixMillis, JobId, LifecycleEvent)> = Vec::new();
    let mut checkpoints = Vec::new();
    let mut actions = Vec::new();
    let mut late = Vec::new();
    let mut barriers = Vec::new();
    let mut at = UnixMillis::default();
    for item in batch {
        match item {
            CommitItem::Decision {
                at: decided,
                decision,
            } => {
                at = at.max(decided);
                // Each keeps its own time: the live job has moved with it.
                records.extend(
                    decision
                        .records
                        .into_iter()
                        .map(|(job, event)| (decided, job, event)),
                );
                actions.extend(decision.actions);
                late.extend(decision.late);
            }
            CommitItem::Checkpoint(checkpoint) => checkpoints.push(checkpoint),
            CommitItem::Barrier(reached) => barriers.push(reached),
        }
    }
    for (job, what) in late {
        if let Err(error) = daemon.store.audit(at, &job, &what).await {
            tracing::warn!(%job, what, error = %crate::error_chain(&error), "late evidence could not be kept");
        }
    }
    if !records.is_empty() || !checkpoints.is_empty() {
        let checkpointed = !checkpoints.is_empty();
        let committed = write(daemon, records, checkpoints).await;
        if checkpointed {
            crate::test_hooks::reach("checkpoint_committed");
        }
        for record in &committed {
            crate::test_hooks::reach_of("committed", record.event.name());
            publish(daemon, record);
            crate::test_hooks::reach_of("published", record.event.name());
        }
        daemon.committed(&committed);
    }
    for action in actions {
        carry_out(daemon, action);
    }
    for reached in barriers {
        // Nobody may be waiting any more.
        let _ = reached.send(());
    }
}

/// Writes until it succeeds: the decisions are made, so nothing may go on
/// without them.
async fn write(
    daemon: &Daemon,
    records: Vec<(UnixMillis, JobId, LifecycleEvent)>,
    checkpoints: Vec<Checkpoint>,
) -> Vec<LifecycleRecord> {
    let mut pause = FIRST_PAUSE;
    loop {
        match daemon
            .store
            .commit(records.clone(), checkpoints.clone())
            .await
        {
            Ok(committed) => return committed,
            Err(error @ convoke_store::StoreError::Corrupt { .. }) => {
                tracing::error!(error = %crate::error_chain(&error), "the database is damaged; the daemon ends and the next one builds it anew");
                crate::database::mark_damaged(&daemon.home);
                daemon.shutdown.cancel();
                // Nothing may go on without this commit.
                std::future::pending::<()>().await;
            }
            Err(error) => {
                tracing::error!(error = %crate::error_chain(&error), "a commit failed; it is tried again");
                tokio::time::sleep_until(tokio::time::Instant::now() + pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Lets those who follow the job see a committed record.
fn publish(daemon: &Arc<Daemon>, record: &LifecycleRecord) {
    let Some(live) = daemon.live.get(&record.job) else {
        return;
    };
    if let Some(event) = lifecycle_events::of_record(record) {
        let source = convoke_core::event::Source::Lifecycle(record.seq);
        if let Err(error) = live.append(source, record.at, event) {
            tracing::error!(job = %record.job, error = %crate::error_chain(&error), "an event could not be written; it is tried again");
            live.set_unwritten();
        }
    }
    if matches!(record.event, LifecycleEvent::Ended { .. }) {
        live.set_ended();
        daemon.drop_stop_channel(&record.job);
        finalise::start(daemon, record.job.clone());
    }
}

fn carry_out(daemon: &Arc<Daemon>, action: Action) {
    match action {
        Action::Start { job, attempt } => executor::start(daemon, job, attempt),
        Action::Stop {
            job, reason, force, ..
        } => {
            // A job that ended in the same batch has nobody who listens.
            if daemon.dispatcher().job(&job).is_some() {
                daemon
                    .stop_channel(&job)
                    .send_replace(Some(StopCommand { reason, force }));
            }
        }
    }
}
