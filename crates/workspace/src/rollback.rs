//! Takes changes back: of one job, or all since a state.
//!
//! What was edited after the changes is kept: both are merged where they do not
//! touch each other, and where they do the later one stays and the earlier one is
//! put beside it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::Checkpoint,
    objects,
    private_repository::{PrivateRepository, PrivateRepositoryError, io_error},
    tree_diff::{self, Change, Side},
    tree_writer::{Held, Replaced, TreeWriter},
};

/// Paths whose contents are in memory at a time.
const AT_ONCE: usize = 4;

/// Said of a path that cannot be taken back.
const NOT_KEPT: &str = "its content is not kept";

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

/// A path with two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBoth {
    /// The path, as it was edited last.
    pub path: String,
    /// Where it lies as it was before.
    pub copy: String,
}

/// A path that was left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The path.
    pub path: String,
    /// Why.
    pub reason: String,
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
    let unseen = Unseen::of(&states, &changes);
    let since: BTreeMap<&str, &Change> = since.iter().map(|c| (c.path.as_str(), c)).collect();
    let mut report = Report::default();
    let mut steps = Vec::new();
    for change in &changes {
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
            });
        }
    }
    // Files go before folders come in their places.
    steps.sort_by_key(|step| step.change.before.is_some());
    let writer = TreeWriter::open(repository.top()).map_err(io_error("open", repository.top()))?;
    // A few at a time: their contents are in memory.
    for some in steps.chunks(AT_ONCE) {
        let work = Work {
            repository,
            writer: &writer,
            contents: contents_of(repository, some)?,
            conflicts,
            dry_run,
        };
        for step in some {
            work.take(step, &mut report)?;
        }
    }
    report.restored.sort();
    Ok(report)
}

/// What may have been there before although the state before does not have it:
/// to take it back would delete what nobody added.
struct Unseen<'a> {
    /// Paths that were not kept, or were repositories of their own.
    paths: Vec<&'a str>,
    /// Whether other files are ignored than before.
    ignores_changed: bool,
}

impl<'a> Unseen<'a> {
    fn of(states: &Taken<'a>, changes: &'a [Change]) -> Self {
        let skipped = states.before.skipped.iter().map(|one| one.path.as_str());
        let repositories = changes.iter().filter(|change| {
            let before = change.before.as_ref();
            before.is_some_and(|side| side.mode == "160000")
        });
        Self {
            paths: skipped
                .chain(repositories.map(|change| change.path.as_str()))
                .collect(),
            ignores_changed: states.before.ignores != states.after.ignores
                || changes.iter().any(holds_ignore_rules),
        }
    }

    /// Why a path that seems new may have been there.
    fn reason(&self, change: &Change) -> Option<&'static str> {
        if change.before.is_some() {
            return None;
        }
        let is_below = |path: &&str| {
            change
                .path
                .strip_prefix(*path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.paths.iter().any(is_below) {
            return Some("it may have been there before: it was not kept then");
        }
        (self.ignores_changed && !holds_ignore_rules(change))
            .then_some("it may have been there before: other files are ignored since")
    }
}

/// One path to be taken back.
struct Step<'a> {
    change: &'a Change,
    /// What became of it since.
    later: Option<&'a Change>,
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
            (None, _) => report.leave(path, "it was new, and was edited since".to_owned()),
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

fn holds_ignore_rules(change: &Change) -> bool {
    change.path == ".gitignore" || change.path.ends_with("/.gitignore")
}

fn is_file(side: &Side) -> bool {
    side.mode.starts_with("100")
}
