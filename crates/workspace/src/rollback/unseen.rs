//! Files that cannot be said to be new.

use super::Taken;
use crate::tree_diff::Change;

/// What may have been there before although the state before does not have it:
/// to take it back would delete what nobody added.
pub(super) struct Unseen<'a> {
    /// Paths that were not kept, or were repositories of their own.
    paths: Vec<&'a str>,
    /// Whether other files are ignored than before.
    ignores_changed: bool,
}

impl<'a> Unseen<'a> {
    pub(super) fn of(states: &Taken<'a>, changes: &'a [Change]) -> Self {
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
    pub(super) fn reason(&self, change: &Change) -> Option<&'static str> {
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

fn holds_ignore_rules(change: &Change) -> bool {
    change.path == ".gitignore" || change.path.ends_with("/.gitignore")
}
