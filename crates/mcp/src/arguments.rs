//! The arguments of a call, checked against the published schema.
//!
//! What the schema does not know is tolerated. Whole numbers may come as
//! floats (`200.0`), and null stands for "left out". Complaints name the
//! argument and what it may be.

use convoke_api::error::ApiError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Checks arguments against a tool's input schema and evens out what clients
/// spell differently.
///
/// # Errors
/// `invalid_argument` for the first argument that does not fit.
pub(crate) fn check(
    schema: &Map<String, Value>,
    arguments: Option<Map<String, Value>>,
) -> Result<Map<String, Value>, ApiError> {
    let mut value = Value::Object(arguments.unwrap_or_default());
    walk(schema, &mut value, "")?;
    match value {
        Value::Object(arguments) => Ok(arguments),
        _ => unreachable!("checking keeps the kind of a value"),
    }
}

/// Reads checked arguments.
///
/// # Errors
/// `invalid_argument` when they do not fit all the same.
pub(crate) fn read<T: DeserializeOwned>(arguments: &Map<String, Value>) -> Result<T, ApiError> {
    serde_json::from_value(Value::Object(arguments.clone()))
        .map_err(|error| ApiError::invalid(format!("the arguments do not fit: {error}")))
}

/// A number within its range.
///
/// # Errors
/// `invalid_argument` naming the range.
pub(crate) fn within(
    name: &str,
    value: Option<u64>,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, ApiError> {
    let value = value.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    Err(ApiError::invalid(format!(
        "`{name}` is {value}; it may be {} to {}",
        range.start(),
        range.end()
    )))
}

fn walk(schema: &Map<String, Value>, value: &mut Value, path: &str) -> Result<(), ApiError> {
    if let Some(Value::Array(choices)) = schema.get("anyOf") {
        return one_of(choices, value, path);
    }
    let Some(kind) = schema.get("type").and_then(Value::as_str) else {
        return Ok(());
    };
    match (kind, &mut *value) {
        ("object", Value::Object(object)) => fields(schema, object, path),
        ("array", Value::Array(items)) => each(schema, items, path),
        ("string", Value::String(word)) => word_allowed(schema, word, path),
        ("boolean", Value::Bool(_)) => Ok(()),
        ("number", Value::Number(_)) => whole(value, path),
        ("integer", Value::Number(_)) => {
            whole(value, path)?;
            above(schema, value, path)
        }
        _ => Err(ApiError::invalid(format!(
            "`{path}` is {}; it must be {}",
            shown(value),
            kind_name(kind)
        ))),
    }
}

fn fields(
    schema: &Map<String, Value>,
    object: &mut Map<String, Value>,
    path: &str,
) -> Result<(), ApiError> {
    let at = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    object.retain(|_, value| !value.is_null());
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = name.as_str().expect("names are texts");
        if !object.contains_key(name) {
            return Err(ApiError::invalid(format!("`{}` is missing", at(name))));
        }
    }
    let known = schema.get("properties").and_then(Value::as_object);
    let others = schema
        .get("additionalProperties")
        .and_then(Value::as_object);
    for (name, value) in object {
        let schema = known
            .and_then(|known| known.get(name))
            .and_then(Value::as_object)
            .or(others);
        if let Some(schema) = schema {
            walk(schema, value, &at(name))?;
        }
    }
    Ok(())
}

fn each(schema: &Map<String, Value>, items: &mut [Value], path: &str) -> Result<(), ApiError> {
    let Some(Value::Object(schema)) = schema.get("items") else {
        return Ok(());
    };
    for (index, item) in items.iter_mut().enumerate() {
        walk(schema, item, &format!("{path}[{index}]"))?;
    }
    Ok(())
}

fn word_allowed(schema: &Map<String, Value>, word: &str, path: &str) -> Result<(), ApiError> {
    let least = schema.get("minLength").and_then(Value::as_u64);
    if least.is_some_and(|least| least > 0) && word.is_empty() {
        return Err(ApiError::invalid(format!("`{path}` is empty")));
    }
    let Some(Value::Array(words)) = schema.get("enum") else {
        return Ok(());
    };
    if words.iter().any(|allowed| allowed == word) {
        return Ok(());
    }
    let allowed: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    Err(ApiError::invalid(format!(
        "`{path}` is {word:?}; it may be {}",
        allowed.join(", ")
    )))
}

