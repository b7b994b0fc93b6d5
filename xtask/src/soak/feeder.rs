//! Asks for jobs by the command line, again with the same key when an answer
//! was lost, and cancels some.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use convoke_test_support::{census, environment::Ran};

use super::{
    plan::{Job, LONGEST},
    random::Random,
    stage::{Due, Stage, rest},
};

/// How long a key may go without an answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of so many of the latest jobs those that are needed are chosen.
const NEEDED_AMONG: usize = 40;
/// Exit code of a client whose daemon is away.
const UNAVAILABLE: i32 = 6;
/// Exit code of a client that does not know why.
const FAILURE: i32 = 1;
/// Exit code of a client whose job is not known.
const UNKNOWN_JOB: i32 = 4;

/// What the clients are called that are killed here.
pub const CLIENT: &str = "spawn command";

/// What became of one request.
enum Answer {
    /// The job.
    Job(String),
    /// None: the client died, or the daemon was away.
    Lost,
    /// It will not be accepted.
    Refused(String),
}

/// Keeps about `jobs` alive until the time is over.
pub fn feed(stage: &Stage, number: u64, jobs: u64) {
    let mut random = Random::new(stage.plan.seed, number);
    while stage.goes_on() {
        if stage.live() >= jobs {
            rest(50);
            continue;
        }
        let job = stage.plan.job(stage.next_index(), false);
        let needs = choose_needs(stage, &job, &mut random);
        let arguments = arguments(stage, &job, &needs);
        stage.ledger.asked(&job);
        let Some(id) = ask(stage, &job, &arguments) else {
            continue;
        };
        stage.one_more();
        if job.repeated {
            stage.ledger.count("request: repeated");
            ask(stage, &job, &arguments);
        }
        if let Some((after, force)) = job.cancel {
            let at = Instant::now() + Duration::from_millis(after);
            stage.cancel_later(Due { at, id, force });
        }
    }
}

/// Cancels jobs whose time has come.
pub fn cancel(stage: &Stage) {
    while stage.goes_on() {
        for due in stage.take_due() {
            cancel_one(stage, &due);
        }
        rest(20);
    }
}

fn cancel_one(stage: &Stage, due: &Due) {
    let mut arguments = vec!["cancel", "--wait", "0s"];
    if due.force {
        arguments.push("--force");
    }
    arguments.push(&due.id);
    stage.ledger.count(match due.force {
        true => "cancel: by force",
        false => "cancel: politely",
    });
    stage.ledger.cancelled(&due.id);
    match stage.run(&arguments) {
        Ok(ran) if ran.code == Some(UNKNOWN_JOB) => stage
            .ledger
            .fail_at_large(format!("cancel {}, which was accepted: {ran}", due.id)),
        Ok(_) => {}
        Err(error) => stage.ledger.fail_at_large(error),
    }
}

fn choose_needs(stage: &Stage, job: &Job, random: &mut Random) -> Vec<String> {
    let recent = stage.ledger.recent(NEEDED_AMONG);
    let mut needs: Vec<String> = (0..job.needs)
        .filter_map(|_| random.pick(&recent).cloned())
        .collect();
    needs.sort();
    needs.dedup();
    needs
}

fn arguments(stage: &Stage, job: &Job, needs: &[String]) -> Vec<String> {
    let token = format!("SOAK_TOKEN={}", job.token);
    let mut words: Vec<String> = [
        "spawn",
        "--label",
        &job.key,
        "--idempotency-key",
        &job.key,
        "--timeout",
        LONGEST,
        "--idle-timeout",
        job.idle,
        "--env",
        &token,
    ]
    .map(str::to_owned)
    .to_vec();
    let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
    for need in needs {
        add(&["--needs", need]);
    }
    if let Some(path) = &job.path {
        add(&["--env", &format!("PATH={path}")]);
    }
    let agent = stage.world.agent.display().to_string();
    match job.temper.is_codex() {
        true => add(&["--sandbox", "read-only", &job.text]),
        false => add(&["--", &agent, "--inline", &job.text]),
    }
    words
}

/// Asks until there is an answer; none when it is refused or patience ends.
fn ask(stage: &Stage, job: &Job, arguments: &[String]) -> Option<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut first = stage.kills > 0;
    while Instant::now() < deadline {
        // The first client of some jobs dies, those after it do not.
        let dies = job.client_dies.filter(|_| std::mem::take(&mut first));
        match ask_once(stage, arguments, dies) {
            Answer::Job(id) => {
                stage.ledger.answered(job.index, &id);
                return Some(id);
            }
            Answer::Lost => {
                stage.ledger.count("request: answer lost");
                rest(100);
            }
            Answer::Refused(why) => {
                stage
                    .ledger
                    .fail(job, None, format!("it was refused: {why}"));
                return None;
            }
        }
    }
    let what = format!("no answer to its spawn within {} s", PATIENCE.as_secs());
    stage.ledger.fail(job, None, what);
    None
}

fn ask_once(stage: &Stage, arguments: &[String], dies: Option<u64>) -> Answer {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = stage.environment().convoke(&words);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let ended = match child {
        Ok(mut child) => {
            if let Some(milliseconds) = dies {
                kill_later(stage, &mut child, milliseconds);
            }
            Ran::try_ended(child, "convoke spawn")
        }
        Err(error) => Err(format!("start convoke spawn: {error}")),
    };
    match ended {
        Ok(ran) if ran.success() => Answer::Job(ran.stdout.trim().to_owned()),
        Ok(Ran { code: None, .. }) => Answer::Lost,
        Ok(ran) if ran.code == Some(UNAVAILABLE) => Answer::Lost,
        Ok(ran) if ran.code == Some(FAILURE) => {
            let said = ran.stderr.lines().next().unwrap_or_default();
            stage.ledger.count(&format!("odd answer: {said}"));
            Answer::Lost
        }
        Ok(ran) => Answer::Refused(ran.to_string()),
        Err(error) => Answer::Refused(error),
    }
}

/// Kills a client unless it has ended by then.
fn kill_later(stage: &Stage, child: &mut Child, milliseconds: u64) {
    let deadline = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        census::pause();
    }
    // It is ours and was not waited for, so the id is still its own.
    if child.kill().is_ok() {
        stage.ledger.count(&format!("kill: {CLIENT}"));
    }
}
