//! SIGKILL between every two steps: no job, event or outcome is lost or
//! doubled, and there are never two agents for one job.

use std::path::PathBuf;

use convoke_test_support::{
    census,
    environment::{Ran, TestEnvironment},
    wait::{wait_for, wait_for_file},
};
use serde_json::{Value, json};

use crate::{
    checks::{all_jobs, lines, messages, only_the_daemon_runs, secrets_are_gone, whole_events},
    world::{scripted_agent, world},
};

const SECRET: &str = "hush-hush-hush";

/// A world with one job that is asked for again and again with one
/// idempotency key. Its agent writes a line into a file when it starts.
struct Scene {
    world: TestEnvironment,
    script: Value,
    started: PathBuf,
    gate: PathBuf,
}

impl Scene {
    /// `gated`: the agent prints its last line only when the gate is open.
    fn new(gated: bool) -> Self {
        let world = world();
        let (started, gate) = (world.root().join("started"), world.root().join("gate"));
        let mut script = vec![
            json!({"do": "write", "path": started, "text": "started\n", "append": true}),
            json!({"do": "print_env"}),
            json!({"do": "out", "text": "first"}),
        ];
        if gated {
            script.push(json!({"do": "wait_file", "path": gate}));
        }
        script.push(json!({"do": "out", "text": "last"}));
        Self {
            world,
            script: Value::from(script),
            started,
            gate,
        }
    }

    fn start_daemon(&self, variable: &str, value: &str) -> i32 {
        let started = self
            .world
            .run_with(&[(variable, value)], &["daemon", "start"]);
        assert!(started.success(), "{started}");
        self.world.daemon_pid().expect("a daemon serves")
    }

    fn ask(&self) -> Ran {
        let agent = scripted_agent();
        let secret = format!("A_TOKEN={SECRET}");
        self.world.run(&[
            "spawn",
            "--idempotency-key",
            "one",
            "--env",
            &secret,
            "--",
            agent.to_str().expect("UTF-8"),
            "--inline",
            &self.script.to_string(),
        ])
    }

    /// The job, made by the first request or by this repetition.
    fn job(&self) -> String {
        let ran = self.ask();
        assert!(ran.success(), "{ran}");
        let job = ran.stdout.trim().to_owned();
        assert_eq!(all_jobs(&self.world).len(), 1, "exactly one job");
        job
    }

    fn open_gate(&self) {
        fs_err::write(&self.gate, "").expect("the gate opens");
    }

    /// The job is whole and its agent ran once.
    fn check_completed(&self, job: &str) {
        assert_eq!(self.world.wait_end(job), "completed");
        let events = whole_events(&self.world, job);
        let said = messages(&events);
        let count = |line: &str| said.iter().filter(|said| **said == line).count();
        assert_eq!((count("first"), count("last")), (1, 1), "{said:#?}");
        assert_eq!(said.last(), Some(&"last"));
        assert_eq!(lines(&self.started), 1, "the agent ran once");
        assert!(self.world.ok(&["result", job]).ends_with("first\nlast"));
        self.check_nothing_left(job);
    }

    fn check_nothing_left(&self, job: &str) {
        secrets_are_gone(&self.world, job);
        only_the_daemon_runs(&self.world);
        crate::secrets::assert_nowhere(&self.world.state_home(), SECRET);
    }
}

/// The first daemon kills itself at a point of the job's life; the next one
/// goes on.
fn daemon_dies_at(point: &str, gated: bool) {
    let scene = Scene::new(gated);
    let daemon = scene.start_daemon("CONVOKE_TEST_DAEMON_DIES_AT", point);
    // It may be answered or not.
    let _ = scene.ask();
    wait_for(&format!("the daemon to die at {point}"), || {
        census::gone(daemon)
    });
    let job = scene.job();
    scene.open_gate();
    scene.check_completed(&job);
}

macro_rules! daemon_dies {
    ($($name:ident: $point:literal, gated $gated:literal;)*) => {
        mod the_daemon_dies { $(
            #[test]
            fn $name() {
                super::daemon_dies_at($point, $gated);
            }
        )* }
    };
}

daemon_dies! {
    before_the_acceptance: "before_accept_commit", gated true;
    after_the_acceptance: "after_accept_commit", gated true;
    before_the_answer: "before_accept_reply", gated true;
    with_the_start_committed: "committed:attempt.starting", gated true;
    with_the_start_told: "published:attempt.starting", gated true;
    with_the_runner_folder_made: "runner_folder_created", gated true;
    with_the_attempt_prepared: "attempt_prepared", gated true;
    with_the_lock_taken: "lock_taken", gated true;
    with_the_spec_written: "spec_written", gated true;
    with_the_runner_started: "runner_spawned", gated true;
    with_the_agent_let_go: "go_sent", gated true;
    with_events_written: "events_appended", gated true;
    with_events_flushed: "events_flushed", gated true;
    with_the_agent_known: "committed:attempt.running", gated true;
    with_the_agent_told: "published:attempt.running", gated true;
    with_a_checkpoint: "checkpoint_committed", gated true;
    before_the_verdict: "before_verdict", gated false;
    with_the_end_committed: "committed:job.ended", gated false;
    with_the_end_told: "published:job.ended", gated false;
    before_the_secrets_go: "before_scrub", gated false;
    with_the_journal_blanked: "journals_blanked", gated false;
    with_the_secrets_gone: "secrets_removed", gated false;
}

