//! Puts the log together with the states around it: which versions each path went
//! through between two states.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Entry, Found, Gap, Version, log::Log};
use crate::{
    private_repository::{Edge, KeptState, PrivateRepository, PrivateRepositoryError, io_error},
    tree_diff::{self, Change, Side},
};

/// One change of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// When, as the earliest and the latest moment in milliseconds since the epoch;
    /// none if that is not known.
    pub when: Option<(u64, u64)>,
    /// Before; none if it was not there.
    pub before: Option<Side>,
    /// After; none if it is not there.
    pub after: Option<Side>,
    /// Versions in between that stood too briefly to be kept.
    pub passed: u32,
    /// Whether it is of a time in which not everything was seen.
    pub is_unseen: bool,
}

/// The changes of paths, one after the other, by path.
pub type Steps = BTreeMap<String, Vec<Step>>;

/// What is on record for each span between states, by the state at its beginning.
#[derive(Debug, Default)]
pub struct Record {
    spans: HashMap<String, Vec<Entry>>,
}

impl Record {
    /// Reads all of it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(repository: &PrivateRepository) -> Result<Self, PrivateRepositoryError> {
        let folder = repository.folder();
        let entries = Log::of(folder).read().map_err(io_error("read", folder))?;
        let mut spans: HashMap<String, Vec<Entry>> = HashMap::new();
        let mut repeated = HashSet::new();
        let mut current = None;
        for entry in entries {
            match entry {
                Entry::State { id } => {
                    // Of two of one name it is not known which is meant.
                    let is_first = !spans.contains_key(&id) && !repeated.contains(&id);
                    if is_first {
                        spans.insert(id.clone(), Vec::new());
                    } else {
                        spans.remove(&id);
                        repeated.insert(id.clone());
                    }
                    current = Some(id);
                }
                entry => {
                    if let Some(span) = current.as_ref().and_then(|id| spans.get_mut(id)) {
                        span.push(entry);
                    }
                }
            }
        }
        Ok(Self { spans })
    }

    /// What is on record from one of some states on; nothing where nobody watched. A
    /// writer that was lost ends no span here: no state was taken then.
    fn after(&self, states: &[KeptState], at: usize) -> Option<Vec<&Entry>> {
        let is_taken = |state: &KeptState| state.edge != Edge::Lost;
        let taken = states[..=at].iter().rposition(is_taken)?;
        let entries = self.spans.get(&states[taken].id)?;
        let from = states[taken + 1..=at].last().map(|lost| lost.at);
        let to = states.get(at + 1).filter(|next| !is_taken(next));
        let is_within = |entry: &&Entry| match entry {
            Entry::Version(version) => {
                from.is_none_or(|from| version.at >= from) && to.is_none_or(|to| version.at < to.at)
            }
            _ => true,
        };
        Some(entries.iter().filter(is_within).collect())
    }

    /// Spans of time from some states on over which it is not complete, as far as
    /// anybody watched.
    #[must_use]
    pub fn gaps(&self, states: &[KeptState]) -> Vec<Gap> {
        let entries = states.iter().filter_map(|state| self.spans.get(&state.id));
        let gaps = entries.flatten().filter_map(|entry| match entry {
            Entry::Gap(gap) => Some(gap.clone()),
            _ => None,
        });
        gaps.collect()
    }

    /// Whether nobody watched from one of some states on.
    #[must_use]
    pub fn is_missing(&self, states: &[KeptState]) -> bool {
        let mut taken = states.iter().filter(|state| state.edge != Edge::Lost);
        taken.any(|state| !self.spans.contains_key(&state.id))
    }

    /// The changes between one of some states and the next, or the end.
    ///
    /// # Errors
    /// States cannot be compared.
    pub fn steps(
        &self,
        repository: &PrivateRepository,
        (states, at): (&[KeptState], usize),
        end: &str,
    ) -> Result<Steps, PrivateRepositoryError> {
        let from = &states[at].checkpoint.tree;
        let to = states.get(at + 1).map_or(end, |next| &next.checkpoint.tree);
        let changes = tree_diff::between(repository, from, to, false)?;
        let entries = self.after(states, at).unwrap_or_default();
        if changes.is_empty() && entries.is_empty() {
            return Ok(Steps::new());
        }
        let mut chains = Chains::of(changes);
        chains.add_paths(repository, from, &entries)?;
        let mut gaps = Vec::new();
        for entry in entries {
            match entry {
                Entry::Version(version) => chains.follow(version),
                Entry::Gap(gap) => gaps.push(gap.from),
                Entry::State { .. } => {}
            }
        }
        Ok(chains.end(&gaps))
    }
}

