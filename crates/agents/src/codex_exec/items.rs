//! One item of a turn as the content of an event.

use convoke_core::event::{EventKind, NewEvent};
use serde_json::{Map, Value, json};

/// At which point of its life an item is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It began.
    Started,
    /// It goes on.
    Updated,
    /// It ended.
    Completed,
}

/// The kinds of item that are tool calls.
const TOOLS: &[&str] = &[
    "command_execution",
    "file_change",
    "mcp_tool_call",
    "web_search",
    "collab_tool_call",
];

/// What an item comes to as an event. `raw` is the whole object around it, kept
/// for kinds that are not known.
#[must_use]
pub fn event(item: &Value, phase: Phase, raw: &Value) -> NewEvent {
    let kind = item["type"].as_str().unwrap_or_default();
    match kind {
        "agent_message" if phase == Phase::Completed => {
            NewEvent::new(EventKind::Message, json!({"text": text(item, "text")}))
        }
        "error" => NewEvent::new(
            EventKind::Error,
            json!({"kind": "notice", "message": text(item, "message")}),
        ),
        "agent_message" | "reasoning" | "todo_list" => {
            NewEvent::new(EventKind::Progress, content(item))
        }
        kind if TOOLS.contains(&kind) => NewEvent::new(tool_kind(phase), content(item)),
        _ => NewEvent::new(
            EventKind::Progress,
            json!({
                "kind": "unknown",
                "type": raw["type"],
                "itemType": item["type"],
                "raw": raw,
            }),
        ),
    }
}

fn tool_kind(phase: Phase) -> EventKind {
    match phase {
        Phase::Started => EventKind::ToolCall,
        Phase::Updated => EventKind::Progress,
        Phase::Completed => EventKind::ToolResult,
    }
}

/// The item with `type` as `kind` and its own keys in camel case. What lies
/// deeper is left as it is: arguments and results of tools are not ours.
fn content(item: &Value) -> Value {
    let mut content = Map::new();
    content.insert("kind".to_owned(), item["type"].clone());
    for (key, value) in item.as_object().into_iter().flatten() {
        let key = match key.as_str() {
            "type" => continue,
            "aggregated_output" => "output".to_owned(),
            // A tool's own field of this name must not hide what it is.
            "kind" => "itemKind".to_owned(),
            key => camel_case(key),
        };
        content.insert(key, value.clone());
    }
    Value::Object(content)
}

fn camel_case(key: &str) -> String {
    let mut upper = false;
    let mut out = String::with_capacity(key.len());
    for c in key.chars() {
        match c {
            '_' => upper = !out.is_empty(),
            c if upper => {
                out.extend(c.to_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

fn text<'a>(item: &'a Value, key: &str) -> &'a str {
    item[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(item: &Value, phase: Phase) -> NewEvent {
        event(item, phase, &json!({"type": "item.x", "item": item}))
    }

    #[test]
    fn commands_are_called_and_answered() {
        let item = json!({"id": "item_1", "type": "command_execution", "command": "ls",
            "aggregated_output": "ä\n", "exit_code": 0, "status": "completed"});
        let result = of(&item, Phase::Completed);
        assert_eq!(result.kind, EventKind::ToolResult);
        assert_eq!(
            result.content,
            json!({"kind": "command_execution", "id": "item_1", "command": "ls",
                "output": "ä\n", "exitCode": 0, "status": "completed"})
        );
        assert_eq!(of(&item, Phase::Started).kind, EventKind::ToolCall);
        assert_eq!(of(&item, Phase::Updated).kind, EventKind::Progress);
    }

    #[test]
    fn arguments_keep_their_spelling() {
        let item = json!({"id": "i", "type": "mcp_tool_call", "server": "s", "tool": "t",
            "arguments": {"snake_case": 1}, "result": {"structured_content": null}});
        let content = of(&item, Phase::Completed).content;
        assert_eq!(content["arguments"]["snake_case"], 1);
        assert!(content["result"].get("structured_content").is_some());
    }

    #[test]
    fn unknown_kinds_keep_everything() {
        let item = json!({"id": "i", "type": "hologram", "a_b": 1});
        let event = of(&item, Phase::Completed);
        assert_eq!(event.kind, EventKind::Progress);
        assert_eq!(event.content["kind"], "unknown");
        assert_eq!(event.content["type"], "item.x");
        assert_eq!(event.content["itemType"], "hologram");
        assert_eq!(event.content["raw"]["item"], item);
    }
}
