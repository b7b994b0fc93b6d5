//! The published tools against the recorded contract: nothing removed, nothing
//! narrowed.

use convoke_mcp::Toolset;
use serde_json::{Map, Value};

use super::{daemon::Daemon, peer};

fn delegate_fixture() -> Value {
    let text = include_str!("../fixtures/delegate.tools.json");
    serde_json::from_str(text).expect("JSON")
}

fn fixture() -> Value {
    let text = include_str!("../fixtures/jobs.tools.json");
    serde_json::from_str(text).expect("JSON")
}

pub async fn published() -> Vec<Value> {
    published_of(&[Toolset::Jobs]).await
}

async fn published_of(toolsets: &[Toolset]) -> Vec<Value> {
    let daemon = Daemon::start();
    let mut config = peer::config(&daemon);
    config.toolsets = toolsets.to_vec();
    let server = convoke_mcp::JobsServer::new(config);
    server
        .tools()
        .iter()
        .map(|tool| serde_json::to_value(tool).expect("serialises"))
        .collect()
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

/// Every property, type, enum value and required name of `theirs` is in `ours`,
/// and `ours` requires nothing more.
fn compare(ours: &Value, theirs: &Value, path: &str) {
    assert_eq!(ours["type"], theirs["type"], "type of {path}");
    for key in [
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "default",
        "exclusiveMinimum",
        "additionalProperties",
    ] {
        assert_eq!(ours.get(key), theirs.get(key), "{key} of {path}");
    }
    match (ours.get("enum"), theirs.get("enum")) {
        (Some(ours), Some(theirs)) => {
            for word in theirs.as_array().expect("a list") {
                assert!(
                    ours.as_array().expect("a list").contains(word),
                    "{word} of {path}"
                );
            }
        }
        (Some(_), None) => panic!("{path} is narrowed to an enum"),
        _ => {}
    }
    let names = |schema: &Value| {
        let mut names: Vec<String> =
            serde_json::from_value(schema.get("required").cloned().unwrap_or_default())
                .unwrap_or_default();
        names.sort();
        names
    };
    assert_eq!(names(ours), names(theirs), "required of {path}");
    if let Some(properties) = theirs.get("properties") {
        for (name, theirs) in object(properties) {
            let ours = ours["properties"].get(name);
            compare(
                ours.unwrap_or_else(|| panic!("{path}.{name} is missing")),
                theirs,
                &format!("{path}.{name}"),
            );
        }
    }
    if let Some(items) = theirs.get("items") {
        compare(&ours["items"], items, &format!("{path}[]"));
    }
}

#[tokio::test]
async fn every_recorded_tool_is_published_whole() {
    let ours = published().await;
    for theirs in fixture()["tools"].as_array().expect("a list") {
        let name = theirs["name"].as_str().expect("a name");
        let tool = ours.iter().find(|tool| tool["name"] == name);
        let tool = tool.unwrap_or_else(|| panic!("{name} is missing"));
        compare(&tool["inputSchema"], &theirs["inputSchema"], name);
    }
    assert!(ours.iter().any(|tool| tool["name"] == "codex_jobs"));
}

/// Of the `delegate` toolset; `delegate_autopilot` is not served yet.
#[tokio::test]
async fn every_recorded_delegate_tool_is_published_whole() {
    let ours = published_of(&[Toolset::Delegate]).await;
    let names: Vec<&str> = ours
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect();
    let expected = [
        "delegate_run",
        "delegate_resume",
        "delegate_status",
        "delegate_cancel",
    ];
    assert_eq!(names, expected);
    for theirs in delegate_fixture()["tools"].as_array().expect("a list") {
        let name = theirs["name"].as_str().expect("a name");
        let Some(tool) = ours.iter().find(|tool| tool["name"] == name) else {
            assert_eq!(name, "delegate_autopilot");
            continue;
        };
        compare(&tool["inputSchema"], &theirs["inputSchema"], name);
        let mut output = tool["outputSchema"].clone();
        // An answer, or the object of an error.
        output["required"] = output["anyOf"][0]["required"].clone();
        compare_output(&output, &theirs["outputSchema"], name);
    }
    assert_eq!(
        published_of(&[Toolset::Jobs, Toolset::Delegate])
            .await
            .len(),
        24
    );
}

/// Every recorded field is in ours and always there, and nothing else is unknown.
fn compare_output(ours: &Value, theirs: &Value, path: &str) {
    if theirs.get("anyOf").is_some() {
        // `string` or null, written as a list of types.
        let types = ours["type"].as_array();
        assert!(
            types.is_some_and(|types| types.contains(&Value::from("null"))),
            "{path}: {ours}"
        );
        return;
    }
    assert_eq!(ours["type"], theirs["type"], "type of {path}");
    assert_eq!(
        ours.get("additionalProperties"),
        theirs.get("additionalProperties"),
        "{path}"
    );
    assert_eq!(ours.get("enum"), theirs.get("enum"), "words of {path}");
    let names = |schema: &Value| {
        let names = schema.get("required").cloned().unwrap_or_default();
        let mut names: Vec<String> = serde_json::from_value(names).unwrap_or_default();
        names.sort();
        names
    };
    assert_eq!(names(ours), names(theirs), "required of {path}");
    for (name, theirs) in theirs["properties"].as_object().into_iter().flatten() {
        compare_output(&ours["properties"][name], theirs, &format!("{path}.{name}"));
    }
    if let Some(items) = theirs.get("items") {
        compare_output(&ours["items"], items, &format!("{path}[]"));
    }
}

#[tokio::test]
async fn headless_clients_may_call_every_tool() {
    for tool in published_of(&[Toolset::Jobs, Toolset::Delegate]).await {
        let hints = &tool["annotations"];
        let acts = hints["readOnlyHint"] == false
            && hints["destructiveHint"] == false
            && hints["openWorldHint"] == false;
        assert!(hints["readOnlyHint"] == true || acts, "{tool:#}");
    }
}

#[tokio::test]
async fn what_matters_first_is_always_loaded() {
    let tools = published().await;
    let loaded: Vec<&str> = tools
        .iter()
        .filter(|tool| tool["_meta"]["anthropic/alwaysLoad"] == true)
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        loaded,
        ["codex_spawn", "codex_spawn_group", "codex_wait_any"]
    );
}

