//! References in step texts: `${out.1.jobId}`, `${last.status}`, `${wait.completedJobId}`.
//!
//! The first part says which tool output of the running script: `out.N` (counted from 1), `last`, or the name a call was given
//! with `as` (its latest output, in a repeated call). The rest is a dotted path of object keys and array positions (from 0).
//! A string that is one reference and nothing else becomes the value with its JSON type; within a longer string, strings are
//! put in as they are and other values as JSON. `$${` stands for a literal `${`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The tool outputs of a script so far.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    all: Vec<Value>,
    named: BTreeMap<String, usize>,
}

impl Outputs {
    /// Adds the next output, under a name when its step has one.
    pub(crate) fn push(&mut self, name: Option<&str>, value: Value) {
        if let Some(name) = name {
            self.named.insert(name.to_owned(), self.all.len());
        }
        self.all.push(value);
    }

    fn get(&self, reference: &Reference<'_>) -> Option<&Value> {
        match reference.source {
            Source::Out(number) => self.all.get(number - 1),
            Source::Last => self.all.last(),
            Source::Named(name) => self.all.get(*self.named.get(name)?),
        }
    }
}

/// The value at a dotted path; the empty path is the value itself.
pub(crate) fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .filter(|part| !part.is_empty())
        .try_fold(value, |value, part| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            value => value.get(part),
        })
}

/// Fills in the references of a string; the result has the JSON type of the value when the string is one reference only.
///
/// # Errors
/// A message that names the reference and what the output was.
pub(crate) fn fill(text: &str, outputs: &Outputs) -> Result<Value, String> {
    let pieces = pieces(text)?;
    if let [Piece::Reference(reference)] = pieces.as_slice() {
        return lookup(reference, outputs).cloned();
    }
    let mut filled = String::new();
    for piece in &pieces {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Reference(reference) => filled.push_str(&as_text(lookup(reference, outputs)?)),
        }
    }
    Ok(Value::String(filled))
}

/// Fills in the references of a text that stays a text.
///
/// # Errors
/// As [`fill`].
pub(crate) fn fill_text(text: &str, outputs: &Outputs) -> Result<String, String> {
    fill(text, outputs).map(|value| as_text(&value))
}

/// Fills in the references in all strings of a value (not in object keys).
///
/// # Errors
/// As [`fill`].
pub(crate) fn fill_value(value: &Value, outputs: &Outputs) -> Result<Value, String> {
    match value {
        Value::String(text) => fill(text, outputs),
        Value::Array(items) => items.iter().map(|item| fill_value(item, outputs)).collect(),
        Value::Object(map) => fill_map(map, outputs).map(Value::Object),
        other => Ok(other.clone()),
    }
}

/// Fills in the references in all values of an object.
///
/// # Errors
/// As [`fill`].
pub(crate) fn fill_map(
    map: &Map<String, Value>,
    outputs: &Outputs,
) -> Result<Map<String, Value>, String> {
    map.iter()
        .map(|(key, value)| Ok((key.clone(), fill_value(value, outputs)?)))
        .collect()
}

