//! Whose change it was, as far as that can be told from the states that are kept
//! and from what agents said of themselves. Pure.
//!
//! The states of a tree, in the order in which they were taken, cut time into
//! spans. Within a span the same jobs wrote. What changed within it was changed by
//! the only writer there was, by the one that reported it, by the only one that had
//! a tool at work at that moment, by the one whose sandbox let it write there, or by
//! one of several; or by none of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use convoke_core::scope::Bounds;
use serde::{Deserialize, Serialize};

use crate::journal::{Step, Steps};

/// Why a change is counted as a job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Its agent told of it while it worked.
    Reported,
    /// No other job wrote in the tree then.
    OnlyWriter,
    /// Others wrote then, but their sandboxes kept them from writing there.
    InScope,
    /// Others wrote then, but had no tool at work at that moment.
    AtWork,
}

/// How much earlier than it is told a tool may have begun to work, and how much later
/// it may have ended, in milliseconds. What an agent prints is read a moment later,
/// and the clock of file systems goes in steps.
type Tolerance = (u64, u64);

/// As it may be on a busy machine.
const WIDE: Tolerance = (150, 50);

/// As it mostly is: tells those apart that named the file one after the other.
const CLOSE: Tolerance = (30, 15);

/// Programs that only read what they name.
const READERS: [&str; 12] = [
    "cat", "diff", "file", "find", "grep", "head", "less", "ls", "rg", "stat", "tail", "wc",
];

/// When an agent had tools at work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtWork {
    /// Beginning and end of each, in milliseconds since the epoch; no end while it goes
    /// on.
    pub spans: Vec<(u64, Option<u64>)>,
}

impl AtWork {
    /// Whether one may have been at work within these moments.
    fn within(&self, (earliest, latest): (u64, u64), (before, after): Tolerance) -> bool {
        self.spans.iter().any(|(from, to)| {
            from.saturating_sub(before) <= latest
                && to.is_none_or(|to| to.saturating_add(after) >= earliest)
        })
    }
}

/// What is known of writers besides when they wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Paths that their agents told of, and when they changed them.
    pub reported: BTreeMap<String, BTreeMap<String, AtWork>>,
    /// Where their sandboxes let them write, of those that have any.
    pub bounds: BTreeMap<String, Bounds>,
    /// When they had tools at work; one that is not named may have been at any time.
    pub at_work: BTreeMap<String, AtWork>,
    /// Commands that their agents ran.
    pub commands: BTreeMap<String, Vec<Command>>,
    /// The top of the tree, absolute.
    pub top: PathBuf,
}

/// A command that an agent ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As it was told.
    pub text: String,
    /// When.
    pub at_work: AtWork,
}

impl Command {
    /// Whether the name of a file or of a folder that it lies in stands in it, as a word,
    /// and it does not only read.
    fn names(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        !self.only_reads() && folders.chain([name]).any(|name| self.has_word(name))
    }

    fn has_word(&self, name: &str) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        self.text.match_indices(name).any(|(at, _)| {
            let before = self.text[..at].chars().next_back();
            let after = self.text[at + name.len()..].chars().next();
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
    }

    /// Whether its first program is one that only reads, and nothing follows.
    fn only_reads(&self) -> bool {
        // As Codex shows it: `/bin/bash -lc 'cat f'`.
        let inner = self
            .text
            .split_once(" -lc ")
            .map_or(&*self.text, |(_, inner)| inner);
        let inner = inner.trim_start_matches(['\'', '"']);
        let first = inner.split_whitespace().next().unwrap_or_default();
        READERS.contains(&first) && !inner.contains(['>', ';', '&', '|'])
    }
}

impl Known {
    /// Whether a writer told of having changed a path.
    #[must_use]
    pub fn tells(&self, writer: &str, path: &str) -> bool {
        let paths = self.reported.get(writer);
        paths.is_some_and(|paths| paths.contains_key(path))
    }

    /// Whether a writer told of this change of a path. Where it is not known when it
    /// was, any time will do.
    fn tells_of(&self, writer: &str, path: &str, step: &Step, tolerance: Tolerance) -> bool {
        let paths = self.reported.get(writer);
        let told = paths.and_then(|paths| paths.get(path));
        told.is_some_and(|told| step.when.is_none_or(|when| told.within(when, tolerance)))
    }