/// The first daemon kills itself at a point of a job's stop; the next one
/// stops it.
fn daemon_dies_stopping_at(point: &str) {
    let scene = Scene::new(true);
    let daemon = scene.start_daemon("CONVOKE_TEST_DAEMON_DIES_AT", point);
    let job = scene.job();
    scene.world.wait_state(&job, &["running"]);
    wait_for_file(&scene.started);
    // The answer is lost with the daemon.
    let _ = scene.world.run(&["cancel", "--wait", "0s", &job]);
    wait_for(&format!("the daemon to die at {point}"), || {
        census::gone(daemon)
    });
    assert_eq!(scene.world.wait_end(&job), "cancelled");
    whole_events(&scene.world, &job);
    assert_eq!(lines(&scene.started), 1);
    scene.check_nothing_left(&job);
}

macro_rules! daemon_dies_stopping {
    ($($name:ident: $point:literal;)*) => {
        mod the_daemon_dies_stopping_a_job { $(
            #[test]
            fn $name() {
                super::daemon_dies_stopping_at($point);
            }
        )* }
    };
}

daemon_dies_stopping! {
    with_the_stop_committed: "committed:job.stopping";
    with_the_stop_told: "published:job.stopping";
    with_the_stop_passed_on: "stop_sent";
    before_the_verdict: "before_verdict";
    with_the_end_committed: "committed:job.ended";
}

/// What becomes of a job whose runner kills itself.
enum Fate {
    /// The agent's end is not known.
    Lost {
        /// How often the agent can have run.
        most_starts: usize,
    },
    /// Everything was written down before.
    Completed,
}

/// The runner kills itself at a point. `CONVOKE_TEST_STOP_AT` stays set for
/// every runner of the first daemon.
fn runner_dies_at(point: &str, fate: &Fate) {
    let scene = Scene::new(false);
    scene.start_daemon("CONVOKE_TEST_STOP_AT", point);
    let job = scene.job();
    match fate {
        Fate::Completed => scene.check_completed(&job),
        Fate::Lost { most_starts } => {
            assert_eq!(scene.world.wait_end(&job), "failed");
            let status = scene.world.json(&["status", &job]);
            assert_eq!(status["code"], "lost", "{status:#}");
            whole_events(&scene.world, &job);
            assert!(lines(&scene.started) <= *most_starts);
            scene.check_nothing_left(&job);
        }
    }
}

macro_rules! runner_dies {
    ($($name:ident: $point:literal, $fate:expr;)*) => {
        mod the_runner_dies {
            use super::Fate::{Completed, Lost};
            $(
                #[test]
                fn $name() {
                    super::runner_dies_at($point, &$fate);
                }
            )*
        }
    };
}

runner_dies! {
    always_before_it_said_who_it_is: "runner_locked", Lost { most_starts: 0 };
    having_said_who_it_is: "runner_identified", Lost { most_starts: 0 };
    before_the_agent_is_in: "runner_contained", Lost { most_starts: 0 };
    with_the_agent_started: "agent_started", Lost { most_starts: 1 };
    with_the_agent_gone: "agent_exited", Lost { most_starts: 1 };
    before_its_record: "before_exit_record", Lost { most_starts: 1 };
    after_its_record: "after_exit_record", Completed;
}

#[test]
fn an_attempt_that_never_ran_is_started_again() {
    let scene = Scene::new(false);
    scene.start_daemon("CONVOKE_TEST_STOP_AT", "runner_locked");
    let job = scene.job();
    wait_for("the job to be put back", || {
        let events = scene.world.events(&job);
        let back = events.iter().any(|event| event["type"] == "requeued");
        back.then_some(()).ok_or_else(|| format!("{events:#?}"))
    });
    scene.world.kill_daemon();
    scene.check_completed(&job);
}

/// Daemon and runner both die.
fn both_die(daemon_at: &str, runner_at: &str, state: &str, most_starts: usize) {
    let scene = Scene::new(false);
    let variables = [
        ("CONVOKE_TEST_DAEMON_DIES_AT", daemon_at),
        ("CONVOKE_TEST_STOP_AT", runner_at),
    ];
    let started = scene.world.run_with(&variables, &["daemon", "start"]);
    assert!(started.success(), "{started}");
    let daemon = scene.world.daemon_pid().expect("a daemon serves");
    let _ = scene.ask();
    wait_for("the daemon to die", || census::gone(daemon));
    let job = scene.job();
    assert_eq!(scene.world.wait_end(&job), state);
    whole_events(&scene.world, &job);
    assert!(lines(&scene.started) <= most_starts);
    scene.check_nothing_left(&job);
}

#[test]
fn daemon_and_runner_die_before_anything_ran() {
    both_die("runner_spawned", "runner_locked", "completed", 1);
}

#[test]
fn daemon_and_runner_die_before_the_agent_runs() {
    both_die("runner_spawned", "runner_contained", "failed", 0);
}

#[test]
fn daemon_and_runner_die_with_the_agent() {
    both_die("runner_spawned", "agent_started", "failed", 1);
}

#[test]
fn the_daemon_dies_and_the_runner_after_its_record() {
    both_die("runner_spawned", "after_exit_record", "completed", 1);
}
