//! BM25 over the name, the description and the headings of skills.
//!
//! The fields are weighed by how often a term counts, as in BM25F. The inverse
//! document frequency is taken as if [`BACKGROUND`] further skills without the term
//! were there: with the five skills a user may have, every word would be common, and
//! one threshold could not hold for five and for five hundred.

use std::collections::{BTreeMap, BTreeSet};

use super::terms::{terms, what_it_is_for};
use crate::files::skills::Skill;

const K1: f64 = 1.2;
const B: f64 = 0.5;
const BACKGROUND: f64 = 30.0;
/// Average length that short texts are held against, terms.
const USUAL_LENGTH: f64 = 30.0;

const NAME_WEIGHT: f64 = 3.0;
const DESCRIPTION_WEIGHT: f64 = 1.0;
const HEADING_WEIGHT: f64 = 0.4;

/// Least score of one that is taken.
const THRESHOLD: f64 = 5.0;
/// Least part of the best score.
const OF_BEST: f64 = 0.4;
/// Least score of one whose name shares a term with the task.
const NAMED: f64 = 3.5;

/// A skill that is relevant to a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Its place in the list.
    pub skill: usize,
    /// How relevant it is.
    pub score: f64,
    /// Why, in words.
    pub reason: String,
}

struct Document {
    weights: BTreeMap<String, f64>,
    in_name: BTreeSet<String>,
    length: f64,
}

/// The relevant skills, the most relevant first.
#[must_use]
pub fn rank(skills: &[Skill], task: &str) -> Vec<Ranked> {
    let documents: Vec<Document> = skills.iter().map(document).collect();
    let words: BTreeSet<String> = terms(task).into_iter().collect();
    let query: Vec<(&String, f64)> = words
        .iter()
        .map(|term| (term, rarity(term, &documents)))
        .collect();
    let mut ranked: Vec<Ranked> = documents
        .iter()
        .enumerate()
        .filter_map(|(skill, document)| score(skill, document, &query))
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.skill.cmp(&b.skill)));
    let best = ranked.first().map_or(0.0, |first| first.score);
    ranked.retain(|ranked| ranked.score >= best * OF_BEST);
    ranked
}

fn document(skill: &Skill) -> Document {
    let name = terms(&skill.name);
    let mut weights = BTreeMap::new();
    let mut length = 0.0;
    let mut count = |words: &[String], weight: f64| {
        for word in words {
            *weights.entry(word.clone()).or_insert(0.0) += weight;
            length += weight;
        }
    };
    count(&name, NAME_WEIGHT);
    count(
        &terms(&what_it_is_for(&skill.description)),
        DESCRIPTION_WEIGHT,
    );
    count(&terms(&skill.headings.join(" ")), HEADING_WEIGHT);
    Document {
        weights,
        in_name: name.into_iter().collect(),
        length,
    }
}

/// `query`: the terms of the task, each with its rarity among all skills.
fn score(skill: usize, document: &Document, query: &[(&String, f64)]) -> Option<Ranked> {
    let mut matched: Vec<(&String, f64)> = Vec::new();
    for (term, rarity) in query {
        let Some(weight) = document.weights.get(*term) else {
            continue;
        };
        let long = 1.0 - B + B * (document.length / USUAL_LENGTH);
        let frequency = weight * (K1 + 1.0) / (weight + K1 * long);
        matched.push((*term, rarity * frequency));
    }
    let score: f64 = matched.iter().map(|(_, part)| part).sum();
    let in_name = matched
        .iter()
        .filter(|(term, _)| document.in_name.contains(*term))
        .count();
    let most_of_name = in_name * 2 > document.in_name.len();
    let enough = match (matched.len(), in_name) {
        (0, _) => false,
        // One word that happens to be part of a name says little.
        (1, _) => most_of_name && score >= NAMED,
        (_, 0) => score >= THRESHOLD,
        _ => score >= NAMED,
    };
    enough.then(|| Ranked {
        skill,
        score,
        reason: reason(&mut matched, document),
    })
}

fn rarity(term: &str, all: &[Document]) -> f64 {
    let with = all
        .iter()
        .filter(|document| document.weights.contains_key(term));
    let with = with.map(|_| 1.0).sum::<f64>();
    let without = all.iter().map(|_| 1.0).sum::<f64>() - with + BACKGROUND;
    (1.0 + (without + 0.5) / (with + 0.5)).ln()
}

fn reason(matched: &mut [(&String, f64)], document: &Document) -> String {
    matched.sort_by(|a, b| b.1.total_cmp(&a.1));
    let words: Vec<String> = matched
        .iter()
        .take(5)
        .map(|(term, part)| {
            let place = match document.in_name.contains(*term) {
                true => " in its name",
                false => "",
            };
            format!("{term}{place} ({part:.1})")
        })
        .collect();
    format!("the task shares with it: {}", words.join(", "))
}
