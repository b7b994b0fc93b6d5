//! Takes changes back: of one job, or all since a state.
//!
//! What was edited after the changes is kept: both are merged where they do not
//! touch each other, and where they do the later one stays and the earlier one is
//! put beside it.

mod unseen;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use convoke_core::coordination::{KeptBoth, Left};
use serde::{Deserialize, Serialize};

use self::unseen::Unseen;
use crate::{
    checkpoint::Checkpoint,
    objects,
    private_repository::{PrivateRepository, PrivateRepositoryError, io_error},
    tree_diff::{self, Change, ChangeKind, Side},
    tree_writer::{Held, Replaced, TreeWriter},
};

/// Paths whose contents are in memory at a time.
const AT_ONCE: usize = 4;

/// Said of a path that cannot be taken back.
const NOT_KEPT: &str = "its content is not kept";

/// Said of a new path that others changed too.
const MIXED: &str = "it was new, and others changed it too";

/// What became of each path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Paths that are as they were before.
    pub restored: Vec<String>,
    /// Paths that were edited since in a way that cannot be merged: they stay,
    /// and what they were before lies beside them.
    pub kept_both: Vec<KeptBoth>,
    /// Paths that were left alone.
    pub skipped: Vec<Left>,
}

/// The states between which changes are taken back.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// Before the changes.
    pub before: &'a Checkpoint,
    /// After them.
    pub after: &'a Checkpoint,
    /// As the tree is now.
    pub now: &'a Checkpoint,
}

/// Takes back what lies between two states, of the paths that `may` allows; for
/// others it says why not. With `dry_run` nothing is written. `suffix` names the
/// copies.
///
/// # Errors
/// A state is not there any more, or git cannot be run; paths that were written
/// before that are written. What goes wrong with one path is told in the report.
pub fn take_back(
    repository: &PrivateRepository,
    states: Taken<'_>,
    suffix: &str,
    dry_run: bool,
    may: impl Fn(&str) -> Result<(), String>,
) -> Result<Report, PrivateRepositoryError> {
    let conflicts = OnConflict::KeepBoth { suffix };
    perform(repository, states, conflicts, dry_run, may)
}

/// What one path was before some changes, after them, and is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The path.
    pub path: String,
    /// Before the changes; none if it was not there.
    pub before: Option<Side>,
    /// After them.
    pub after: Option<Side>,
    /// Now.
    pub now: Option<Side>,
    /// Whether others changed it in between, so that it cannot be taken back: it
    /// stays, and what it was before is put beside it.
    pub is_mixed: bool,
}

impl Part {
    fn change(&self) -> Change {
        Change {
            path: self.path.clone(),
            old_path: None,
            kind: ChangeKind::Modify,
            before: self.before.clone(),
            after: self.after.clone(),
        }
    }

    fn later(&self) -> Option<Change> {
        (self.now != self.after).then(|| Change {
            before: self.after.clone(),
            after: self.now.clone(),
            ..self.change()
        })
    }
}

/// Takes single paths back, each from and to a state of its own; `states` are those
/// around all of it. `taken` is told of each path that is done.
///
/// # Errors
/// See [`take_back`].
pub fn take_back_parts(
    repository: &PrivateRepository,
    states: Taken<'_>,
    parts: &[Part],
    (suffix, dry_run): (&str, bool),
    taken: impl Fn(&str),
) -> Result<Report, PrivateRepositoryError> {
    let changes: Vec<Change> = parts.iter().map(Part::change).collect();
    let since: Vec<Change> = parts.iter().filter_map(Part::later).collect();
    let mixed = parts.iter().filter(|part| part.is_mixed);
    let mixed: BTreeSet<&str> = mixed.map(|part| part.path.as_str()).collect();
    let is_mixed = |change: &Change| mixed.contains(change.path.as_str());
    let plan = Plan {
        states,
        conflicts: OnConflict::KeepBoth { suffix },
        dry_run,
    };
    let between = (changes.as_slice(), since.as_slice());
    plan.perform(repository, between, |_| Ok(()), is_mixed, taken)
}

/// Brings in what lies between `states.after` and `states.before`, which is what
/// it is to take back the other way round. What cannot be merged is left alone.
///
/// # Errors
/// See [`take_back`].
pub(crate) fn bring_in(
    repository: &PrivateRepository,
    states: Taken<'_>,
    dry_run: bool,
) -> Result<Report, PrivateRepositoryError> {
    perform(repository, states, OnConflict::Leave, dry_run, |_| Ok(()))
}

/// What becomes of a path that was edited in a way that cannot be merged.
#[derive(Clone, Copy, Debug)]
enum OnConflict<'a> {
    /// It stays, and the other version is put beside it.
    KeepBoth { suffix: &'a str },
    /// It stays.
    Leave,
}

