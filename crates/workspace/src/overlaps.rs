//! Paths that two writers changed while both were at work, and whether one wrote
//! over what the other had done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    attribution::{Known, Span},
    journal::Step,
    objects,
    private_repository::{PrivateRepository, PrivateRepositoryError},
    tree_diff::{self, Side},
};

/// A span in which something changed.
#[derive(Clone, Debug)]
pub struct SpanBetween {
    /// The place of the state at its beginning, among all states.
    pub at: usize,
    /// Who wrote, and what changed.
    pub span: Span,
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
    /// How sure it is.
    pub kind: OverlapKind,
}

/// What two writers did to one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlapKind {
    /// Both changed it.
    Both,
    /// One wrote over what the other had done: 0 or 1.
    Overwrote(usize),
    /// It changed more than once while both had tools at work, and it cannot be told
    /// which of them it was each time.
    Possible,
}

/// A change of a path and who may have made it.
struct Made<'a> {
    span: usize,
    step: &'a Step,
    /// Whether it may have been the first or the second.
    by: [bool; 2],
    /// Whether it may have been a third one.
    by_others: bool,
}

impl Made<'_> {
    fn is_certainly(&self, which: usize) -> bool {
        self.by[which] && !self.by[1 - which] && !self.by_others
    }
}

/// Paths that both changed, by the spans in which either wrote; at most so many.
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
    let mut paths: BTreeMap<&String, Vec<Made<'_>>> = BTreeMap::new();
    for (at, between) in spans.iter().enumerate() {
        for (path, steps) in &between.span.changed {
            for step in steps {
                let made = made_by(pair, (path, step), (at, &between.span), known);
                if made.by.contains(&true) {
                    paths.entry(path).or_default().push(made);
                }
            }
        }
    }
    let mut overlaps = Vec::new();
    for (path, made) in paths {
        if overlaps.len() >= most {
            break;
        }
        let Some(kind) = kind_of(repository, (pair, path), spans, known, &made)? else {
            continue;
        };
        overlaps.push(Overlap {
            path: path.clone(),
            hunks: [
                hunks(repository, &made, 0, kind)?,
                hunks(repository, &made, 1, kind)?,
            ],
            kind,
        });
    }
    Ok(overlaps)
}

fn made_by<'a>(
    pair: [&str; 2],
    (path, step): (&str, &'a Step),
    (at, span): (usize, &Span),
    known: &Known,
) -> Made<'a> {
    let whose = known.whose(span, path, step).writers;
    Made {
        span: at,
        step,
        by: pair.map(|writer| whose.contains(writer)),
        by_others: whose.iter().any(|writer| !pair.contains(&writer.as_str())),
    }
}

fn kind_of(
    repository: &PrivateRepository,
    (pair, path): ([&str; 2], &str),
    spans: &[SpanBetween],
    known: &Known,
    made: &[Made<'_>],
) -> Result<Option<OverlapKind>, PrivateRepositoryError> {
    let by = |which: usize| made.iter().filter(move |one| one.is_certainly(which));
    let is_certain = |which: usize| {
        let told = known.tells(pair[which], path) && made.iter().any(|one| one.by[which]);
        told || by(which).next().is_some()
    };
    if !is_certain(0) || !is_certain(1) {
        let may_be = |first: usize| {
            // Between two looks there was more than one change.
            if made[first].step.passed > 0 && made[first].by == [true, true] {
                return true;
            }
            let second = made.iter().skip(first + 1).any(|one| one.by[1]);
            made[first].by[0] && (second || made.iter().take(first).any(|one| one.by[1]))
        };
        let is_possible = (0..made.len()).any(may_be);
        return Ok(is_possible.then_some(OverlapKind::Possible));
    }
    for (first, second) in [(0, 1), (1, 0)] {
        let (Some(early), Some(late)) = (by(first).next_back(), by(second).next_back()) else {
            continue;
        };
        let place = |of: &Made<'_>| made.iter().position(|one| std::ptr::eq(one, of));
        // In one moment it is not known who came first.
        if place(early) >= place(late) {
            continue;
        }
        let began = spans
            .iter()
            .position(|one| one.span.writers.contains(pair[second]));
        let read_before = began.is_some_and(|began| began <= early.span);
        if read_before && !survives(repository, early.step, late.step)? {
            return Ok(Some(OverlapKind::Overwrote(second)));
        }
    }
    Ok(Some(OverlapKind::Both))
}

fn hunks(
    repository: &PrivateRepository,
    made: &[Made<'_>],
    which: usize,
    kind: OverlapKind,
) -> Result<Vec<Hunk>, PrivateRepositoryError> {
    let mut all: Vec<Hunk> = Vec::new();
    let is_sure = kind != OverlapKind::Possible && made.iter().any(|one| one.is_certainly(which));
    let own = made.iter().filter(|one| match is_sure {
        true => one.is_certainly(which),
        false => one.by[which],
    });
    for one in own {
        let sides = [one.step.before.as_ref(), one.step.after.as_ref()];
        for (start, lines) in tree_diff::hunks_of(repository, sides)? {
            let hunk = Hunk { start, lines };
            if !all.contains(&hunk) {
                all.push(hunk);
            }
        }
    }
    Ok(all)
}

/// Whether what one step did to a path is still there after a later one.
fn survives(
    repository: &PrivateRepository,
    step: &Step,
    later: &Step,
) -> Result<bool, PrivateRepositoryError> {
    let (mine, now) = (&step.after, &later.after);
    if now == mine {
        return Ok(true);
    }
    let (Some(mine), Some(now)) = (mine, now) else {
        // Gone, or come again.
        return Ok(false);
    };
    let names = [step.before.as_ref(), Some(mine), Some(now)];
    let names = names
        .into_iter()
        .flatten()
        .map(|side: &Side| side.object.as_str());
    let names: Vec<&str> = names.collect();
    let contents = objects::contents(repository, names.iter().copied())?;
    if names.iter().any(|name| !contents.contains_key(*name)) {
        // What is lost tells nothing.
        return Ok(true);
    }
    let text = |side: &Side| contents.get(&side.object).cloned().unwrap_or_default();
    let before = step.before.as_ref().map(text).unwrap_or_default();
    let merged = crate::merge::three_way(repository, &text(now), &before, &text(mine))?;
    // Merging it in again changes nothing where it is there already. Where both
    // touch the same lines it is not known what the later one had read.
    Ok(merged.is_none_or(|merged| merged == text(now)))
}
