//! What reaches the dispatcher from outside: the messages of runners, some of
//! them twice or too late, and the wishes of people.

use convoke_core::{
    coordination::Clash,
    dispatcher::{Input, Verdict},
    failure::{Failure, FailureCode},
    finding::{Finding, Rule, Violation},
    ids::JobId,
    job::Job,
    lifecycle::{JobEnd, Outcome, StopReason},
    time::UnixMillis,
};

use super::{Check, World};
use crate::{oracle::Phase, random::Random};

/// A runner, or what a restarted daemon finds in place of one.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) attempt: u32,
    pub(super) talks: Talks,
    pub(super) reported: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Talks {
    /// Its agent does not run yet.
    NotYet,
    Running,
    /// It has said its last word.
    Finishing,
    /// It is gone, and this is what came of it.
    Gone(Verdict),
}

impl World<'_> {
    /// A runner gets on.
    pub(super) fn advance(&mut self, random: &mut Random) -> Check {
        if self.runners.is_empty() {
            return self.commit(1 + random.below(4));
        }
        let chosen = random.below(self.runners.len());
        let (&job, runner) = self
            .runners
            .iter_mut()
            .nth(chosen)
            .expect("chosen among them");
        let (id, attempt) = (self.ids.names[job].clone(), runner.attempt);
        let input = match (&runner.talks, random.number(10)) {
            (Talks::NotYet, 0 | 1) => return self.over(job, never_started()),
            (Talks::NotYet, 2) | (Talks::Running, 0..6) | (Talks::Finishing, 0..9) => {
                let verdict = self.settled(job, random);
                return self.over(job, verdict);
            }
            (Talks::Gone(verdict), _) => {
                let verdict = verdict.clone();
                return self.over(job, verdict);
            }
            (Talks::NotYet, _) => {
                runner.talks = Talks::Running;
                let pid = Some(7);
                Input::AttemptRunning {
                    job: id,
                    attempt,
                    pid,
                    containment: String::new(),
                }
            }
            (Talks::Running, 6 | 7) => {
                let thread = format!("thread-{}", random.number(2));
                Input::ThreadKnown {
                    job: id,
                    attempt,
                    thread,
                }
            }
            (Talks::Running | Talks::Finishing, _) => {
                runner.talks = Talks::Finishing;
                Input::LastWord { job: id, attempt }
            }
        };
        self.send(input)
    }

    /// A runner is gone, or was before, and what came of it is reported.
    pub(super) fn over(&mut self, job: usize, verdict: Verdict) -> Check {
        let Some(runner) = self.runners.get_mut(&job) else {
            return Ok(());
        };
        let verdict = match &runner.talks {
            Talks::Gone(known) => known.clone(),
            _ => verdict,
        };
        runner.talks = Talks::Gone(verdict.clone());
        let again = std::mem::replace(&mut runner.reported, true);
        // An attempt that does not count gives its number to the next one, so
        // its end is reported once.
        if again && matches!(verdict, Verdict::NeverStarted { .. }) {
            return self.commit(1);
        }
        let input = Input::AttemptOver {
            job: self.ids.names[job].clone(),
            attempt: runner.attempt,
            verdict: Box::new(verdict.clone()),
        };
        match verdict {
            Verdict::Settled(_) | Verdict::Clashed { .. } => self.send(input),
            Verdict::NeverStarted { .. } => self.submit(input),
        }
    }

    fn send(&mut self, input: Input) -> Check {
        self.sent.push(input.clone());
        self.submit(input)
    }

    /// A message comes again, or about an attempt that is not live.
    pub(super) fn repeat(&mut self, random: &mut Random) -> Check {
        if !self.folded.is_empty() && random.chance(40) {
            return self.repeat_about(random);
        }
        if self.sent.is_empty() || random.chance(30) {
            self.submit(Input::Tick)?;
            return self.reasons_are_right();
        }
        let input = self.sent[random.below(self.sent.len())].clone();
        self.submit(input)
    }

    fn repeat_about(&mut self, random: &mut Random) -> Check {
        let job = random.below(self.folded.len());
        let known = self.oracle.status[job].submitted && self.oracle.ended(job).is_none();
        if known && random.chance(30) {
            let input = self.accepted_input(job);
            return self.submit(input);
        }
        let attempt = random.number(4);
        if self.oracle.status[job].phase == Phase::Live(attempt) {
            return self.submit(Input::Tick);
        }
        let id = self.ids.names[job].clone();
        let input = match random.number(6) {
            4 => return self.leftovers_gone(job),
            5 => found(id, random.number(3)),
            0 => Input::AttemptRunning {
                job: id,
                attempt,
                pid: None,
                containment: String::new(),
            },
            1 => Input::LastWord { job: id, attempt },
            2 => Input::AttemptOver {
                job: id,
                attempt,
                verdict: Box::new(never_started()),
            },
            _ => Input::AttemptOver {
                job: id,
                attempt,
                verdict: Box::new(settled(random)),
            },
        };
        self.submit(input)
    }

    /// What an ended job left behind, if anything, is gone for good.
    pub(super) fn leftovers_gone(&mut self, job: usize) -> Check {
        // Known only of those whose end is committed.
        if Job::replay(&self.log_of[job]).is_some_and(|job| job.is_over()) {
            self.let_go.insert(job);
        } else if self.oracle.left.contains(&job) {
            return Ok(());
        }
        let job = self.ids.names[job].clone();
        self.submit(Input::LeftoversGone { job })
    }

    /// What came of an attempt; strict ones collide now and then.
    pub(super) fn settled(&self, job: usize, random: &mut Random) -> Verdict {
        match settled(random) {
            Verdict::Settled(end)
                if end.outcome == Outcome::Completed
                    && self.oracle.facts[job].strict
                    && random.chance(40) =>
            {
                let clash = Clash {
                    with: vec![self.ids.names[random.below(self.folded.len())].clone()],
                    paths: vec!["f".to_owned()],
                };
                Verdict::Clashed {
                    end,
                    clash: Box::new(clash),
                }
            }
            other => other,
        }
    }

    pub(super) fn stop(&mut self, random: &mut Random) -> Check {
        if self.folded.is_empty() {
            return Ok(());
        }
        let job = random.below(self.folded.len());
        let reason = [
            StopReason::Cancelled,
            StopReason::Interrupted,
            StopReason::Shutdown,
        ][random.below(3)];
        let job = self.ids.names[job].clone();
        self.submit(Input::StopRequested {
            job,
            reason,
            force: random.chance(40),
            after: None,
        })
    }
}

