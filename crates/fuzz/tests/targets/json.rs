//! Arbitrary JSON that looks like what a reader expects: known keys, known
//! words, and everything else beside them.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// Texts of few letters, so that what is special about some of them is met.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z ./:_-]{0,12}",
        1 => "[\\[\\](){}`*#,:;.\"'é–—\u{130}\r\n\t -]{0,16}",
        1 => any::<String>(),
    ]
}

/// A single value: a text, a number, a truth or null.
pub fn leaf(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => select(words).prop_map(Value::from),
        3 => text().prop_map(Value::from),
        1 => prop_oneof![any::<u64>(), Just(u64::MAX)].prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => (0..100u64).prop_map(Value::from),
        // Halves are written and read back exactly.
        1 => any::<i32>().prop_map(|half| json!(f64::from(half) / 2.0)),
        1 => select(&[-0.0, 1e300, 200.0][..]).prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

/// A value whose keys are mostly `keys` and whose texts are mostly `words`.
pub fn value(
    keys: &'static [&'static str],
    words: &'static [&'static str],
) -> impl Strategy<Value = Value> {
    leaf(words).prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => fields(keys, inner).prop_map(Value::Object),
        ]
    })
}

/// The same, and an object.
pub fn object(
    keys: &'static [&'static str],
    words: &'static [&'static str],
) -> impl Strategy<Value = Map<String, Value>> {
    fields(keys, value(keys, words))
}

fn fields(
    keys: &'static [&'static str],
    values: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof![9 => select(keys).prop_map(str::to_owned), 1 => text()];
    vec((key, values), 0..8).prop_map(|fields| fields.into_iter().collect())
}
