//! What the tests of the store share: a home, jobs and ends.

use std::path::Path;

use convoke_core::{
    ids::{JobId, RunnerId},
    lifecycle::{JobEnd, LifecycleEvent, Outcome},
    limits::Limits,
    owner::Owner,
    retry::RetryPolicy,
    sandbox::{Access, Sandbox},
    spec::{JobSpec, SPEC_VERSION, Work},
    time::UnixMillis,
};
use convoke_store::{Acceptance, NewJob, StateHome, Store};

/// A home that vanishes with it.
pub struct TestHome {
    folder: tempfile::TempDir,
    pub home: StateHome,
}

impl TestHome {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = StateHome::open(folder.path()).expect("a home");
        Self { folder, home }
    }

    pub fn store(&self) -> Store {
        Store::open(&self.home).expect("a store")
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

pub fn id(number: u64) -> JobId {
    JobId::from_random(number)
}

pub fn user() -> Owner {
    Owner::User { uid: 1000 }
}

pub fn spec() -> JobSpec {
    JobSpec {
        version: SPEC_VERSION,
        work: Work::Command {
            argv: vec!["true".to_owned()],
        },
        label: None,
        working_directory: "/srv/repo".into(),
        tree: "/srv/repo".into(),
        sandbox: Sandbox::WorkspaceWrite,
        access: Access::Write,
        workspace: convoke_core::spec::Workspace::Shared,
        coordination: convoke_core::coordination::Coordination::Dirty,
        scope: None,
        limits: Limits::default(),
        retry: RetryPolicy::default(),
        needs: Vec::new(),
        after: Vec::new(),
        priority: 0,
        owner_cap: None,
        parent: None,
        run: None,
    }
}

pub fn new_job(number: u64) -> NewJob {
    NewJob {
        id: id(number),
        at: UnixMillis(1_000 + number),
        spec: spec(),
        owner: user(),
        idempotency: None,
        queue_limit: 100_000,
    }
}

pub async fn accept(store: &Store, new: NewJob) -> JobId {
    match store.accept(new).await.expect("an answer") {
        Acceptance::New(job, _) => job.id,
        other => panic!("not a new job: {other:?}"),
    }
}

pub fn starting(job: &JobId, attempt: u32) -> LifecycleEvent {
    LifecycleEvent::AttemptStarting {
        attempt,
        runner: RunnerId::of_attempt(job, attempt),
    }
}

pub fn ended(outcome: Outcome) -> LifecycleEvent {
    LifecycleEvent::Ended {
        end: Box::new(JobEnd::without_process(outcome)),
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

/// Decisions that were all made at the same time.
pub fn decided_at(
    at: UnixMillis,
    events: impl IntoIterator<Item = (JobId, LifecycleEvent)>,
) -> Vec<(UnixMillis, JobId, LifecycleEvent)> {
    events
        .into_iter()
        .map(|(job, event)| (at, job, event))
        .collect()
}
