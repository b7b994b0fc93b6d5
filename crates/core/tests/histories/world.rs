//! The simulated world around the dispatcher: a committer that lags behind,
//! runners that outlive the daemon, a clock that jumps.

mod messages;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt::Write as _,
    path::PathBuf,
};

use convoke_core::{
    coordination::Coordination,
    dispatcher::{Action, Decision, Dispatcher, Input},
    failure::{Failure, FailureCode},
    ids::JobId,
    job::Job,
    lifecycle::{LifecycleEvent, LifecycleRecord, Outcome},
    limits::Limits,
    owner::Owner,
    retry::RetryPolicy,
    sandbox::{Access, Sandbox},
    scheduler::{Blocked, Caps, Need},
    scope::Scope,
    spec::{JobSpec, SPEC_VERSION, Work, Workspace},
    time::UnixMillis,
};

use self::messages::{Runner, Talks, never_started};
use crate::{
    history::{History, Kind, Profile, Step},
    oracle::{FOLDERS, Facts, OWNERS, Oracle, Phase, TREE_NAMES, TREES, rule},
    random::Random,
};

/// Names of the jobs of a history, in the order of acceptance.
pub struct Ids {
    names: Vec<JobId>,
    indices: HashMap<JobId, usize>,
}

impl Ids {
    /// Enough names for the longest history.
    pub fn new() -> Self {
        // The order of the names is not the order of acceptance.
        let names: Vec<JobId> = (0..400_u64)
            .map(|n| JobId::from_random(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        let indices = names
            .iter()
            .cloned()
            .enumerate()
            .map(|(index, id)| (id, index))
            .collect();
        Self { names, indices }
    }

    /// Which job has this name.
    pub fn index(&self, id: &JobId) -> usize {
        self.indices[id]
    }
}

fn tree_folder(tree: usize) -> PathBuf {
    PathBuf::from(TREE_NAMES[tree])
}

/// The world of one history.
pub struct World<'a> {
    ids: &'a Ids,
    profile: Profile,
    now: UnixMillis,
    caps: Caps,
    dispatcher: Dispatcher,
    oracle: Oracle,
    /// The fold of the decided records, to compare with the live jobs.
    folded: Vec<Job>,
    /// Committed records, all and by job.
    log: Vec<LifecycleRecord>,
    log_of: Vec<Vec<LifecycleRecord>>,
    /// Decisions not committed yet.
    pending: VecDeque<(UnixMillis, Decision)>,
    /// Jobs accepted of which the dispatcher has not heard.
    unsubmitted: VecDeque<usize>,
    runners: BTreeMap<usize, Runner>,
    /// Inputs that may come again.
    sent: Vec<Input>,
    /// Ended jobs of which nothing is left any more.
    let_go: BTreeSet<usize>,
    story: Option<String>,
}

type Check = Result<(), String>;

impl<'a> World<'a> {
    /// The world before the first step.
    pub fn new(history: &History, ids: &'a Ids) -> Self {
        Self {
            ids,
            profile: history.profile,
            now: UnixMillis(1_700_000_000_000),
            caps: history.caps,
            dispatcher: Dispatcher::new(history.caps),
            oracle: Oracle::default(),
            folded: Vec::new(),
            log: Vec::new(),
            log_of: Vec::new(),
            pending: VecDeque::new(),
            unsubmitted: VecDeque::new(),
            runners: BTreeMap::new(),
            sent: Vec::new(),
            let_go: BTreeSet::new(),
            story: None,
        }
    }

    /// Tells a history step by step.
    pub fn tell(history: &History, ids: &'a Ids) -> String {
        let mut world = Self::new(history, ids);
        world.story = Some(String::new());
        let failed = history.steps.iter().any(|step| world.step(*step).is_err());
        if !failed {
            let _ = world.settle();
        }
        world.story.unwrap_or_default()
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let _ = writeln!(story, "{} {}", self.now.0 % 100_000_000, what());
        }
    }