/// What a path went through so far.
#[derive(Debug, Default)]
struct Chain {
    now: Option<Side>,
    last: Option<Side>,
    steps: Vec<Step>,
    /// Since when it was seen to be touched without being looked at.
    unread: Option<(u64, u64)>,
    passed: u32,
}

#[derive(Debug)]
struct Chains {
    by_path: BTreeMap<String, Chain>,
}

impl Chains {
    fn of(changes: Vec<Change>) -> Self {
        let chains = changes.into_iter().map(|change| {
            let chain = Chain {
                now: change.before,
                last: change.after,
                ..Chain::default()
            };
            (change.path, chain)
        });
        Self {
            by_path: chains.collect(),
        }
    }

    /// Adds the paths that were touched and are at the end as they were.
    fn add_paths(
        &mut self,
        repository: &PrivateRepository,
        tree: &str,
        entries: &[&Entry],
    ) -> Result<(), PrivateRepositoryError> {
        let touched = entries.iter().filter_map(|entry| match entry {
            Entry::Version(version) if !self.by_path.contains_key(&version.path) => {
                Some(version.path.as_str())
            }
            _ => None,
        });
        let touched: BTreeSet<&str> = touched.collect();
        let touched: Vec<&str> = touched.into_iter().collect();
        let mut sides = tree_diff::sides(repository, tree, &touched)?;
        for path in touched {
            let side = sides.remove(path);
            let chain = Chain {
                last: side.clone(),
                now: side,
                ..Chain::default()
            };
            self.by_path.insert(path.to_owned(), chain);
        }
        Ok(())
    }

    fn follow(&mut self, version: &Version) {
        if version.found == Found::Gone {
            // With a folder goes what was in it.
            let below = format!("{}/", version.path);
            let gone = self.by_path.range_mut(below.clone()..);
            for (_, chain) in gone.take_while(|(path, _)| path.starts_with(&below)) {
                chain.follow(version);
            }
        }
        if let Some(chain) = self.by_path.get_mut(&version.path) {
            chain.follow(version);
        }
    }

    /// What each path went through. `gaps` are the beginnings of times in which not
    /// everything was seen: the next change of a path hides what happened then.
    fn end(self, gaps: &[u64]) -> Steps {
        let ended = self.by_path.into_iter().map(|(path, chain)| {
            let mut steps = chain.end();
            for gap in gaps {
                let is_next = |step: &&mut Step| step.when.is_none_or(|(_, at)| at >= *gap);
                if let Some(step) = steps.iter_mut().find(is_next) {
                    step.when = None;
                    step.is_unseen = true;
                }
            }
            (path, steps)
        });
        ended.filter(|(_, steps)| !steps.is_empty()).collect()
    }
}

impl Chain {
    fn follow(&mut self, version: &Version) {
        self.passed += version.passed;
        let since = self.unread.map_or(version.since, |(since, _)| since);
        let side = match &version.found {
            Found::File { mode, object } => Some(Side {
                mode: mode.clone(),
                object: object.clone(),
            }),
            Found::Gone => None,
            Found::Unread => {
                self.unread = Some((since, version.at));
                return;
            }
        };
        self.unread = None;
        self.step(Some((since, version.at)), side);
    }

