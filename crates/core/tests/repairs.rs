//! The turn that repairs the answer of a run: there is one, whatever else is repeated.

use convoke_core::{
    coordination::Coordination,
    dispatcher::{Action, Dispatcher, Input, Verdict},
    failure::{Failure, FailureCode},
    ids::JobId,
    job::Job,
    lifecycle::{JobEnd, LifecycleEvent, Outcome},
    limits::Limits,
    owner::Owner,
    retry::RetryPolicy,
    run::{RUN_VERSION, Run, RunId},
    sandbox::{Access, Sandbox},
    scheduler::Caps,
    spec::{JobSpec, SPEC_VERSION, Work, Workspace},
    time::UnixMillis,
};

const START: UnixMillis = UnixMillis(1_000_000);

struct Scene {
    dispatcher: Dispatcher,
    id: JobId,
    now: UnixMillis,
    attempt: u32,
}

impl Scene {
    /// A job with its first attempt at work; `is_run`: it is a run.
    fn new(is_run: bool) -> Self {
        let run = RunId::new(START, 7);
        let id = run.job();
        let run = Run {
            version: RUN_VERSION,
            id: run,
            folder: "/runs/r".into(),
            digest: String::new(),
            needs_repository: false,
            obstacle: None,
        };
        let spec = JobSpec {
            version: SPEC_VERSION,
            work: Work::Command { argv: Vec::new() },
            label: None,
            working_directory: "/w".into(),
            tree: "/w".into(),
            sandbox: Sandbox::ReadOnly,
            access: Access::Read,
            workspace: Workspace::Shared,
            coordination: Coordination::Dirty,
            scope: None,
            limits: Limits::default(),
            // Attempts that are repeated do not count against the repair.
            retry: RetryPolicy {
                attempts: 1,
                ..RetryPolicy::default()
            },
            needs: Vec::new(),
            after: Vec::new(),
            priority: 0,
            owner_cap: None,
            parent: None,
            run: is_run.then(|| Box::new(run)),
        };
        let job = Job::accepted(id.clone(), 1, START, spec, Owner::User { uid: 1 });
        let mut scene = Self {
            dispatcher: Dispatcher::new(Caps::default()),
            id,
            now: START,
            attempt: 1,
        };
        let accepted = scene.dispatcher.decide(
            START,
            Input::Accepted {
                job: Box::new(job),
                open_needs: Vec::new(),
                failed_need: None,
            },
        );
        assert_eq!(accepted.actions.len(), 1);
        scene
    }

    /// The agent names its conversation.
    fn talks(&mut self) {
        let input = Input::ThreadKnown {
            job: self.id.clone(),
            attempt: self.attempt,
            thread: "t".to_owned(),
        };
        let _ = self.dispatcher.decide(self.now, input);
    }

    /// The attempt fails; whether another one is started.
    fn fails(&mut self, code: FailureCode) -> bool {
        let end = JobEnd::without_process(Outcome::Failed(Failure::new(code, "m")));
        let input = Input::AttemptOver {
            job: self.id.clone(),
            attempt: self.attempt,
            verdict: Box::new(Verdict::Settled(end)),
        };
        let decision = self.dispatcher.decide(self.now, input);
        let ended = decision
            .records
            .iter()
            .any(|(_, event)| matches!(event, LifecycleEvent::Ended { .. }));
        let next = Action::Start {
            job: self.id.clone(),
            attempt: self.attempt + 1,
        };
        let starts = decision.actions.contains(&next);
        assert_ne!(ended, starts, "{decision:?}");
        self.attempt += 1;
        starts
    }
}

#[test]
fn an_answer_without_its_form_is_repaired_once() {
    let mut scene = Scene::new(true);
    scene.talks();
    assert!(scene.fails(FailureCode::InvalidOutput));
    assert!(!scene.fails(FailureCode::InvalidOutput));
}

#[test]
fn what_is_no_run_or_failed_otherwise_is_not_repaired() {
    let mut job = Scene::new(false);
    job.talks();
    assert!(!job.fails(FailureCode::InvalidOutput));
    let mut failed = Scene::new(true);
    failed.talks();
    assert!(!failed.fails(FailureCode::AgentFailed));
}

/// Without a conversation there is nothing to repair: the work would be done again.
#[test]
fn without_a_conversation_nothing_is_repaired() {
    let mut scene = Scene::new(true);
    assert!(!scene.fails(FailureCode::InvalidOutput));
}
