//! Whose change it was, as far as that can be told from the states that are kept
//! and from what agents said of themselves. Pure.
//!
//! The states of a tree, in the order in which they were taken, cut time into
//! spans. Within a span the same jobs wrote. A path that is different at the two
//! ends of a span was changed within it: by the only writer there was, by the
//! one that reported it, or by one of several.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Why a change is counted as a job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Its agent told of it while it worked.
    Reported,
    /// No other job wrote in the tree then.
    OnlyWriter,
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
/// job reported and this one did not is missing: it is that one's.
#[must_use]
pub fn of_job(
    job: &str,
    spans: &[Span],
    reported: &BTreeMap<String, BTreeSet<String>>,
) -> BTreeMap<String, Attributed> {
    let tells = |who: &str, path: &str| reported.get(who).is_some_and(|paths| paths.contains(path));
    let mut found: BTreeMap<String, Attributed> = BTreeMap::new();
    let mut of_others: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.writers.contains(job)) {
        let others: Vec<&String> = span.writers.iter().filter(|other| *other != job).collect();
        for path in &span.changed {
            let told_by: Vec<&&String> = others.iter().filter(|other| tells(other, path)).collect();
            let told = tells(job, path);
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
                attributed.evidence.insert(Evidence::OnlyWriter);
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

    fn reported(all: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        all.iter()
            .map(|(job, paths)| {
                let paths = paths.iter().map(|path| (*path).to_owned()).collect();
                ((*job).to_owned(), paths)
            })
            .collect()
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
