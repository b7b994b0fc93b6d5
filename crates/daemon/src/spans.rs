//! The spans between the states of a tree: who wrote in each, and what changed.

use std::collections::BTreeSet;

use convoke_workspace::{
    attribution::Span,
    checkpoint::Checkpoint,
    journal::Record,
    overlaps::SpanBetween,
    private_repository::{Edge, KeptState, PrivateRepository, PrivateRepositoryError},
};

/// Who had begun to write and not ended by the last of these states.
pub fn writing_at(states: &[KeptState]) -> BTreeSet<String> {
    let mut writing = BTreeSet::new();
    for state in states {
        step(&mut writing, state);
    }
    writing
}

fn step(writing: &mut BTreeSet<String>, state: &KeptState) {
    match state.edge {
        Edge::Before => {
            writing.insert(state.writer.clone());
        }
        Edge::After | Edge::Lost => {
            writing.remove(&state.writer);
        }
        // In a tree of its own nobody writes in this one.
        Edge::Base | Edge::Result => {}
    }
}

/// What changed between each two of some states, and up to the end, with those
/// that wrote then. `first` is the place of the first state.
///
/// # Errors
/// States cannot be compared.
pub fn between(
    repository: &PrivateRepository,
    (first, states): (usize, &[KeptState]),
    writing: &BTreeSet<String>,
    end: &Checkpoint,
) -> Result<Vec<SpanBetween>, PrivateRepositoryError> {
    let record = Record::read(repository)?;
    let mut writing = writing.clone();
    let mut spans = Vec::new();
    for (at, state) in states.iter().enumerate() {
        step(&mut writing, state);
        let changed = record.steps(repository, (states, at), &end.tree)?;
        if changed.is_empty() {
            // Most are, where many jobs come and go, and each has its writers.
            continue;
        }
        spans.push(SpanBetween {
            at: first + at,
            span: Span {
                writers: writing.clone(),
                changed,
            },
        });
    }
    Ok(spans)
}