impl OnConflict<'_> {
    /// Whether changes are taken back. Of what is brought in it is known what was
    /// there before: the working tree began with it.
    fn keeps_both(self) -> bool {
        matches!(self, Self::KeepBoth { .. })
    }
}

fn perform(
    repository: &PrivateRepository,
    states: Taken<'_>,
    conflicts: OnConflict<'_>,
    dry_run: bool,
    may: impl Fn(&str) -> Result<(), String>,
) -> Result<Report, PrivateRepositoryError> {
    let (before, after) = (&states.before.tree, &states.after.tree);
    let changes = tree_diff::between(repository, before, after, false)?;
    let since = tree_diff::between(repository, after, &states.now.tree, false)?;
    let plan = Plan {
        states,
        conflicts,
        dry_run,
    };
    let between = (changes.as_slice(), since.as_slice());
    plan.perform(repository, between, may, |_| false, |_| {})
}

/// How changes are taken back.
#[derive(Clone, Copy)]
struct Plan<'a> {
    states: Taken<'a>,
    conflicts: OnConflict<'a>,
    dry_run: bool,
}

impl Plan<'_> {
    /// Takes changes back, `since` which others were made, and tells `taken` of each
    /// path that is done. Those that are mixed with others stay.
    fn perform(
        &self,
        repository: &PrivateRepository,
        (changes, since): (&[Change], &[Change]),
        may: impl Fn(&str) -> Result<(), String>,
        is_mixed: impl Fn(&Change) -> bool,
        taken: impl Fn(&str),
    ) -> Result<Report, PrivateRepositoryError> {
        let since: BTreeMap<&str, &Change> = since.iter().map(|c| (c.path.as_str(), c)).collect();
        let mut report = Report::default();
        let mut steps = self.steps((changes, &since), may, &mut report);
        for step in &mut steps {
            step.is_mixed = is_mixed(step.change);
        }
        // Files go before folders come in their places.
        steps.sort_by_key(|step| step.change.before.is_some());
        let top = repository.top();
        let writer = TreeWriter::open(top).map_err(io_error("open", top))?;
        // A few at a time: their contents are in memory.
        for some in steps.chunks(AT_ONCE) {
            let work = Work {
                repository,
                writer: &writer,
                contents: contents_of(repository, some)?,
                conflicts: self.conflicts,
                dry_run: self.dry_run,
            };
            for step in some {
                work.take(step, &mut report)?;
                if !self.dry_run {
                    taken(&step.change.path);
                }
            }
        }
        report.restored.sort();
        Ok(report)
    }

    /// The paths that can be taken back; the others are reported.
    fn steps<'a>(
        &self,
        (changes, since): (&'a [Change], &BTreeMap<&str, &'a Change>),
        may: impl Fn(&str) -> Result<(), String>,
        report: &mut Report,
    ) -> Vec<Step<'a>> {
        let (states, conflicts) = (&self.states, self.conflicts);
        let unseen = Unseen::of(states, changes);
        let mut steps = Vec::new();
        for change in changes {
            let lacking = states
                .now
                .skipped
                .iter()
                .find(|one| one.path == change.path);
            if change.path.contains(char::REPLACEMENT_CHARACTER) {
                report.leave(&change.path, "its name is no UTF-8".to_owned());
            } else if let Some(skipped) = lacking {
                let reason = format!("its present state is not kept: {}", skipped.reason.as_str());
                report.leave(&change.path, reason);
            } else if let Some(reason) = unseen.reason(change).filter(|_| conflicts.keeps_both()) {
                report.leave(&change.path, reason.to_owned());
            } else if let Err(reason) = may(&change.path) {
                report.leave(&change.path, reason);
            } else {
                steps.push(Step {
                    change,
                    later: since.get(change.path.as_str()).copied(),
                    is_mixed: false,
                });
            }
        }
        steps
    }
}

/// One path to be taken back.
struct Step<'a> {
    change: &'a Change,
    /// What became of it since.
    later: Option<&'a Change>,
    /// Whether others changed it in between.
    is_mixed: bool,
}

struct Work<'a> {
    repository: &'a PrivateRepository,
    writer: &'a TreeWriter,
    contents: HashMap<String, Vec<u8>>,
    conflicts: OnConflict<'a>,
    dry_run: bool,
}

fn contents_of(
    repository: &PrivateRepository,
    steps: &[Step<'_>],
) -> Result<HashMap<String, Vec<u8>>, PrivateRepositoryError> {
    let names = steps.iter().flat_map(|step| {
        let change = step.change;
        [change.before.as_ref(), change.after.as_ref(), step.now()]
    });
    let names = names.flatten().filter(|side| side.mode != "160000");
    objects::contents(repository, names.map(|side| side.object.as_str()))
}

impl Step<'_> {
    /// What is there now, as far as is known.
    fn now(&self) -> Option<&Side> {
        match self.later {
            Some(later) => later.after.as_ref(),
            None => self.change.after.as_ref(),
        }
    }
}