/// Walks a schema and complains of what some client chokes on.
fn plain(value: &Value, path: &str, input: bool) {
    match value {
        Value::Object(schema) => {
            for key in ["$ref", "$defs", "$schema", "format", "oneOf", "const"] {
                assert!(!schema.contains_key(key), "{key} in {path}");
            }
            assert_ne!(schema.get("default"), Some(&Value::Null), "{path}");
            assert!(
                !(input && schema.get("type").is_some_and(Value::is_array)),
                "union in {path}"
            );
            for (key, value) in schema {
                plain(value, &format!("{path}.{key}"), input);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| plain(item, path, input)),
        Value::String(text) => assert!(text != "x-nullable", "{path}"),
        _ => {}
    }
}

#[tokio::test]
async fn schemas_are_plain_and_described() {
    for tool in published_of(&[Toolset::Jobs, Toolset::Delegate]).await {
        let name = tool["name"].as_str().expect("a name");
        assert!(
            tool["description"]
                .as_str()
                .is_some_and(|text| text.len() > 10),
            "{name}"
        );
        plain(&tool["inputSchema"], name, true);
        plain(&tool["outputSchema"], name, false);
        for side in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[side]["type"], "object", "{name}");
            jsonschema::validator_for(&tool[side]).expect("a valid schema");
        }
        for (argument, schema) in object(&tool["inputSchema"]["properties"]) {
            assert!(
                schema.get("description").is_some(),
                "{name}.{argument} is not described"
            );
        }
    }
}