/// Every number our tools take is whole and not negative.
fn whole(value: &mut Value, path: &str) -> Result<(), ApiError> {
    if value.is_u64() {
        return Ok(());
    }
    let number = value.as_f64().unwrap_or(-1.0);
    // Above 2^53 a float no longer names one whole number.
    if number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number) {
        // `-0` is 0 too, but its text is no whole number.
        let text = format!("{:.0}", number.abs());
        *value = Value::from(text.parse::<u64>().expect("whole and in range"));
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "`{path}` is {value}; it must be a whole number, 0 or more"
    )))
}

/// A number above the bound that its schema names.
fn above(schema: &Map<String, Value>, value: &Value, path: &str) -> Result<(), ApiError> {
    let bound = schema.get("exclusiveMinimum").and_then(Value::as_u64);
    if bound.is_some_and(|bound| value.as_u64().is_some_and(|value| value <= bound)) {
        return Err(ApiError::invalid(format!(
            "`{path}` is {value}; it must be more than {}",
            bound.unwrap_or_default()
        )));
    }
    Ok(())
}

fn one_of(choices: &[Value], value: &mut Value, path: &str) -> Result<(), ApiError> {
    let mut complaints = Vec::new();
    for choice in choices.iter().filter_map(Value::as_object) {
        let mut tried = value.clone();
        match walk(choice, &mut tried, path) {
            Ok(()) => {
                *value = tried;
                return Ok(());
            }
            Err(error) => complaints.push(error.message),
        }
    }
    Err(ApiError::invalid(complaints.join(", or ")))
}

fn kind_name(kind: &str) -> &str {
    match kind {
        "object" => "an object",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "number" | "integer" => "a whole number",
        other => other,
    }
}

/// A value as a complaint shows it.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Map<String, Value> {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "string", "enum": ["x", "y"]},
            "n": {"type": "number"},
            "l": {"type": "array", "items": {"type": "object", "required": ["p"], "properties": {"p": {"type": "string"}}}},
            "m": {"anyOf": [{"type": "string", "enum": ["none"]}, {"type": "array", "items": {"type": "string"}}]},
            "e": {"type": "object", "additionalProperties": {"type": "string"}},
        }});
        schema.as_object().expect("an object").clone()
    }

    fn complaint(arguments: Value) -> String {
        check(&schema(), arguments.as_object().cloned())
            .expect_err("refused")
            .message
    }

    #[test]
    fn what_fits_is_evened_out() {
        let given = json!({"a": "x", "n": 200.0, "l": [{"p": "q", "z": 1}], "m": ["s"], "e": {"K": "v"}, "unknown": 1, "t": null});
        let checked = check(&schema(), given.as_object().cloned()).expect("fits");
        assert_eq!(checked["n"], json!(200));
        assert!(checked["n"].is_u64());
        let zero = json!({"a": "x", "n": -0.0});
        let checked_zero = check(&schema(), zero.as_object().cloned()).expect("fits");
        assert_eq!(checked_zero["n"], json!(0));
        assert!(!checked.contains_key("t"));
        assert_eq!(checked["unknown"], json!(1));
    }

    #[test]
    fn complaints_name_the_argument() {
        assert_eq!(complaint(json!({})), "`a` is missing");
        assert_eq!(complaint(json!({"a": null})), "`a` is missing");
        assert_eq!(complaint(json!({"a": "z"})), "`a` is \"z\"; it may be x, y");
        assert_eq!(complaint(json!({"a": 1})), "`a` is 1; it must be a text");
        assert_eq!(
            complaint(json!({"a": "x", "n": 1.5})),
            "`n` is 1.5; it must be a whole number, 0 or more"
        );
        assert_eq!(
            complaint(json!({"a": "x", "n": -1})),
            "`n` is -1; it must be a whole number, 0 or more"
        );
        assert_eq!(
            complaint(json!({"a": "x", "l": [{"p": "q"}, {}]})),
            "`l[1].p` is missing"
        );
        assert_eq!(
            complaint(json!({"a": "x", "m": 3})),
            "`m` is 3; it must be a text, or `m` is 3; it must be a list"
        );
        assert_eq!(
            complaint(json!({"a": "x", "e": {"K": 1}})),
            "`e.K` is 1; it must be a text"
        );
        let range = within("maxEvents", Some(0), 200, 1..=2000).expect_err("refused");
        assert_eq!(range.message, "`maxEvents` is 0; it may be 1 to 2000");
    }
}