    /// Lets one step happen.
    pub fn step(&mut self, step: Step) -> Check {
        let mut random = Random::new(step.bits);
        match step.kind {
            Kind::Accept => self.accept(&mut random),
            Kind::Submit => self.submit_accepted(),
            Kind::Advance => self.advance(&mut random),
            Kind::Repeat => self.repeat(&mut random),
            Kind::Stop => self.stop(&mut random),
            Kind::Tick if random.chance(30) => self.writer_ended(&mut random),
            Kind::Tick => self.submit(Input::Tick),
            Kind::Clock => {
                self.move_clock(&mut random);
                Ok(())
            }
            Kind::Caps if random.chance(50) => self.writer_ended(&mut random),
            Kind::Caps => {
                let caps = Caps {
                    total: random.number(7),
                    readers: random.number(4),
                    writers: random.number(3),
                };
                self.set_caps(caps)
            }
            Kind::Commit => self.commit(1 + random.below(6)),
            Kind::Crash => self.crash(&mut random),
        }
    }

    /// Lets all runners get on until every job is over.
    pub fn settle(&mut self) -> Check {
        self.commit(usize::MAX)?;
        while !self.unsubmitted.is_empty() {
            self.submit_accepted()?;
        }
        let floor = |cap: u32| cap.max(1);
        let Caps {
            total,
            readers,
            writers,
        } = self.caps;
        self.set_caps(Caps {
            total: floor(total),
            readers: floor(readers),
            writers: floor(writers),
        })?;
        let mut random = Random::new(0);
        // Jobs of one scope run one after the other, and each may be told several
        // times to come back in ten minutes.
        let rounds = 20 + 130 * self.folded.len();
        for _ in 0..rounds {
            self.now = self.now.plus(20_000);
            self.submit(Input::Tick)?;
            self.commit(usize::MAX)?;
            let live: Vec<usize> = self.runners.keys().copied().collect();
            for job in live {
                let verdict = self.settled(job, &mut random);
                self.over(job, verdict)?;
            }
            self.commit(usize::MAX)?;
            for job in self.oracle.left.clone() {
                self.leftovers_gone(job)?;
            }
            if self.dispatcher.queued() + self.dispatcher.running() == 0 {
                break;
            }
        }
        for (job, folded) in self.folded.iter().enumerate() {
            rule!(
                folded.is_over(),
                "job {job} never ends: {:?}, {:?}",
                folded.state,
                self.dispatcher.why_queued(&folded.id, self.now)
            );
            let replayed = Job::replay(&self.log_of[job]);
            rule!(
                replayed.as_ref() == Some(folded),
                "job {job} is replayed as {replayed:?}"
            );
        }
        rule!(
            self.dispatcher.jobs().next().is_none(),
            "jobs are left over"
        );
        self.oracle.after_crash(&self.log, self.ids).map(|_| ())
    }

    fn set_caps(&mut self, caps: Caps) -> Check {
        self.note(|| format!("{caps:?}"));
        self.caps = caps;
        self.dispatcher.set_caps(caps);
        self.submit(Input::Tick)
    }

    /// It was looked whether a writer collided with another.
    fn writer_ended(&mut self, random: &mut Random) -> Check {
        self.submit(Input::WriterEnded {
            tree: PathBuf::from(TREE_NAMES[random.below(TREES)]),
            overlapped: random.chance(40),
        })
    }

    fn move_clock(&mut self, random: &mut Random) {
        let by = match random.number(10) {
            0 => -i64::from(random.number(120_000)),
            1 => i64::from(random.number(200_000)),
            2..5 => i64::from(random.number(30_000)),
            _ => i64::from(random.number(3_000)),
        };
        self.now = UnixMillis(self.now.0.saturating_add_signed(by));
    }

    fn accept(&mut self, random: &mut Random) -> Check {
        let job = self.folded.len();
        let facts = self.facts(random);
        let (spec, owner) = self.spec(&facts);
        let id = self.ids.names[job].clone();
        let accepted = LifecycleEvent::Accepted {
            spec: Box::new(spec),
            owner,
        };
        self.log_of.push(Vec::new());
        self.log(self.now, id.clone(), accepted);
        // Those that were accepted before held their scopes one after the other.
        let attempts = if facts.scope.is_empty() && random.chance(8) {
            1 + random.number(2)
        } else {
            0
        };
        for attempt in 1..=attempts {
            self.log_attempt(&id, attempt);
        }
        self.note(|| format!("job {job} accepted: {facts:?}, {attempts} attempts behind it"));
        self.oracle.accepted(facts, attempts);
        let folded = Job::replay(&self.log_of[job]).ok_or("an accepted job cannot be replayed")?;
        self.folded.push(folded);
        self.unsubmitted.push_back(job);
        if random.chance(10) {
            Ok(())
        } else {
            self.submit_accepted()
        }
    }

