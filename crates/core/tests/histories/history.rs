//! A history: a seed, a profile and what happens, step by step. Steps carry
//! random bits instead of names of jobs, so that any of them can be left out
//! when a failing history is shortened.

use std::panic::{AssertUnwindSafe, catch_unwind};

use convoke_core::scheduler::Caps;

use crate::{
    random::Random,
    world::{Ids, World},
};

/// What kind of world it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A bit of everything.
    Everyday,
    /// The daemon dies often and commits late.
    Crashes,
    /// Most jobs need others.
    Needs,
    /// More jobs than slots, all of the same priority.
    Crowded,
}

/// What happens in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A job is accepted; the dispatcher may hear of it later.
    Accept,
    /// The dispatcher hears of a job accepted before.
    Submit,
    /// A runner gets on: starts, talks, ends.
    Advance,
    /// A message comes again, or one of an attempt that is not.
    Repeat,
    /// Someone wants a job stopped.
    Stop,
    /// Time is looked at.
    Tick,
    /// The clock moves or jumps.
    Clock,
    /// The caps change.
    Caps,
    /// Some decisions are committed and carried out.
    Commit,
    /// The daemon dies and comes back.
    Crash,
}

const KINDS: [Kind; 10] = [
    Kind::Accept,
    Kind::Submit,
    Kind::Advance,
    Kind::Repeat,
    Kind::Stop,
    Kind::Tick,
    Kind::Clock,
    Kind::Caps,
    Kind::Commit,
    Kind::Crash,
];

impl Profile {
    const ALL: [Self; 4] = [Self::Everyday, Self::Crashes, Self::Needs, Self::Crowded];

    /// Weights in the order of [`KINDS`].
    fn weights(self) -> [u32; 10] {
        match self {
            Self::Everyday => [18, 2, 45, 6, 5, 4, 8, 2, 9, 1],
            Self::Crashes => [16, 3, 42, 6, 5, 2, 6, 1, 12, 7],
            Self::Needs => [22, 3, 45, 3, 4, 2, 6, 1, 12, 2],
            Self::Crowded => [28, 1, 46, 2, 1, 2, 16, 0, 3, 1],
        }
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What happens.
    pub kind: Kind,
    /// Decides the rest.
    pub bits: u64,
}

/// What a world is made of and what happens in it.
#[derive(Clone, Debug)]
pub struct History {
    /// What kind of world it is.
    pub profile: Profile,
    /// The seed it was made from.
    pub seed: u64,
    /// Caps in the beginning.
    pub caps: Caps,
    /// What happens.
    pub steps: Vec<Step>,
}

impl History {
    /// The history of a seed: 50 to 300 steps, more often few than many.
    fn of_seed(profile: Profile, seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(4).wrapping_add(profile as u64));
        let caps = Caps {
            total: 1 + random.number(6),
            readers: 1 + random.number(3),
            writers: 1 + random.number(2),
        };
        let scale = 1 + random.below(10);
        let length = 50 + random.below(1 + 25 * scale);
        let weights = profile.weights();
        let steps = (0..length)
            .map(|_| Step {
                kind: KINDS[random.weighted(&weights)],
                bits: random.bits(),
            })
            .collect();
        Self {
            profile,
            seed,
            caps,
            steps,
        }
    }

    /// Runs it; what is wrong, if anything is.
    fn run(&self, ids: &Ids) -> Result<(), String> {
        let run = || {
            let mut world = World::new(self, ids);
            for (number, step) in self.steps.iter().enumerate() {
                world
                    .step(*step)
                    .map_err(|wrong| format!("step {number}, {:?}: {wrong}", step.kind))?;
            }
            world.settle().map_err(|wrong| format!("settling: {wrong}"))
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("panicked".to_owned()))
    }

    /// Leaves out steps as long as it still fails.
    fn shortened(mut self, ids: &Ids) -> Self {
        let mut chunk = self.steps.len().div_ceil(2);
        while chunk > 0 {
            let mut start = 0;
            while start < self.steps.len() {
                let mut shorter = self.clone();
                let end = (start + chunk).min(shorter.steps.len());
                shorter.steps.drain(start..end);
                if shorter.run(ids).is_err() {
                    self = shorter;
                } else {
                    start += chunk;
                }
            }
            chunk /= 2;
        }
        self
    }
}

/// Runs `count` histories of a profile, or the one that the environment names.
pub fn check(profile: Profile, count: u64) {
    let ids = Ids::new();
    let asked = std::env::var("CONVOKE_HISTORY").ok();
    let (first, count) = match asked
        .as_deref()
        .map(|name| name.split_once(':').expect("profile:seed"))
    {
        Some((name, _)) if name != profile.name() => {
            assert!(
                Profile::ALL.iter().any(|profile| profile.name() == name),
                "unknown profile {name}"
            );
            return;
        }
        Some((_, seed)) => (seed.parse().expect("a seed is a number"), 1),
        None => (
            number("CONVOKE_FIRST_HISTORY").unwrap_or(0),
            number("CONVOKE_HISTORIES").unwrap_or(count),
        ),
    };
    for seed in first..first + count {
        let history = History::of_seed(profile, seed);
        if history.run(&ids).is_err() {
            fail(history, &ids);
        }
    }
}

/// A number that the environment gives.
fn number(variable: &str) -> Option<u64> {
    let given = std::env::var(variable).ok()?;
    Some(given.parse().expect("a number"))
}

fn fail(history: History, ids: &Ids) -> ! {
    let (name, seed, full) = (history.profile.name(), history.seed, history.steps.len());
    let short = history.shortened(ids);
    let wrong = short.run(ids).expect_err("a shortened history still fails");
    panic!(
        "{wrong}\n{:?}\n{}{} of {full} steps are left; run it alone with CONVOKE_HISTORY={name}:{seed}",
        short.caps,
        World::tell(&short, ids),
        short.steps.len(),
    );
}
