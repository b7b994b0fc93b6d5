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
    tree_writer::TreeWriter,
};

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
    pub before: &'a str,
    /// After them.
    pub after: &'a str,
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
    let changes = tree_diff::between(repository, states.before, states.after, false)?;
    let since = tree_diff::between(repository, states.after, &states.now.tree, false)?;
    let since: BTreeMap<&str, &Change> = since.iter().map(|c| (c.path.as_str(), c)).collect();
    let mut report = Report::default();
    let mut steps = Vec::new();
    for change in &changes {
        let lacking = states
            .now
            .skipped
            .iter()
            .find(|one| one.path == change.path);
        if let Some(skipped) = lacking {
            let reason = format!("its present state is not kept: {}", skipped.reason.as_str());
            report.leave(&change.path, reason);
        } else if let Err(reason) = may(&change.path) {
            report.leave(&change.path, reason);
        } else {
            steps.push(Step {
                change,
                later: since.get(change.path.as_str()).copied(),
            });
        }
    }
    let work = Work {
        repository,
        writer: TreeWriter::open(repository.top()).map_err(io_error("open", repository.top()))?,
        contents: contents_of(repository, &steps)?,
        suffix,
        dry_run,
    };
    // Files go before folders come in their places.
    steps.sort_by_key(|step| step.change.before.is_some());
    for step in steps {
        work.take(&step, &mut report)?;
    }
    report.restored.sort();
    Ok(report)
}

/// One path to be taken back.
struct Step<'a> {
    change: &'a Change,
    /// What became of it since.
    later: Option<&'a Change>,
}

struct Work<'a> {
    repository: &'a PrivateRepository,
    writer: TreeWriter,
    contents: HashMap<String, Vec<u8>>,
    suffix: &'a str,
    dry_run: bool,
}

fn contents_of(
    repository: &PrivateRepository,
    steps: &[Step<'_>],
) -> Result<HashMap<String, Vec<u8>>, PrivateRepositoryError> {
    let names = steps.iter().flat_map(|step| {
        let later = step.later.and_then(|later| later.after.as_ref());
        // The state after is needed only to merge.
        let after = step.change.after.as_ref().filter(|_| later.is_some());
        [step.change.before.as_ref(), after, later]
    });
    let names = names.flatten().filter(|side| side.mode != "160000");
    objects::contents(repository, names.map(|side| side.object.as_str()))
}

impl Work<'_> {
    fn take(&self, step: &Step<'_>, report: &mut Report) -> Result<(), PrivateRepositoryError> {
        let path = &step.change.path;
        let Some(later) = step.later else {
            self.restore(path, step.change.before.as_ref(), report);
            return Ok(());
        };
        match (&step.change.before, &later.after) {
            // It is as it was already.
            (before, now) if before == now => report.restored.push(path.clone()),
            (None, _) => report.leave(path, "it was new, and was edited since".to_owned()),
            (Some(before), Some(now)) => match self.merged(step.change, before, now)? {
                Some(merged) => {
                    let side = Side {
                        mode: before.mode.clone(),
                        object: String::new(),
                    };
                    self.put(path, &side, &merged, report);
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

    fn restore(&self, path: &str, before: Option<&Side>, report: &mut Report) {
        match before {
            Some(side) => match self.contents.get(&side.object) {
                Some(content) => self.put(path, side, content, report),
                None => report.leave(path, "its content is not kept".to_owned()),
            },
            None => {
                let removed = if self.dry_run {
                    Ok(())
                } else {
                    self.writer.remove(path)
                };
                report.done(path, removed);
            }
        }
    }

    fn put(&self, path: &str, side: &Side, content: &[u8], report: &mut Report) {
        let written = if self.dry_run {
            Ok(())
        } else {
            self.writer.put(path, side, content)
        };
        report.done(path, written);
    }

    fn keep_both(&self, path: &str, before: &Side, report: &mut Report) {
        let Some(content) = self.contents.get(&before.object) else {
            return report.leave(path, "its content is not kept".to_owned());
        };
        let copy = (0..)
            .map(|n| match n {
                0 => format!("{path}.{}", self.suffix),
                n => format!("{path}.{}.{n}", self.suffix),
            })
            .find(|copy| !self.writer.exists(copy));
        let copy = copy.unwrap_or_default();
        let written = if self.dry_run {
            Ok(())
        } else {
            self.writer.put(&copy, before, content)
        };
        match written {
            Ok(()) => report.kept_both.push(KeptBoth {
                path: path.to_owned(),
                copy,
            }),
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

    fn done(&mut self, path: &str, result: std::io::Result<()>) {
        match result {
            Ok(()) => self.restored.push(path.to_owned()),
            Err(error) => self.leave(path, error.to_string()),
        }
    }
}

fn is_file(side: &Side) -> bool {
    side.mode.starts_with("100")
}
