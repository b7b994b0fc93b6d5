//! What is to be taken back of some jobs, path by path: from before the first time
//! that one of them certainly changed it to after the last. Pure.

use std::collections::{BTreeMap, BTreeSet};

use convoke_core::ids::JobId;
use convoke_workspace::{
    attribution::{Evidence, Known, Whose},
    journal::Step,
    overlaps::SpanBetween,
    tree_diff::Side,
};

/// A job whose changes are to be taken back, and the places of the states around
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The job.
    pub job: String,
    /// The place of the first state before it wrote.
    pub from: usize,
    /// The place of the last state after.
    pub to: usize,
}

/// What is known of the time in which the jobs wrote, and since.
#[derive(Debug, Default)]
pub struct Record {
    /// What changed, in order.
    pub spans: Vec<SpanBetween>,
    /// What else is known of those who wrote.
    pub known: Known,
}

/// One path that one of the jobs changed, or some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Which of them did.
    pub by: BTreeSet<String>,
    /// What it was before the first time that one did.
    pub before: Option<Side>,
    /// What it was after the last time.
    pub after: Option<Side>,
    /// Whether it changed in between by something else.
    pub is_mixed: bool,
    /// Other jobs that certainly changed it in between.
    pub among: BTreeSet<String>,
    /// Other jobs that did after them.
    pub since: BTreeSet<String>,
}

/// What is to be taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What the jobs certainly changed, by path.
    pub changed: BTreeMap<String, Changed>,
    /// What they, or others, may have changed, and which of them.
    pub doubtful: BTreeMap<String, BTreeSet<String>>,
}

/// One change of a path, and whose it is.
struct Made<'a> {
    /// The place of the state before it.
    place: usize,
    step: &'a Step,
    whose: Whose,
    /// Those of them that ran a command then in which its name stands.
    named: Vec<String>,
}

impl Made<'_> {
    /// Writers that certainly made it: who told of it, else the only one that can have.
    fn certain(&self) -> Vec<&str> {
        let is_sure = self.whose.evidence == Evidence::Reported || self.whose.writers.len() == 1;
        let writers = self.whose.writers.iter().filter(|_| is_sure);
        writers.map(String::as_str).collect()
    }
}

impl Plan {
    /// Makes it.
    pub fn of(record: &Record, members: &[Member]) -> Self {
        let mut by_path: BTreeMap<&str, Vec<Made<'_>>> = BTreeMap::new();
        for between in &record.spans {
            for (path, steps) in &between.span.changed {
                let made = steps.iter().map(|step| {
                    let whose = record.known.whose(&between.span, path, step);
                    let named = whose.writers.iter();
                    let named = named.filter(|writer| record.known.named(writer, path, step));
                    Made {
                        place: between.at,
                        step,
                        named: named.cloned().collect(),
                        whose,
                    }
                });
                by_path.entry(path).or_default().extend(made);
            }
        }
        let mut plan = Self::default();
        for (path, made) in by_path {
            plan.add(members, path, &made);
        }
        plan
    }

    fn add(&mut self, members: &[Member], path: &str, made: &[Made<'_>]) {
        let mine = |writer: &str, one: &Made<'_>| {
            let mut members = members.iter();
            members
                .any(|member| member.job == writer && (member.from..member.to).contains(&one.place))
        };
        let theirs = |writer: &str| {
            // Rollbacks are no jobs.
            let is_job = JobId::parse(writer).is_some();
            is_job && members.iter().all(|one| one.job != writer)
        };
        let is_among = |one: &Made<'_>| {
            let writers = &one.whose.writers;
            !writers.is_empty() && writers.iter().all(|writer| mine(writer, one))
        };
        // What nobody told of may be the user's, if it is not where they collided.
        let collided: Vec<&Made<'_>> = made.iter().filter(|one| is_among(one)).collect();
        let suspects: BTreeSet<&String> =
            collided.iter().flat_map(|one| &one.whose.writers).collect();
        let collides = collided.len() > 1 && suspects.len() > 1;
        let by = |one: &Made<'_>| -> Vec<String> {
            let all = || one.whose.writers.iter().cloned().collect();
            match is_among(one) {
                true if collides || one.whose.evidence == Evidence::Reported => all(),
                true => one.named.clone(),
                false => one.certain().into_iter().map(str::to_owned).collect(),
            }
        };
        let is_own = |one: &Made<'_>| by(one).iter().any(|writer| mine(writer, one));
        let (first, last) = (made.iter().position(is_own), made.iter().rposition(is_own));
        let (Some(first), Some(last)) = (first, last) else {
            self.add_doubt(path, made, by, mine);
            return;
        };
        let mut changed = Changed {
            before: made[first].step.before.clone(),
            after: made[last].step.after.clone(),
            ..Changed::default()
        };
        for (at, one) in made.iter().enumerate().skip(first) {
            let by = by(one);
            let others = by.iter().filter(|writer| theirs(writer)).cloned();
            if at > last {
                changed.since.extend(others);
                continue;
            }
            changed.among.extend(others);
            changed.is_mixed |= !is_own(one);
            let members = by.iter().filter(|writer| mine(writer, one));
            changed.by.extend(members.cloned());
        }
        changed.is_mixed |= !changed.among.is_empty();
        self.changed.insert(path.to_owned(), changed);
    }

    /// Notes a path of which nobody told and where they did not collide, if one of the
    /// jobs may have changed it.
    fn add_doubt(
        &mut self,
        path: &str,
        made: &[Made<'_>],
        by: impl Fn(&Made<'_>) -> Vec<String>,
        mine: impl Fn(&str, &Made<'_>) -> bool,
    ) {
        for one in made.iter().filter(|one| by(one).is_empty()) {
            let suspects = one.whose.writers.iter();
            for writer in suspects.filter(|writer| mine(writer, one)) {
                let doubtful = self.doubtful.entry(path.to_owned()).or_default();
                doubtful.insert(writer.clone());
            }
        }
    }

    /// Jobs whose changes cannot be told apart from those of others, with the paths.
    pub fn inseparable(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mixed = self
            .changed
            .iter()
            .filter(|(_, changed)| !changed.among.is_empty());
        let mut jobs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, changed) in mixed {
            for job in &changed.by {
                jobs.entry(job.clone()).or_default().insert(path.clone());
            }
        }
        jobs
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
