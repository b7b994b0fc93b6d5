//! Schemas that every client understands, from our types.
//!
//! Clients differ in what they choke on: references, `["string","null"]`,
//! `format: uint32`, `default: null`, `oneOf` of constants. Input numbers are
//! published as `number`, because the fixtures do; that they are whole and
//! within their range is checked by the call.

use rmcp::model::JsonObject;
use schemars::{
    JsonSchema,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value, json};

/// Marks a field of an answer that may be left out and may be null.
const NULLABLE: &str = "x-nullable";

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// The schema of a tool's arguments.
pub(crate) fn input<T: JsonSchema>() -> JsonObject {
    let mut schema = root::<T>(Contract::Deserialize, Way::In);
    schema.entry("properties").or_insert_with(|| json!({}));
    schema.entry("required").or_insert_with(|| json!([]));
    schema
}

/// The schema of two types read from the same object.
pub(crate) fn input_of_both<A: JsonSchema, B: JsonSchema>() -> JsonObject {
    let (mut schema, second) = (input::<A>(), input::<B>());
    for key in ["properties", "required"] {
        match (schema.get_mut(key), second.get(key)) {
            (Some(Value::Object(into)), Some(Value::Object(from))) => into.extend(from.clone()),
            (Some(Value::Array(into)), Some(Value::Array(from))) => into.extend(from.clone()),
            _ => unreachable!("input schemas have both keys"),
        }
    }
    schema
}

/// The schema of a tool's answer: the answer, or the object of an error.
pub(crate) fn output<T: JsonSchema>() -> JsonObject {
    let mut schema = root::<T>(Contract::Serialize, Way::Out);
    let required = schema.remove("required").unwrap_or_else(|| json!([]));
    let properties = schema
        .entry("properties")
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .expect("properties are an object");
    let error = [
        (
            "code",
            json!({"type": "string", "description": "On failure: which of the documented codes."}),
        ),
        (
            "message",
            json!({"type": "string", "description": "On failure: what was attempted and why it failed."}),
        ),
        (
            "hint",
            json!({"type": "string", "description": "On failure: what to do next."}),
        ),
        (
            "retryable",
            json!({"type": "boolean", "description": "On failure: whether the same call may succeed later."}),
        ),
    ];
    for (name, schema) in error {
        properties.entry(name).or_insert(schema);
    }
    schema.insert(
        "anyOf".into(),
        json!([{"required": required}, {"required": ["code", "message", "retryable"]}]),
    );
    schema
}

fn root<T: JsonSchema>(contract: Contract, way: Way) -> JsonObject {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
        settings.contract = contract;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut value = Value::from(schema);
    tidy(&mut value, way, false);
    let Value::Object(mut object) = value else {
        unreachable!("tools take and answer objects");
    };
    for key in ["title", "$schema", "description"] {
        object.remove(key);
    }
    object
}

/// Tidies one schema and all within it. `nullable` keeps a union with null:
/// answers have keys that are always there and may be null.
fn tidy(schema: &mut Value, way: Way, nullable: bool) {
    if *schema == Value::Bool(true) {
        *schema = json!({});
    }
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    object.remove("title");
    object.remove("format");
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if !nullable {
        drop_null(object);
    }
    constants_to_enum(object);
    if way == Way::In {
        numbers(object);
    }
    within(object, way);
}

/// `["string","null"]` and `anyOf: [X, null]` become the one that is left.
fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| choice != &json!({"type": "null"}));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

/// `oneOf: [{const: "a"}, …]`, with or without enums among them, becomes one
/// enum.
fn constants_to_enum(object: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = object.get("oneOf") else {
        return;
    };
    let mut words = Vec::new();
    for choice in choices {
        match (choice.get("const"), choice.get("enum")) {
            (Some(word), _) => words.push(word.clone()),
            (None, Some(Value::Array(several))) => words.extend(several.clone()),
            _ => return,
        }
    }
    object.remove("oneOf");
    object.insert("type".into(), json!("string"));
    object.insert("enum".into(), Value::Array(words));
}

fn numbers(object: &mut Map<String, Value>) {
    if object.get("type").is_some_and(|name| name == "integer") {
        object.insert("type".into(), json!("number"));
    }
    object.remove("minimum");
    object.remove("maximum");
}

fn within(object: &mut Map<String, Value>, way: Way) {
    let required = object.get("required").cloned().unwrap_or_default();
    let always = |name: &String| {
        required
            .as_array()
            .is_some_and(|names| names.iter().any(|word| word == name))
    };
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for (name, schema) in properties {
            let marked = schema
                .as_object_mut()
                .and_then(|object| object.remove(NULLABLE))
                .is_some();
            tidy(schema, way, way == Way::Out && (marked || always(name)));
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(schema) = object.get_mut(key).filter(|schema| schema.is_object()) {
            tidy(schema, way, false);
        }
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = object.get_mut(key) {
            choices
                .iter_mut()
                .for_each(|choice| tidy(choice, way, true));
        }
    }
}