    /// An attempt that a daemon with retries made and that counts.
    fn log_attempt(&mut self, id: &JobId, attempt: u32) {
        let runner = convoke_core::ids::RunnerId::of_attempt(id, attempt);
        self.log(
            self.now,
            id.clone(),
            LifecycleEvent::AttemptStarting { attempt, runner },
        );
        let cause = Failure::new(FailureCode::Network, "the provider was out of reach");
        let requeued = LifecycleEvent::Requeued {
            attempt,
            cause,
            counted: true,
            not_before: None,
            clash: None,
        };
        self.log(self.now, id.clone(), requeued);
    }

    fn facts(&self, random: &mut Random) -> Facts {
        let job = self.folded.len();
        let crowded = self.profile == Profile::Crowded;
        let percent = match self.profile {
            Profile::Needs => 60,
            Profile::Crowded => 0,
            Profile::Everyday | Profile::Crashes => 15,
        };
        let others = |random: &mut Random, percent| {
            let count = if job > 0 && random.chance(percent) {
                1 + random.below(2)
            } else {
                0
            };
            // Mostly recent jobs, so that chains grow long.
            (0..count)
                .map(|_| job - 1 - random.below(job.min(6)))
                .collect::<Vec<_>>()
        };
        let needs = others(random, percent);
        let after = others(random, percent / 2);
        let access = if random.chance(50) {
            Access::Read
        } else {
            Access::Write
        };
        let scoped = access == Access::Write && random.chance(40);
        let scope: BTreeSet<usize> = (0..usize::from(scoped) + random.below(2))
            .map(|_| random.below(FOLDERS.len()))
            .collect();
        Facts {
            seq: self.log.len() as u64 + 1,
            priority: if crowded {
                0
            } else {
                [0, 0, 0, 1, -1][random.below(5)]
            },
            tree: random.below(TREES),
            access,
            strict: access == Access::Write && random.chance(50),
            scope: scope.into_iter().filter(|_| scoped).collect(),
            owner: random.below(OWNERS),
            owner_cap: random.chance(50).then(|| 1 + random.number(3)),
            needs,
            after,
            attempts: 1 + random.number(4),
        }
    }

    fn spec(&self, facts: &Facts) -> (JobSpec, Owner) {
        let named = |jobs: &[usize]| {
            jobs.iter()
                .map(|job| self.ids.names[*job].clone())
                .collect()
        };
        let spec = JobSpec {
            version: SPEC_VERSION,
            work: Work::Command { argv: Vec::new() },
            label: None,
            working_directory: PathBuf::new(),
            tree: tree_folder(facts.tree),
            sandbox: Sandbox::WorkspaceWrite,
            access: facts.access,
            workspace: Workspace::Shared,
            coordination: match facts.strict {
                true => Coordination::Strict,
                false => Coordination::Dirty,
            },
            scope: (!facts.scope.is_empty()).then(|| Scope {
                write: facts
                    .scope
                    .iter()
                    .map(|folder| tree_folder(facts.tree).join(FOLDERS[*folder]))
                    .collect(),
                read: Vec::new(),
            }),
            limits: Limits::default(),
            retry: RetryPolicy {
                attempts: facts.attempts,
                pause_ms: 500,
                longest_pause_ms: 4_000,
                ..RetryPolicy::default()
            },
            needs: named(&facts.needs),
            after: named(&facts.after),
            priority: facts.priority,
            owner_cap: facts.owner_cap,
            parent: None,
            run: None,
        };
        (
            spec,
            Owner::User {
                uid: facts.owner as u32,
            },
        )
    }

    fn submit_accepted(&mut self) -> Check {
        let Some(job) = self.unsubmitted.pop_front() else {
            return Ok(());
        };
        let input = self.accepted_input(job);
        self.submit(input)
    }

