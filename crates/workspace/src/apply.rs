//! Brings the changes of an isolated job into the tree it came from: all of them,
//! or none.

use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::{Checkpoint, Skipped},
    overlaps::Hunk,
    private_repository::{PrivateRepository, PrivateRepositoryError},
    rollback::{self, Report, Taken},
    tree_diff,
};

/// The states that are brought together.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// What the job began with.
    pub base: &'a Checkpoint,
    /// What it made of it.
    pub theirs: &'a Checkpoint,
    /// The tree as it is now.
    pub ours: &'a Checkpoint,
}

/// What came of it, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Paths that are as the job left them, or merged.
    pub applied: Vec<String>,
    /// Paths that cannot be brought together; nothing is written then.
    pub conflicts: Vec<Unmerged>,
}

/// A path that cannot be brought together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unmerged {
    /// The path.
    pub path: String,
    /// Why.
    pub reason: String,
    /// The lines that the job changed, as it left them.
    pub theirs: Vec<Hunk>,
    /// The lines that were changed in the tree since, as they are now.
    pub ours: Vec<Hunk>,
}

/// What would come of it; nothing is written.
///
/// # Errors
/// A state is not there any more, or git cannot be run.
pub fn plan(
    repository: &PrivateRepository,
    sides: Sides<'_>,
) -> Result<Applied, PrivateRepositoryError> {
    let report = step(repository, sides, true)?;
    told(repository, sides, report)
}

/// Writes it. What could be written before something went wrong, because the tree
/// was edited in that very moment, is told as applied beside the conflicts: the
/// caller takes it back.
///
/// # Errors
/// See [`plan`].
pub fn write(
    repository: &PrivateRepository,
    sides: Sides<'_>,
) -> Result<Applied, PrivateRepositoryError> {
    let report = step(repository, sides, false)?;
    told(repository, sides, report)
}

/// To bring in what lies between base and theirs is to take back what lies between
/// theirs and base.
fn step(
    repository: &PrivateRepository,
    sides: Sides<'_>,
    dry_run: bool,
) -> Result<Report, PrivateRepositoryError> {
    let states = Taken {
        before: sides.theirs,
        after: sides.base,
        now: sides.ours,
    };
    rollback::bring_in(repository, states, dry_run)
}

fn told(
    repository: &PrivateRepository,
    sides: Sides<'_>,
    report: Report,
) -> Result<Applied, PrivateRepositoryError> {
    let mut conflicts = Vec::new();
    for left in report.skipped {
        let hunks = |to: &Checkpoint| -> Result<Vec<Hunk>, PrivateRepositoryError> {
            let lines = tree_diff::hunks(repository, &sides.base.tree, &to.tree, &left.path)?;
            let lines = lines.into_iter();
            Ok(lines.map(|(start, lines)| Hunk { start, lines }).collect())
        };
        conflicts.push(Unmerged {
            theirs: hunks(sides.theirs)?,
            ours: hunks(sides.ours)?,
            path: left.path,
            reason: left.reason,
        });
    }
    // What is in no state cannot be brought in, and is not to be forgotten.
    let kept = |one: &&Skipped| !sides.base.skipped.contains(one);
    for skipped in sides.theirs.skipped.iter().filter(kept) {
        conflicts.push(Unmerged {
            path: skipped.path.clone(),
            reason: format!(
                "its content is not kept ({}): copy it by hand, or remove it there",
                skipped.reason.as_str()
            ),
            theirs: Vec::new(),
            ours: Vec::new(),
        });
    }
    conflicts.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Applied {
        applied: report.restored,
        conflicts,
    })
}
