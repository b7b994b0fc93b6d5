//! Whose change it was, as far as that can be told from the states that are kept
//! and from what agents said of themselves. Pure.
//!
//! The states of a tree, in the order in which they were taken, cut time into
//! spans. Within a span the same jobs wrote. A path that is different at the two
//! ends of a span was changed within it: by the only writer there was, by the
//! one that reported it, by the one whose sandbox let it write there, or by one of
//! several.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use convoke_core::scope::Bounds;
use serde::{Deserialize, Serialize};

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
}

/// What is known of writers besides when they wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Paths that their agents told of.
    pub reported: BTreeMap<String, BTreeSet<String>>,
    /// Where their sandboxes let them write, of those that have any.
    pub bounds: BTreeMap<String, Bounds>,
    /// The top of the tree, absolute.
    pub top: PathBuf,
}

impl Known {
    /// Whether a writer told of having changed a path.
    #[must_use]
    pub fn tells(&self, writer: &str, path: &str) -> bool {
        let paths = self.reported.get(writer);
        paths.is_some_and(|paths| paths.contains(path))
    }

    /// Whether a writer can have changed a path.
    #[must_use]
    pub fn can(&self, writer: &str, path: &str) -> bool {
        let bounds = self.bounds.get(writer);
        self.tells(writer, path) || bounds.is_none_or(|bounds| bounds.allow(&self.top.join(path)))
    }

    /// Those who can have changed a path within a span.
    pub fn suspects<'a>(
        &'a self,
        span: &'a Span,
        path: &'a str,
    ) -> impl Iterator<Item = &'a String> {
        span.writers.iter().filter(|writer| self.can(writer, path))
    }
}

/// What is known of the jobs that wrote in a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The jobs.
    pub writers: BTreeSet<String>,
    /// The paths that changed within it.
    pub changed: BTreeSet<String>,
}

/// Whose a change is, seen from one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributed {
    /// Why it is this job's; empty if it may be another's.
    pub evidence: BTreeSet<Evidence>,
    /// The jobs of which one made it, or all of them.
    pub with: BTreeSet<String>,
}

impl Attributed {
    /// Whether it is this job's and nobody else's.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        !self.evidence.is_empty() && self.with.is_empty()
    }
}

/// What changed within the spans in which `job` wrote, by path. What another
/// job reported and this one did not is missing: it is that one's. So is what the
/// sandbox of this one kept it from.
#[must_use]
pub fn of_job(job: &str, spans: &[Span], known: &Known) -> BTreeMap<String, Attributed> {
    let mut found: BTreeMap<String, Attributed> = BTreeMap::new();
    let mut of_others: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.writers.contains(job)) {
        let alone = span.writers.len() == 1;
        for path in span.changed.iter().filter(|path| known.can(job, path)) {
            let others: Vec<&String> = known
                .suspects(span, path)
                .filter(|other| *other != job)
                .collect();
            let told_by: Vec<&&String> = others
                .iter()
                .filter(|other| known.tells(other, path))
                .collect();
            let told = known.tells(job, path);
            if !told && !told_by.is_empty() {
                let names = told_by.into_iter().map(|other| (*other).clone());
                of_others.entry(path).or_default().extend(names);
                continue;
            }
            let attributed = found.entry(path.clone()).or_default();
            if told {
                attributed.evidence.insert(Evidence::Reported);
                attributed
                    .with
                    .extend(told_by.into_iter().map(|other| (*other).clone()));
            } else if others.is_empty() {
                attributed.evidence.insert(match alone {
                    true => Evidence::OnlyWriter,
                    false => Evidence::InScope,
                });
            } else {
                attributed
                    .with
                    .extend(others.iter().map(|other| (*other).clone()));
            }
        }
    }
    // What this job and another changed one after the other is nobody's alone.
    for (path, others) in of_others {
        if let Some(attributed) = found.get_mut(path) {
            attributed.with.extend(others);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(writers: &[&str], changed: &[&str]) -> Span {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Span {
            writers: set(writers),
            changed: set(changed),
        }
    }

    fn reported(all: &[(&str, &[&str])]) -> Known {
        let reported = all.iter().map(|(job, paths)| {
            let paths = paths.iter().map(|path| (*path).to_owned()).collect();
            ((*job).to_owned(), paths)
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