    /// Whether a writer ran a command, when this change was made, in which the name of
    /// the file stands.
    #[must_use]
    pub fn named(&self, writer: &str, path: &str, step: &Step) -> bool {
        self.named_within(writer, path, step, WIDE)
    }

    fn named_within(&self, writer: &str, path: &str, step: &Step, tolerance: Tolerance) -> bool {
        let commands = self.commands.get(writer).into_iter().flatten();
        let mut then = commands.filter(|command| {
            let when = step.when;
            when.is_some_and(|when| command.at_work.within(when, tolerance))
        });
        then.any(|command| command.names(path))
    }

    /// Whether a writer can have changed a path.
    #[must_use]
    pub fn can(&self, writer: &str, path: &str) -> bool {
        let bounds = self.bounds.get(writer);
        self.tells(writer, path) || bounds.is_none_or(|bounds| bounds.allow(&self.top.join(path)))
    }

    /// Whether a writer may have been at work when something changed.
    fn worked(&self, writer: &str, step: &Step) -> bool {
        let (Some(when), Some(at_work)) = (step.when, self.at_work.get(writer)) else {
            return true;
        };
        at_work.within(when, WIDE)
    }

    /// Those who can have changed a path at one of the times when it changed. Of several
    /// it is the one whose command names it, if there is one.
    fn suspects(&self, span: &Span, path: &str, step: &Step) -> BTreeSet<String> {
        let can = |writer: &&String| {
            let told = || self.tells_of(writer, path, step, WIDE);
            self.can(writer, path) && (self.worked(writer, step) || told())
        };
        let suspects: BTreeSet<String> = span.writers.iter().filter(can).cloned().collect();
        if suspects.len() < 2 {
            return suspects;
        }
        // Of a program it is not known what it names.
        if !suspects.iter().all(|one| self.at_work.contains_key(one)) {
            return suspects;
        }
        for tolerance in [WIDE, CLOSE] {
            let names = |one: &&String| {
                self.named_within(one, path, step, tolerance)
                    || self.tells_of(one, path, step, tolerance)
            };
            let named: BTreeSet<String> = suspects.iter().filter(names).cloned().collect();
            if named.len() == 1 {
                return named;
            }
        }
        suspects
    }

    /// Whose one change of a path is.
    #[must_use]
    pub fn whose(&self, span: &Span, path: &str, step: &Step) -> Whose {
        let suspects = self.suspects(span, path, step);
        let tellers = |tolerance| -> BTreeSet<String> {
            let tells = |writer: &&String| self.tells_of(writer, path, step, tolerance);
            suspects.iter().filter(tells).cloned().collect()
        };
        let mut told = tellers(CLOSE);
        if told.is_empty() && suspects.len() == 1 {
            told = tellers(WIDE);
        }
        if !told.is_empty() {
            return Whose {
                writers: told,
                evidence: Evidence::Reported,
            };
        }
        let others = span.writers.len() > 1;
        let rivals = || {
            span.writers
                .iter()
                .filter(|one| self.can(one, path))
                .count()
        };
        let evidence = match others {
            false => Evidence::OnlyWriter,
            true if rivals() == 1 => Evidence::InScope,
            true => Evidence::AtWork,
        };
        Whose {
            writers: suspects,
            evidence,
        }
    }
}

/// Whose one change is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// One of them made it; nobody known if there are none.
    pub writers: BTreeSet<String>,
    /// Why it is the only one's.
    pub evidence: Evidence,
}

impl Whose {
    /// The one who made it, if that is certain.
    #[must_use]
    pub fn only(&self) -> Option<&String> {
        match self.writers.len() {
            1 => self.writers.first(),
            _ => None,
        }
    }
}

/// What is known of the jobs that wrote in a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The jobs.
    pub writers: BTreeSet<String>,
    /// The paths that changed within it, each as often as is known.
    pub changed: Steps,
}

