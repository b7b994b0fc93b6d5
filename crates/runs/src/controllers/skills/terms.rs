//! From a text to the words that it is about.

use std::{collections::HashSet, sync::LazyLock};

use rust_stemmers::{Algorithm, Stemmer};

/// Words that nearly every task and every description of a skill has: they say that
/// something is to be done, not what.
const GENERIC: &[&str] = &[
    "add",
    "agent",
    "ask",
    "asked",
    "asking",
    "better",
    "build",
    "change",
    "check",
    "clean",
    "code",
    "create",
    "different",
    "do",
    "edit",
    "ensure",
    "existing",
    "explain",
    "file",
    "find",
    "fix",
    "folder",
    "get",
    "give",
    "go",
    "good",
    "guide",
    "handle",
    "handling",
    "help",
    "implement",
    "improve",
    "include",
    "including",
    "involve",
    "issue",
    "keep",
    "know",
    "like",
    "look",
    "make",
    "mention",
    "need",
    "new",
    "part",
    "please",
    "problem",
    "produce",
    "project",
    "provide",
    "put",
    "read",
    "request",
    "result",
    "run",
    "set",
    "show",
    "small",
    "something",
    "step",
    "support",
    "sure",
    "take",
    "task",
    "tell",
    "thing",
    "tool",
    "try",
    "update",
    "use",
    "used",
    "user",
    "using",
    "want",
    "way",
    "work",
    "working",
    "workflow",
    "write",
    "writing",
    "general",
    "common",
    "best",
    "practice",
    "across",
    "within",
    "based",
    "related",
    "various",
    "specific",
    "whenever",
    "instruction",
    "trigger",
    "current",
    "first",
    "second",
    "one",
    "two",
    "line",
    "name",
    "list",
    "all",
    "our",
    "end",
    "start",
    "side",
    "place",
    "every",
    "correct",
    "wrong",
];

/// What people write in short.
const IN_SHORT: &[(&str, &str)] = &[
    ("auth", "authentication"),
    ("config", "configuration"),
    ("configs", "configuration"),
    ("db", "database"),
    ("deps", "dependency"),
    ("dependencies", "dependency"),
    ("doc", "documentation"),
    ("docs", "documentation"),
    ("env", "environment"),
    ("js", "javascript"),
    ("k8s", "kubernetes"),
    ("perf", "performance"),
    ("postgres", "postgresql"),
    ("psql", "postgresql"),
    ("py", "python"),
    ("repo", "repository"),
    ("ts", "typescript"),
    ("vuln", "vulnerability"),
];

/// Beginnings of sentences that say what a skill is not for.
const NOT_FOR: [&str; 6] = [
    "do not use",
    "don't use",
    "not for",
    "not intended",
    "never use",
    "should not be used",
];

static STOP_WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let english = stop_words::lookup(stop_words::Language::English).unwrap_or_default();
    let words = english.iter().map(|word| word.to_lowercase());
    words
        .chain(GENERIC.iter().map(|word| (*word).to_owned()))
        .collect()
});

static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

static GENERIC_STEMS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    GENERIC
        .iter()
        .map(|word| STEMMER.stem(word).into_owned())
        .collect()
});

/// The stems of the words of a text that are no stop words, in order.
#[must_use]
pub fn terms(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter_map(term)
        .collect()
}

fn term(word: &str) -> Option<String> {
    let word = word.to_lowercase();
    let whole = IN_SHORT.iter().find(|(short, _)| *short == word);
    let word = whole.map_or(word.as_str(), |(_, whole)| whole);
    let is_short = word.chars().count() < 2 || word.bytes().all(|b| b.is_ascii_digit());
    if is_short || STOP_WORDS.contains(word) {
        return None;
    }
    let stem = STEMMER.stem(word).into_owned();
    (!GENERIC_STEMS.contains(&stem)).then_some(stem)
}

/// A description without the sentences that say what the skill is not for: their words
/// would choose it where it is of no use.
#[must_use]
pub fn what_it_is_for(description: &str) -> String {
    description
        .split_inclusive(['.', ';', '!'])
        .filter(|sentence| {
            let sentence = sentence.trim_start().to_lowercase();
            !NOT_FOR.iter().any(|words| sentence.starts_with(words))
        })
        .collect()
}