/// Checks the references of a string before anything is played: only names and numbers of earlier calls are allowed.
///
/// # Errors
/// A message that names the reference.
pub(crate) fn check(text: &str, names: &BTreeSet<String>, calls: usize) -> Result<(), String> {
    for piece in pieces(text)? {
        let Piece::Reference(reference) = piece else {
            continue;
        };
        let whole = reference.whole;
        match reference.source {
            Source::Named(name) if !names.contains(name) => {
                return Err(format!(
                    "${{{whole}}}: no earlier step is named `{name}`; write $${{{whole}}} for a literal ${{"
                ));
            }
            Source::Out(number) if number > calls => {
                return Err(format!(
                    "${{{whole}}} refers to tool output {number}, but only {calls} calls come before this step"
                ));
            }
            Source::Last if calls == 0 => {
                return Err(format!("${{{whole}}}: no call comes before this step"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks a name given with `as`.
///
/// # Errors
/// A message when it is reserved or has characters that a reference cannot hold.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if matches!(name, "out" | "last") {
        return Err(format!("the name `{name}` is reserved"));
    }
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    {
        return Err(format!(
            "the name `{name}` may hold letters, digits, _ and - only"
        ));
    }
    Ok(())
}

#[derive(Debug)]
enum Piece<'a> {
    Text(&'a str),
    Reference(Reference<'a>),
}

#[derive(Debug)]
struct Reference<'a> {
    whole: &'a str,
    source: Source<'a>,
    path: &'a str,
}

#[derive(Debug)]
enum Source<'a> {
    Out(usize),
    Last,
    Named(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        // `$${`: drop the first dollar, keep the rest as text.
        if let Some(before) = before.strip_suffix('$') {
            pieces.push(Piece::Text(before));
            pieces.push(Piece::Text("${"));
            rest = &from[2..];
            continue;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let Some(end) = from.find('}') else {
            return Err(format!(
                "`{from}` opens a reference that never ends; write $${{ for a literal ${{"
            ));
        };
        pieces.push(Piece::Reference(reference(&from[2..end])?));
        rest = &from[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

fn reference(whole: &str) -> Result<Reference<'_>, String> {
    let (first, path) = whole.split_once('.').unwrap_or((whole, ""));
    match first {
        "last" => Ok(Reference {
            whole,
            source: Source::Last,
            path,
        }),
        "out" => {
            let (number, path) = path.split_once('.').unwrap_or((path, ""));
            let number = number.parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| {
                format!("${{{whole}}}: after `out.` comes the number of a tool output, from 1")
            })?;
            Ok(Reference {
                whole,
                source: Source::Out(number),
                path,
            })
        }
        name => Ok(Reference {
            whole,
            source: Source::Named(name),
            path,
        }),
    }
}

fn lookup<'a>(reference: &Reference<'_>, outputs: &'a Outputs) -> Result<&'a Value, String> {
    let whole = reference.whole;
    let output = outputs
        .get(reference)
        .ok_or_else(|| format!("${{{whole}}}: there is no such tool output yet"))?;
    at_path(output, reference.path)
        .ok_or_else(|| format!("${{{whole}}}: not in the tool output {}", shortened(output)))
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outputs() -> Outputs {
        let mut outputs = Outputs::default();
        outputs.push(
            None,
            json!({"jobId": "j1", "nested": [{"n": 7}], "none": null}),
        );
        outputs.push(Some("wait"), json!({"completedJobId": null}));
        outputs.push(Some("wait"), json!({"completedJobId": "j1"}));
        outputs.push(None, json!("plain text"));
        outputs
    }

    #[test]
    fn a_lone_reference_keeps_its_type() {
        let outputs = outputs();
        assert_eq!(fill("${out.1.jobId}", &outputs).unwrap(), json!("j1"));
        assert_eq!(fill("${out.1.nested.0.n}", &outputs).unwrap(), json!(7));
        assert_eq!(fill("${out.1.none}", &outputs).unwrap(), json!(null));
        assert_eq!(
            fill("${wait.completedJobId}", &outputs).unwrap(),
            json!("j1")
        );
        assert_eq!(fill("${last}", &outputs).unwrap(), json!("plain text"));
    }

    #[test]
    fn longer_strings_are_filled_in() {
        let outputs = outputs();
        assert_eq!(
            fill_text("a ${out.1.jobId} b ${out.1.nested} c", &outputs).unwrap(),
            r#"a j1 b [{"n":7}] c"#
        );
        assert_eq!(
            fill_text("cost $5, $${HOME} and $$${x", &outputs).unwrap(),
            "cost $5, ${HOME} and $${x"
        );
        let value = json!({"ids": ["${out.1.jobId}", "x"], "t": 1});
        assert_eq!(
            fill_value(&value, &outputs).unwrap(),
            json!({"ids": ["j1", "x"], "t": 1})
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let outputs = outputs();
        assert!(
            fill("${out.1.job}", &outputs)
                .unwrap_err()
                .contains("${out.1.job}: not in the tool output {\"jobId\"")
        );
        assert!(
            fill("${out.9}", &outputs)
                .unwrap_err()
                .contains("no such tool output yet")
        );
        assert!(
            fill("${out.x}", &outputs)
                .unwrap_err()
                .contains("number of a tool output")
        );
        assert!(
            fill("${out.1", &outputs)
                .unwrap_err()
                .contains("never ends")
        );
    }
}