/// Whose a change is, seen from one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributed {
    /// Why it is this job's; empty if it may be another's.
    pub evidence: BTreeSet<Evidence>,
    /// The jobs of which one made it, or all of them.
    pub with: BTreeSet<String>,
    /// Whether somebody who is no job changed the path too.
    pub is_outside: bool,
    /// Whether nobody watched when it changed, and no agent told of it.
    pub is_unseen: bool,
}

impl Attributed {
    /// Whether it is this job's and nobody else's.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        !self.evidence.is_empty() && self.with.is_empty() && !self.is_outside && !self.is_unseen
    }
}

/// What changed within the spans in which `job` wrote, by path. What another
/// job reported and this one did not is missing: it is that one's. So is what the
/// sandbox of this one kept it from, and what changed while it had no tool at work.
#[must_use]
pub fn of_job(job: &str, spans: &[Span], known: &Known) -> BTreeMap<String, Attributed> {
    let mut found: BTreeMap<String, Attributed> = BTreeMap::new();
    let mut of_others: BTreeMap<&String, Attributed> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.writers.contains(job)) {
        for (path, steps) in &span.changed {
            for step in steps {
                let whose = known.whose(span, path, step);
                if !whose.writers.contains(job) {
                    let others = of_others.entry(path).or_default();
                    others.is_outside |= whose.writers.is_empty();
                    others.with.extend(whose.writers);
                    continue;
                }
                let is_untold = whose.evidence != Evidence::Reported;
                let attributed = found.entry(path.clone()).or_default();
                if whose.evidence == Evidence::Reported || whose.only().is_some() {
                    attributed.evidence.insert(whose.evidence);
                }
                let others = whose.writers.into_iter().filter(|one| one != job);
                attributed.with.extend(others);
                // While nobody watched it may have been anybody.
                attributed.is_unseen |= step.is_unseen && is_untold;
            }
        }
    }
    // What this job and another changed one after the other is nobody's alone.
    for (path, others) in of_others {
        if let Some(attributed) = found.get_mut(path) {
            attributed.with.extend(others.with);
            attributed.is_outside |= others.is_outside;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(writers: &[&str], changed: &[&str]) -> Span {
        span_at(writers, changed, None)
    }

    fn span_at(writers: &[&str], changed: &[&str], when: Option<(u64, u64)>) -> Span {
        let step = Step {
            when,
            ..Step::default()
        };
        let changed = changed.iter();
        Span {
            writers: writers.iter().map(|word| (*word).to_owned()).collect(),
            changed: changed
                .map(|path| ((*path).to_owned(), vec![step.clone()]))
                .collect(),
        }
    }

    fn at_work(mut known: Known, job: &str, spans: &[(u64, Option<u64>)]) -> Known {
        let spans = spans.to_vec();
        known.at_work.insert(job.to_owned(), AtWork { spans });
        known
    }

    #[test]
    fn who_had_no_tool_at_work_changed_nothing() {
        let known = at_work(reported(&[]), "a", &[(5_000, Some(6_000))]);
        let known = at_work(known, "b", &[(8_000, None)]);
        let at = |when| [span_at(&["a", "b"], &["f"], Some((when, when)))];
        let found = of_job("a", &at(5_500), &known);
        assert!(found["f"].is_certain());
        assert!(found["f"].evidence.contains(&Evidence::AtWork));
        assert!(of_job("b", &at(5_500), &known).is_empty());
        assert!(of_job("b", &at(9_000), &known)["f"].is_certain());
        // Neither of them.
        assert!(of_job("a", &at(7_000), &known).is_empty());
        assert!(of_job("b", &at(7_000), &known).is_empty());
        // Not known when.
        let spans = [span(&["a", "b"], &["f"])];
        assert!(!of_job("a", &spans, &known)["f"].is_certain());
    }

    #[test]
    fn what_somebody_else_changed_too_is_not_the_jobs_alone() {
        let mut known = at_work(Known::default(), "a", &[]);
        let spans = vec![(5_000, Some(6_000))];
        let told = BTreeMap::from([("f".to_owned(), AtWork { spans })]);
        known.reported.insert("a".to_owned(), told);
        let spans = [
            span_at(&["a"], &["f"], Some((5_500, 5_500))),
            span_at(&["a"], &["f"], Some((7_000, 7_000))),
        ];
        let found = of_job("a", &spans, &known);
        assert!(found["f"].is_outside && !found["f"].is_certain());
    }

    fn reported(all: &[(&str, &[&str])]) -> Known {
        let reported = all.iter().map(|(job, paths)| {
            let always = AtWork {
                spans: vec![(0, None)],
            };
            let paths = paths
                .iter()
                .map(|path| ((*path).to_owned(), always.clone()));
            ((*job).to_owned(), paths.collect())
        });
        Known {
            reported: reported.collect(),
            top: PathBuf::from("/r"),
            ..Known::default()
        }
    }

    fn bounded(mut known: Known, job: &str, folder: &str) -> Known {
        let bounds = Bounds {
            write: vec![PathBuf::from("/r").join(folder)],
            within: PathBuf::from("/r"),
            temp: Vec::new(),
        };
        known.bounds.insert(job.to_owned(), bounds);
        known
    }

    #[test]
    fn what_only_one_could_write_is_that_ones() {
        let spans = [span(&["a", "b"], &["x/1", "y/1", "z"])];
        let known = bounded(bounded(reported(&[]), "a", "x"), "b", "y");
        let found = of_job("a", &spans, &known);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["x/1"]);
        assert!(found["x/1"].is_certain());
        assert!(found["x/1"].evidence.contains(&Evidence::InScope));
        // One without bounds may have written anywhere.
        let known = bounded(reported(&[]), "a", "x");
        assert!(!of_job("a", &spans, &known)["x/1"].is_certain());
        let others = of_job("b", &spans, &known);
        assert!(others["y/1"].is_certain() && !others["x/1"].is_certain());
    }

    #[test]
    fn outside_of_its_bounds_a_job_changed_nothing_even_alone() {
        let known = bounded(reported(&[]), "a", "x");
        let found = of_job("a", &[span(&["a"], &["x/1", "users"])], &known);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["x/1"]);
        assert!(found["x/1"].evidence.contains(&Evidence::OnlyWriter));
    }

    #[test]
    fn the_only_writer_made_it() {
        let found = of_job(
            "a",
            &[span(&["a"], &["x"]), span(&["b"], &["y"])],
            &reported(&[]),
        );
        assert_eq!(found.len(), 1);
        assert!(found["x"].is_certain());
    }

    #[test]
    fn what_nobody_told_of_may_be_either_ones() {
        let spans = [span(&["a", "b"], &["x"])];
        for (job, other) in [("a", "b"), ("b", "a")] {
            let found = of_job(job, &spans, &reported(&[]));
            assert!(!found["x"].is_certain());
            assert!(found["x"].with.contains(other));
        }
    }

    #[test]
    fn what_one_told_of_is_that_ones() {
        let spans = [span(&["a", "b"], &["x", "y"])];
        let told = reported(&[("a", &["x"]), ("b", &["y"])]);
        let found = of_job("a", &spans, &told);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["x"]);
        assert!(found["x"].is_certain());
    }

    #[test]
    fn what_both_told_of_is_shared() {
        let spans = [span(&["a", "b"], &["x"])];
        let told = reported(&[("a", &["x"]), ("b", &["x"])]);
        let found = of_job("a", &spans, &told);
        assert!(found["x"].evidence.contains(&Evidence::Reported));
        assert!(found["x"].with.contains("b"));
        assert!(!found["x"].is_certain());
    }

    #[test]
    fn what_both_changed_one_after_the_other_is_shared() {
        let spans = [span(&["a"], &["x"]), span(&["a", "b"], &["x"])];
        let found = of_job("a", &spans, &reported(&[("b", &["x"])]));
        assert!(found["x"].evidence.contains(&Evidence::OnlyWriter));
        assert!(found["x"].with.contains("b"));
    }

    #[test]
    fn doubt_in_one_span_stays() {
        let spans = [span(&["a"], &["x"]), span(&["a", "b"], &["x"])];
        let found = of_job("a", &spans, &reported(&[]));
        assert!(!found["x"].is_certain());
    }
}