impl Work<'_> {
    fn take(&self, step: &Step<'_>, report: &mut Report) -> Result<(), PrivateRepositoryError> {
        let path = &step.change.path;
        if step.is_mixed && step.change.before.as_ref() != step.now() {
            match &step.change.before {
                Some(before) => self.keep_both(path, before, report),
                None => report.leave(path, MIXED.to_owned()),
            }
            return Ok(());
        }
        if step.later.is_none() {
            self.restore(step, report);
            return Ok(());
        }
        match (&step.change.before, step.now()) {
            // It is as it was already.
            // Nothing to take back; of what is brought in it is there.
            (before, now) if before.as_ref() == now => {
                if !self.conflicts.keeps_both() {
                    report.restored.push(path.clone());
                }
            }
            (None, _) => report.leave(
                path,
                match self.conflicts.keeps_both() {
                    true => "it was new, and was edited since".to_owned(),
                    false => "the job removed it, and it was edited there".to_owned(),
                },
            ),
            (Some(before), Some(now)) => match self.merged(step.change, before, now)? {
                Some(merged) => {
                    // A mode that was set since stays.
                    let was = step.change.after.as_ref().map(|after| &after.mode);
                    let side = match was == Some(&now.mode) {
                        true => before,
                        false => now,
                    };
                    let new = Held {
                        side,
                        content: &merged,
                    };
                    self.replace(step, Some(new), report);
                }
                None => self.keep_both(path, before, report),
            },
            (Some(before), None) => self.keep_both(path, before, report),
        }
        Ok(())
    }

    /// The present content with the change taken out of it; none where both
    /// touch the same lines, or where there are no lines.
    fn merged(
        &self,
        change: &Change,
        before: &Side,
        now: &Side,
    ) -> Result<Option<Vec<u8>>, PrivateRepositoryError> {
        let Some(after) = &change.after else {
            return Ok(None);
        };
        let all = [now, after, before].map(|side| self.contents.get(&side.object));
        let ([Some(now), Some(after), Some(before)], true) = (all, is_file(before) && is_file(now))
        else {
            return Ok(None);
        };
        crate::merge::three_way(self.repository, now, after, before)
    }

    fn restore(&self, step: &Step<'_>, report: &mut Report) {
        match &step.change.before {
            None => self.replace(step, None, report),
            Some(side) => match self.contents.get(&side.object) {
                Some(content) => self.replace(step, Some(Held { side, content }), report),
                None => report.leave(&step.change.path, NOT_KEPT.to_owned()),
            },
        }
    }

    /// Puts something in place of what is there now.
    fn replace(&self, step: &Step<'_>, new: Option<Held<'_>>, report: &mut Report) {
        let path = &step.change.path;
        let known = match step.now() {
            None => None,
            Some(side) => match self.contents.get(&side.object) {
                Some(content) => Some(Held { side, content }),
                None => return report.leave(path, NOT_KEPT.to_owned()),
            },
        };
        let replaced = match self.dry_run {
            true => Ok(Replaced::Yes),
            false => self.writer.replace(path, known, new),
        };
        match replaced {
            Ok(Replaced::Yes) => report.restored.push(path.clone()),
            Ok(Replaced::No) => report.leave(path, "it was edited in this moment".to_owned()),
            Err(error) => report.leave(path, error.to_string()),
        }
    }

    fn keep_both(&self, path: &str, before: &Side, report: &mut Report) {
        let Some(content) = self.contents.get(&before.object) else {
            return report.leave(path, NOT_KEPT.to_owned());
        };
        let OnConflict::KeepBoth { suffix } = self.conflicts else {
            return report.leave(path, "it was edited there in another way".to_owned());
        };
        let new = Held {
            side: before,
            content,
        };
        // A copy of an earlier time serves as well.
        let copy = (0..)
            .map(|n| match n {
                0 => format!("{path}.{suffix}"),
                n => format!("{path}.{suffix}.{n}"),
            })
            .find(|copy| self.writer.holds(copy, new) || !self.writer.exists(copy))
            .unwrap_or_default();
        let written = match self.dry_run || self.writer.holds(&copy, new) {
            true => Ok(Replaced::Yes),
            false => self.writer.replace(&copy, None, Some(new)),
        };
        match written {
            Ok(Replaced::Yes) => report.kept_both.push(KeptBoth {
                path: path.to_owned(),
                copy,
            }),
            Ok(Replaced::No) => report.leave(path, format!("{copy} came in this moment")),
            Err(error) => report.leave(path, error.to_string()),
        }
    }
}

impl Report {
    fn leave(&mut self, path: &str, reason: String) {
        self.skipped.push(Left {
            path: path.to_owned(),
            reason,
        });
    }
}

fn is_file(side: &Side) -> bool {
    side.mode.starts_with("100")
}