    fn step(&mut self, when: Option<(u64, u64)>, side: Option<Side>) {
        if side == self.now {
            return;
        }
        let before = std::mem::replace(&mut self.now, side.clone());
        self.steps.push(Step {
            when,
            before,
            after: side,
            passed: std::mem::take(&mut self.passed),
            is_unseen: false,
        });
    }

    fn end(mut self) -> Vec<Step> {
        let last = self.last.take();
        self.step(self.unread, last);
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(object: &str) -> Side {
        Side {
            mode: "100644".to_owned(),
            object: object.to_owned(),
        }
    }

    fn version(path: &str, at: u64, found: Found) -> Version {
        Version {
            path: path.to_owned(),
            since: at,
            at,
            found,
            passed: 0,
        }
    }

    fn file(object: &str) -> Found {
        Found::File {
            mode: "100644".to_owned(),
            object: object.to_owned(),
        }
    }

    fn chains(paths: &[(&str, Option<Side>, Option<Side>)]) -> Chains {
        let chain = |now: &Option<Side>, last: &Option<Side>| Chain {
            now: now.clone(),
            last: last.clone(),
            ..Chain::default()
        };
        let all = paths.iter();
        Chains {
            by_path: all
                .map(|(path, now, last)| ((*path).to_owned(), chain(now, last)))
                .collect(),
        }
    }

    #[test]
    fn versions_in_between_are_steps_of_their_own() {
        let mut chains = chains(&[("f", Some(side("0")), Some(side("2")))]);
        chains.follow(&version("f", 10, file("1")));
        chains.follow(&version("f", 20, Found::Unread));
        let steps = chains.end(&[]);
        let shown: Vec<_> = steps["f"]
            .iter()
            .map(|step| (step.when, step.after.clone()))
            .collect();
        let expected = [
            (Some((10, 10)), Some(side("1"))),
            (Some((20, 20)), Some(side("2"))),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_was_not_seen_has_no_time() {
        let mut unseen = chains(&[("f", Some(side("0")), Some(side("2")))]);
        unseen.follow(&version("f", 10, file("1")));
        let steps = unseen.end(&[]);
        assert_eq!(steps["f"].len(), 2);
        assert_eq!(steps["f"][1].when, None);
        let mut doubted = chains(&[("f", None, Some(side("3")))]);
        for (at, text) in [(10, "1"), (30, "2"), (40, "3")] {
            doubted.follow(&version("f", at, file(text)));
        }
        let steps = doubted.end(&[20]);
        let times: Vec<_> = steps["f"].iter().map(|step| step.when).collect();
        assert_eq!(times, [Some((10, 10)), None, Some((40, 40))]);
    }

    #[test]
    fn what_went_and_came_back_is_seen_and_what_never_changed_is_not() {
        let mut chains = chains(&[
            ("f", Some(side("0")), Some(side("0"))),
            ("g", Some(side("0")), Some(side("0"))),
        ]);
        chains.follow(&version("f", 10, file("1")));
        chains.follow(&version("f", 20, file("0")));
        chains.follow(&version("g", 20, file("0")));
        let steps = chains.end(&[]);
        assert_eq!(steps["f"].len(), 2);
        assert!(!steps.contains_key("g"));
    }

    #[test]
    fn with_a_folder_goes_what_was_in_it() {
        let mut chains = chains(&[
            ("d-other", Some(side("0")), Some(side("0"))),
            ("d/f", Some(side("0")), None),
            ("e/f", None, Some(side("0"))),
        ]);
        chains.follow(&version("d", 10, Found::Gone));
        chains.follow(&version("e/f", 10, file("0")));
        let steps = chains.end(&[]);
        assert_eq!(steps.keys().collect::<Vec<_>>(), ["d/f", "e/f"]);
        assert_eq!(steps["d/f"][0].when, Some((10, 10)));
    }
}
