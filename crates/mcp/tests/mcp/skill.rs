//! The skill that ships with the program shows calls that work.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fixture::published;

fn skill() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../skills/convoke-orchestration")
}

/// All files of the skill, by name.
fn files() -> Vec<(String, String)> {
    let folders = [skill(), skill().join("references")];
    let mut files = Vec::new();
    for folder in folders {
        for entry in fs_err::read_dir(folder).expect("the skill") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let name = path
                    .file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned();
                files.push((name, fs_err::read_to_string(path).expect("a text")));
            }
        }
    }
    files
}

/// The JSON examples of a text.
fn examples(text: &str) -> Vec<Value> {
    let blocks = text.split("```json").skip(1);
    blocks
        .map(|block| {
            let code = block.split("```").next().unwrap_or_default();
            serde_json::from_str(code).unwrap_or_else(|error| panic!("{error}: {code}"))
        })
        .collect()
}

#[tokio::test]
async fn every_call_it_shows_is_a_valid_one() {
    let tools = published().await;
    let mut shown = 0;
    for (name, text) in files() {
        for example in examples(&text) {
            let tool = tools.iter().find(|tool| tool["name"] == example["tool"]);
            let tool = tool.unwrap_or_else(|| panic!("{name}: no such tool: {example}"));
            let mut schema = tool["inputSchema"].clone();
            // Clients tolerate arguments that are not known; an example has none.
            schema["additionalProperties"] = Value::Bool(false);
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            let errors: Vec<String> = validator
                .iter_errors(&example["arguments"])
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{name}: {example}: {errors:?}");
            shown += 1;
        }
    }
    assert!(shown >= 12, "only {shown} calls are shown");
}

#[tokio::test]
async fn every_tool_it_names_is_there() {
    let tools = published().await;
    for (file, text) in files() {
        let names = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for name in names.filter(|name| name.starts_with("codex_")) {
            let known = tools.iter().any(|tool| tool["name"] == name);
            assert!(known, "{file} names {name}");
        }
    }
}

#[test]
fn numbers_stand_in_the_quick_reference_only() {
    for (file, text) in files() {
        if file == "quick-reference.md" {
            continue;
        }
        for line in text.lines() {
            // Steps of a list are numbered.
            let rest = line
                .trim_start()
                .trim_start_matches(|c: char| c.is_ascii_digit());
            assert!(
                !rest.contains(|c: char| c.is_ascii_digit()),
                "{file}: {line}"
            );
        }
    }
}

#[test]
fn it_has_the_front_matter_that_agents_read() {
    let files = files();
    let (_, text) = files
        .iter()
        .find(|(name, _)| name == "SKILL.md")
        .expect("SKILL.md");
    let mut parts = text.splitn(3, "---\n");
    assert_eq!(parts.next(), Some(""));
    let front = parts.next().expect("front matter");
    assert!(front.contains("name: convoke-orchestration\n"), "{front}");
    assert!(front.lines().any(|line| line.starts_with("description: ")));
    for (name, _) in &files {
        if name != "SKILL.md" {
            assert!(
                text.contains(&format!("references/{name}")),
                "{name} is not linked"
            );
        }
    }
}