    fn accepted_input(&self, job: usize) -> Input {
        let facts = &self.oracle.facts[job];
        let failed = |need: &&usize| self.committed_end(**need) == Some(false);
        let failed_need = facts.needs.iter().find(failed);
        Input::Accepted {
            job: Box::new(self.folded[job].clone()),
            open_needs: self.open_needs(job, |other| self.committed_end(other)),
            failed_need: failed_need.map(|need| self.ids.names[*need].clone()),
        }
    }

    /// Whether a job ended, and if so, whether completed, as the store tells.
    fn committed_end(&self, job: usize) -> Option<bool> {
        match &self.log_of[job].last()?.event {
            LifecycleEvent::Ended { end } => Some(end.outcome == Outcome::Completed),
            _ => None,
        }
    }

    fn open_needs(&self, job: usize, ended: impl Fn(usize) -> Option<bool>) -> Vec<Need> {
        let facts = &self.oracle.facts[job];
        let need = |other: &usize, must_complete| Need {
            job: self.ids.names[*other].clone(),
            must_complete,
        };
        let needs = facts.needs.iter().map(|other| (other, true));
        needs
            .chain(facts.after.iter().map(|other| (other, false)))
            .filter(|(other, _)| ended(**other).is_none())
            .map(|(other, must_complete)| need(other, must_complete))
            .collect()
    }

    /// Lets the dispatcher decide and has the decision judged.
    fn submit(&mut self, input: Input) -> Check {
        let decision = self.dispatcher.decide(self.now, input.clone());
        self.note(|| format!("{input:?}\n    -> {decision:?}"));
        self.oracle
            .judge(self.now, &self.caps, &input, &decision, self.ids)?;
        for (id, event) in &decision.records {
            let folded = &mut self.folded[self.ids.index(id)];
            folded
                .apply(self.now, event)
                .map_err(|illegal| format!("the fold refuses: {illegal}"))?;
        }
        for (id, _) in &decision.records {
            self.same_as_folded(self.ids.index(id))?;
        }
        self.counts_are_right()?;
        self.pending.push_back((self.now, decision));
        Ok(())
    }

    fn same_as_folded(&self, job: usize) -> Check {
        let folded = &self.folded[job];
        let live = self.dispatcher.job(&folded.id);
        let same = if folded.is_over() {
            live.is_none()
        } else {
            live == Some(folded)
        };
        rule!(same, "job {job} is {live:?}, its records say {folded:?}");
        Ok(())
    }

    fn counts_are_right(&self) -> Check {
        let queued = self
            .oracle
            .status
            .iter()
            .filter(|status| status.submitted && status.phase == Phase::Queued)
            .count();
        rule!(
            self.dispatcher.queued() == queued,
            "{queued} jobs are in line, not {}",
            self.dispatcher.queued()
        );
        rule!(
            self.dispatcher.running() == self.oracle.used.total as usize,
            "slots leak"
        );
        let pauses = self
            .oracle
            .status
            .iter()
            .filter(|status| status.submitted && status.phase == Phase::Queued);
        let deadline = pauses
            .filter_map(|status| status.not_before)
            .filter(|at| *at > self.now.0)
            .min();
        rule!(
            self.dispatcher.next_deadline(self.now) == deadline.map(UnixMillis),
            "the deadline is not {deadline:?}"
        );
        Ok(())
    }

    /// Every job in line can say why it is there.
    fn reasons_are_right(&self) -> Check {
        for (job, status) in self.oracle.status.iter().enumerate() {
            if !status.submitted || status.phase != Phase::Queued {
                continue;
            }
            let why = self.dispatcher.why_queued(&self.ids.names[job], self.now);
            let Some((blocked, position)) = why else {
                return Err(format!("job {job} cannot say why it waits"));
            };
            rule!(
                (1..=self.dispatcher.queued()).contains(&position),
                "job {job} has position {position}"
            );
            let open = self.open_needs(job, |other| self.oracle.ended(other));
            let paused = status
                .not_before
                .filter(|at| *at > self.now.0)
                .map(UnixMillis);
            let right = match &blocked {
                Blocked::Needs { jobs } => jobs.iter().eq(open.iter().map(|need| &need.job)),
                Blocked::BackOff { until } => open.is_empty() && paused == Some(*until),
                _ => open.is_empty() && paused.is_none(),
            };
            rule!(right, "job {job} waits for {blocked:?}");
        }
        Ok(())
    }