/// One of a few things that may be seen of a job, the same ones again and again.
fn found(job: JobId, which: u32) -> Input {
    let violation = Violation {
        rule: Rule::History,
        message: "HEAD moved".to_owned(),
        items: vec![format!("refs/heads/{which}")],
    };
    Input::Found {
        job,
        findings: vec![Finding::Violation(violation)],
        after: None,
    }
}

pub(super) fn never_started() -> Verdict {
    Verdict::NeverStarted {
        cause: Failure::new(FailureCode::Internal, "no runner came to be"),
    }
}

fn settled(random: &mut Random) -> Verdict {
    let outcome = if random.chance(60) {
        Outcome::Completed
    } else {
        Outcome::Failed(failure(random))
    };
    let mut end = JobEnd::without_process(outcome);
    if random.chance(5) {
        end.leftovers.push("7 left".to_owned());
    }
    end.exit_code = Some(i32::from(random.chance(50)));
    end.final_message = Some("done".to_owned());
    Verdict::Settled(end)
}

fn failure(random: &mut Random) -> Failure {
    let codes = [
        FailureCode::AgentFailed,
        FailureCode::Auth,
        FailureCode::TimedOut,
        FailureCode::Network,
        FailureCode::Overloaded,
        FailureCode::RateLimited,
        FailureCode::Lost,
    ];
    let failure = Failure::new(codes[random.below(codes.len())], "it failed");
    let until = random
        .chance(30)
        .then(|| UnixMillis(1_700_000_000_000 + u64::from(random.number(600_000))));
    failure.until(until)
}
