//! Inputs kept as files: replayed as they are, and the ground from which new
//! ones are made by small changes.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
};

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::harness;

/// One kept input.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The files of `corpus/<folder>`, and those that other tests keep at
/// `elsewhere` (from this package's folder), in the order of their names.
pub fn kept(folder: &str, elsewhere: &[&str]) -> Vec<Kept> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = package.join("corpus").join(folder);
    let mut paths = Vec::new();
    for folder in std::iter::once(own).chain(elsewhere.iter().map(|more| package.join(more))) {
        let entries = fs_err::read_dir(folder).expect("a folder of inputs");
        paths.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    paths.sort();
    let kept: Vec<Kept> = paths
        .into_iter()
        .map(|path| Kept {
            bytes: fs_err::read(&path).expect("an input"),
            path,
        })
        .collect();
    assert!(!kept.is_empty(), "no inputs in corpus/{folder}");
    kept
}

/// The files of `corpus/<folder>`, which are JSON.
pub fn kept_json(folder: &str) -> Vec<serde_json::Value> {
    let kept = kept(folder, &[]);
    let read = |kept: &Kept| serde_json::from_slice(&kept.bytes).expect("an input is JSON");
    kept.iter().map(read).collect()
}

/// Gives every kept input to `check`, then `cases` changed ones. A change may
/// bring in any of `words`.
pub fn run(
    target: &str,
    cases: u32,
    kept: Vec<Kept>,
    words: &'static [&'static str],
    check: impl Fn(&[u8]),
) {
    for input in &kept {
        let checked = catch_unwind(AssertUnwindSafe(|| check(&input.bytes)));
        if let Err(panic) = checked {
            eprintln!("{target} fails with {}", input.path.display());
            resume_unwind(panic);
        }
    }
    let grounds = kept.into_iter().map(|input| input.bytes).collect();
    let strategy = changed(grounds, words).prop_map(Bytes);
    harness::run(target, cases, &strategy, |input| check(&input.0));
}

/// Bytes that are shown as text, so that a failure can be read and kept.
#[derive(Clone)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One change of an input.
#[derive(Clone, Debug)]
enum Change {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    /// A number or what stands at the place becomes this word.
    Swap(Index, &'static str),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    /// What follows comes from another input.
    Splice(Index, Index, Index),
    CutShort(Index),
}

/// Numbers at which arithmetic and parsers go wrong.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-0.0",
    "-1",
    "1e999",
    "0.5",
    "4294967295",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
];

/// Inputs made from `grounds` by at most six changes.
pub fn changed(
    grounds: Vec<Vec<u8>>,
    words: &'static [&'static str],
) -> impl Strategy<Value = Vec<u8>> {
    let word = move || {
        any::<Index>().prop_map(move |index| match words {
            [] => NUMBERS[index.index(NUMBERS.len())],
            words => words[index.index(words.len())],
        })
    };
    let number = || any::<Index>().prop_map(|index| NUMBERS[index.index(NUMBERS.len())]);
    let insert = |text: BoxedStrategy<&'static str>| {
        (any::<Index>(), text).prop_map(|(at, text)| Change::Insert(at, text.as_bytes().to_vec()))
    };
    let change = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (any::<Index>(), vec(any::<u8>(), 1..8)).prop_map(|(at, new)| Change::Insert(at, new)),
        insert(word().boxed()),
        (any::<Index>(), prop_oneof![word(), number()])
            .prop_map(|(at, word)| Change::Swap(at, word)),
        (any::<Index>(), 1..40usize).prop_map(|(at, len)| Change::Remove(at, len)),
        (any::<Index>(), 1..60usize, 1..5usize)
            .prop_map(|(at, len, times)| Change::Repeat(at, len, times)),
        (any::<Index>(), any::<Index>(), any::<Index>())
            .prop_map(|(at, other, from)| Change::Splice(at, other, from)),
        any::<Index>().prop_map(Change::CutShort),
    ];
    (any::<Index>(), vec(change, 0..6)).prop_map(move |(ground, changes)| {
        let mut bytes = ground.get(&grounds).clone();
        for change in changes {
            apply(&change, &mut bytes, &grounds);
        }
        bytes
    })
}

fn apply(change: &Change, bytes: &mut Vec<u8>, grounds: &[Vec<u8>]) {
    let place = |at: &Index, len: usize| at.index(len + 1);
    match change {
        Change::Replace(at, byte) => {
            let at = place(at, bytes.len());
            if let Some(place) = bytes.get_mut(at) {
                *place = *byte;
            }
        }
        Change::Insert(at, new) => {
            let at = place(at, bytes.len());
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Swap(at, word) => {
            let at = place(at, bytes.len());
            // To the next word of any kind, so that a number is replaced whole.
            let len = |bytes: &[u8]| {
                bytes
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric())
                    .count()
            };
            let skip = bytes[at..]
                .iter()
                .take_while(|b| !b.is_ascii_alphanumeric())
                .count();
            let start = at + skip;
            let end = start + len(&bytes[start..]);
            bytes.splice(start..end, word.bytes());
        }
        Change::Remove(at, len) => {
            let at = place(at, bytes.len());
            let end = (at + len).min(bytes.len());
            bytes.drain(at..end);
        }
        Change::Repeat(at, len, times) => {
            let at = place(at, bytes.len());
            let end = (at + len).min(bytes.len());
            let part = bytes[at..end].repeat(*times);
            bytes.splice(end..end, part);
        }
        Change::Splice(at, other, from) => {
            let at = place(at, bytes.len());
            let other = other.get(grounds);
            let from = place(from, other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        Change::CutShort(at) => bytes.truncate(place(at, bytes.len())),
    }
}