    fn log(&mut self, at: UnixMillis, job: JobId, event: LifecycleEvent) {
        let seq = self.log.len() as u64 + 1;
        let record = LifecycleRecord {
            seq,
            job,
            at,
            event,
        };
        self.log_of[self.ids.index(&record.job)].push(record.clone());
        self.log.push(record);
    }

    /// Commits the oldest decisions and carries them out.
    fn commit(&mut self, count: usize) -> Check {
        for _ in 0..count.min(self.pending.len()) {
            let actions = self.commit_records()?;
            for action in actions {
                self.carry_out(action)?;
            }
        }
        Ok(())
    }

    fn commit_records(&mut self) -> Result<Vec<Action>, String> {
        let Some((at, decision)) = self.pending.pop_front() else {
            return Ok(Vec::new());
        };
        for (id, event) in decision.records {
            let job = self.ids.index(&id);
            if let LifecycleEvent::Ended { .. } | LifecycleEvent::Requeued { .. } = event {
                let gone = self
                    .runners
                    .remove(&job)
                    .is_none_or(|runner| matches!(runner.talks, Talks::Gone(_)));
                rule!(gone, "{} of job {job} while its runner lives", event.name());
            }
            self.log(at, id, event);
        }
        Ok(decision.actions)
    }

    fn carry_out(&mut self, action: Action) -> Check {
        match action {
            Action::Start { job, attempt } => {
                let job = self.ids.index(&job);
                let committed = Job::replay(&self.log_of[job]).and_then(|job| job.state.attempt());
                rule!(
                    committed == Some(attempt),
                    "job {job} is started without a committed intent"
                );
                let runner = Runner {
                    attempt,
                    talks: Talks::NotYet,
                    reported: false,
                };
                rule!(
                    self.runners.insert(job, runner).is_none(),
                    "job {job} has two runners"
                );
            }
            Action::Stop { job, attempt, .. } => {
                let job = self.ids.index(&job);
                let runner = self.runners.get(&job).map(|runner| runner.attempt);
                rule!(
                    runner == Some(attempt),
                    "a stop of job {job} finds runner {runner:?}"
                );
            }
        }
        Ok(())
    }

    /// The daemon dies after some of the decisions were committed, none of
    /// which it carried out, and another takes over.
    fn crash(&mut self, random: &mut Random) -> Check {
        let committed = random.below(self.pending.len() + 1);
        for _ in 0..committed {
            self.commit_records()?;
        }
        let lost = self.pending.len();
        self.note(|| {
            format!("crash: {committed} decisions committed and not carried out, {lost} lost")
        });
        self.pending.clear();
        self.unsubmitted.clear();
        self.oracle = self.oracle.after_crash(&self.log, self.ids)?;
        for job in &self.let_go {
            self.oracle.give_room(*job);
        }
        self.dispatcher = Dispatcher::new(self.caps);
        for job in &self.oracle.left {
            let ended = Job::replay(&self.log_of[*job]);
            let ended = ended.ok_or_else(|| format!("job {job} cannot be replayed"))?;
            self.dispatcher.restore_leftovers(&ended);
        }
        let mut hopeless = Vec::new();
        for job in 0..self.folded.len() {
            let replayed = Job::replay(&self.log_of[job])
                .ok_or_else(|| format!("job {job} cannot be replayed"))?;
            self.folded[job] = replayed.clone();
            if let Some(attempt) = replayed.state.attempt() {
                self.runners.entry(job).or_insert_with(|| Runner {
                    attempt,
                    talks: Talks::Gone(never_started()),
                    reported: false,
                });
            }
            if !replayed.is_over()
                && self.oracle.failed_need(job).is_some()
                && replayed.state.attempt().is_none()
            {
                self.oracle.status[job].submitted = false;
                hopeless.push(job);
            } else {
                self.dispatcher.restore(
                    replayed,
                    self.open_needs(job, |other| self.oracle.ended(other)),
                );
            }
        }
        for runner in self.runners.values_mut() {
            runner.reported = false;
        }
        hopeless
            .into_iter()
            .try_for_each(|job| self.submit(self.accepted_input(job)))?;
        self.submit(Input::Tick)?;
        (0..self.folded.len()).try_for_each(|job| self.same_as_folded(job))?;
        self.reasons_are_right()
    }
}
