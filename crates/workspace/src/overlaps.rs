//! Paths that two writers changed while both were at work, and whether one wrote
//! over what the other had done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    attribution::{Known, Span},
    objects,
    private_repository::{PrivateRepository, PrivateRepositoryError},
    tree_diff::{self, Change, Side},
};

/// A span in which something changed, with the states at its ends.
#[derive(Clone, Debug)]
pub struct SpanBetween {
    /// The place of the state at its beginning, among all states.
    pub at: usize,
    /// Who wrote, and what changed.
    pub span: Span,
    /// The tree at its beginning.
    pub from: String,
    /// The tree at its end.
    pub to: String,
}

/// Some lines of a file that were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// First line afterwards, from 1; where lines only went, the line before.
    pub start: u64,
    /// Number of lines afterwards.
    pub lines: u64,
}

/// One path that two writers changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The path.
    pub path: String,
    /// What the first and the second changed there, as far as it can be told.
    pub hunks: [Vec<Hunk>; 2],
    /// Which of the two wrote over what the other had done, if one did: 0 or 1.
    pub overwrote: Option<usize>,
}

/// Paths that both certainly changed, by the spans in which either wrote; at most
/// so many.
///
/// # Errors
/// Git cannot be run.
pub fn between(
    repository: &PrivateRepository,
    pair: [&str; 2],
    spans: &[SpanBetween],
    known: &Known,
    most: usize,
) -> Result<Vec<Overlap>, PrivateRepositoryError> {
    let mut paths: BTreeMap<&String, [Vec<usize>; 2]> = BTreeMap::new();
    for (at, between) in spans.iter().enumerate() {
        for path in &between.span.changed {
            for (which, writer) in pair.iter().enumerate() {
                if is_by(writer, path, &between.span, known) {
                    paths.entry(path).or_default()[which].push(at);
                }
            }
        }
    }
    paths.retain(|_, by| by.iter().all(|spans| !spans.is_empty()));
    let mut overlaps = Vec::new();
    for (path, by) in paths.into_iter().take(most) {
        let hunks = [
            hunks(repository, spans, &by[0], path)?,
            hunks(repository, spans, &by[1], path)?,
        ];
        overlaps.push(Overlap {
            path: path.clone(),
            hunks,
            overwrote: overwrote(repository, pair, spans, &by, path)?,
        });
    }
    Ok(overlaps)
}

/// Whether a writer certainly changed a path in a span.
fn is_by(writer: &str, path: &str, span: &Span, known: &Known) -> bool {
    let alone = || known.suspects(span, path).all(|suspect| suspect == writer);
    span.writers.contains(writer)
        && known.can(writer, path)
        && (known.tells(writer, path) || alone())
}

fn hunks(
    repository: &PrivateRepository,
    spans: &[SpanBetween],
    at: &[usize],
    path: &str,
) -> Result<Vec<Hunk>, PrivateRepositoryError> {
    let mut all = Vec::new();
    for span in at.iter().map(|at| &spans[*at]) {
        let lines = tree_diff::hunks(repository, &span.from, &span.to, path)?;
        all.extend(
            lines
                .into_iter()
                .map(|(start, lines)| Hunk { start, lines }),
        );
    }
    Ok(all)
}

/// Which of the two wrote last, from a reading that is older than the change of
/// the other, and so that nothing is left of it.
fn overwrote(
    repository: &PrivateRepository,
    pair: [&str; 2],
    spans: &[SpanBetween],
    by: &[Vec<usize>; 2],
    path: &str,
) -> Result<Option<usize>, PrivateRepositoryError> {
    for (first, second) in [(0, 1), (1, 0)] {
        let (Some(early), Some(late)) = (by[first].last(), by[second].last()) else {
            continue;
        };
        // In one span it is not known who came first.
        if early >= late {
            continue;
        }
        let began = spans
            .iter()
            .position(|one| one.span.writers.contains(pair[second]));
        let read_before = began.is_some_and(|began| began <= *early);
        if read_before && !survives(repository, &spans[*early], &spans[*late].to, path)? {
            return Ok(Some(second));
        }
    }
    Ok(None)
}

/// Whether what a span did to a path is still in a later tree.
fn survives(
    repository: &PrivateRepository,
    span: &SpanBetween,
    later: &str,
    path: &str,
) -> Result<bool, PrivateRepositoryError> {
    let own = change_of(repository, &span.from, &span.to, path)?;
    let since = change_of(repository, &span.to, later, path)?;
    let (Some(own), Some(since)) = (own, since) else {
        return Ok(true);
    };
    let [before, mine, now] = [own.before, own.after, since.after];
    if now == mine {
        return Ok(true);
    }
    let (Some(mine), Some(now)) = (mine, now) else {
        // Gone, or come again.
        return Ok(false);
    };
    let names = [before.as_ref(), Some(&mine), Some(&now)];
    let names = names
        .into_iter()
        .flatten()
        .map(|side: &Side| side.object.as_str());
    let contents = objects::contents(repository, names)?;
    let text = |side: &Side| contents.get(&side.object).cloned().unwrap_or_default();
    let before = before.as_ref().map(text).unwrap_or_default();
    let merged = crate::merge::three_way(repository, &text(&now), &before, &text(&mine))?;
    // Merging it in again changes nothing where it is there already. Where both
    // touch the same lines it is not known what the later one had read.
    Ok(merged.is_none_or(|merged| merged == text(&now)))
}

fn change_of(
    repository: &PrivateRepository,
    from: &str,
    to: &str,
    path: &str,
) -> Result<Option<Change>, PrivateRepositoryError> {
    let changes = tree_diff::between(repository, from, to, false)?;
    Ok(changes.into_iter().find(|change| change.path == path))
}
