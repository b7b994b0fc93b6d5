//! Reads what Codex sends: the prompts, and which assistant messages and calls the thread holds so far.
//!
//! A request's `input` is the whole thread. Observed with Codex 0.169.0, `function_call_output.output` is
//! - for `exec_command` a string: `Chunk ID: …`, `Wall time: …`, `Process exited with code N`, …, `Output:` and then the output;
//!   for an `apply_patch` command `Wall time: …`, `Output:`, `Exit code: N`, `Wall time: …`, `Output:` and the answer;
//! - for an MCP tool with `structuredContent` a string: `Wall time: … seconds`, `Output:`, then that object as compact JSON
//!   (the content blocks are left out);
//! - for any other MCP result a list of `{"type":"input_text","text":…}`, the first holding `Wall time: …` and `Output:`, then
//!   one for each content block; a result with `isError` looks the same;
//! - for an interrupted command `Wall time: …` and `aborted by user`, or `aborted` when Codex was killed during it;
//! - for a call that could not be made a plain string such as `unsupported call: …`.
//!
//! [`output_value`] takes the head off and reads the rest as JSON where it is JSON, else keeps the text. Codex cuts long outputs
//! in the middle, so a cut JSON text arrives as text.

use serde_json::Value;

/// One part of a thread that matters for a script.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry {
    /// A user message, Codex's own context messages left out.
    Prompt(String),
    /// An assistant message.
    Message,
    /// A function call and, when it came back, its output.
    Call { output: Option<Value> },
}

/// Beginnings of user messages that Codex adds by itself.
const CONTEXT_MARKS: [&str; 5] = [
    "<environment_context>",
    "<user_instructions>",
    "# AGENTS.md instructions",
    "<turn_aborted>",
    "<skill>",
];

/// The entries of a request body, in order.
pub(crate) fn entries(body: &Value) -> Vec<Entry> {
    let Some(input) = body.get("input").and_then(Value::as_array) else {
        return Vec::new();
    };
    input.iter().filter_map(|item| entry(item, input)).collect()
}

fn entry(item: &Value, input: &[Value]) -> Option<Entry> {
    match (text_at(item, "type"), text_at(item, "role")) {
        ("message", "assistant") => Some(Entry::Message),
        ("message", "user") => {
            let text = content_text(&item["content"]);
            let is_context = CONTEXT_MARKS
                .iter()
                .any(|mark| text.trim_start().starts_with(mark));
            (!is_context).then_some(Entry::Prompt(text))
        }
        ("function_call", _) => {
            let is_output = |other: &&Value| {
                text_at(other, "type") == "function_call_output"
                    && text_at(other, "call_id") == text_at(item, "call_id")
            };
            Some(Entry::Call {
                output: input
                    .iter()
                    .find(is_output)
                    .map(|found| output_value(&found["output"])),
            })
        }
        _ => None,
    }
}

/// What a tool said, without the head that Codex puts before it (see the module's documentation).
pub(crate) fn output_value(output: &Value) -> Value {
    let text = match output {
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().map(|part| text_at(part, "text")).collect();
            texts.join("\n")
        }
        Value::String(text) => text.clone(),
        other => return other.clone(),
    };
    let text = without_heads(&text);
    serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn without_heads(text: &str) -> &str {
    if !text.starts_with("Chunk ID: ") && !text.starts_with("Wall time: ") {
        return text;
    }
    let Some(rest) = after_output_line(text) else {
        // An interrupted command: `Wall time: …`, then `aborted by user`.
        return text.split_once('\n').map_or(text, |(_, rest)| rest);
    };
    // What `apply_patch` says has a head of its own.
    if rest.starts_with("Exit code: ") {
        after_output_line(rest).unwrap_or(rest)
    } else {
        rest
    }
}

/// What follows the first line `Output:`.
fn after_output_line(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\nOutput:")?;
    Some(rest.strip_prefix('\n').unwrap_or(rest))
}

fn content_text(content: &Value) -> String {
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = parts.iter().map(|part| text_at(part, "text")).collect();
    texts.join("\n")
}

fn text_at<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outputs_lose_their_heads() {
        let shell = "Chunk ID: 228503\nWall time: 0.0000 seconds\nProcess exited with code 0\nOriginal token count: 15\nOutput:\nhi\n";
        assert_eq!(output_value(&json!(shell)), json!("hi\n"));
        let patch = "Wall time: 0.0000 seconds\nOutput:\nExit code: 0\nWall time: 0 seconds\nOutput:\nSuccess.\nA a.txt\n";
        assert_eq!(output_value(&json!(patch)), json!("Success.\nA a.txt\n"));
        let structured = "Wall time: 0.0020 seconds\nOutput:\n{\"jobId\":\"job-1\"}";
        assert_eq!(output_value(&json!(structured)), json!({"jobId": "job-1"}));
        let head = json!({"type": "input_text", "text": "Wall time: 0.0017 seconds\nOutput:"});
        let blocks = json!([head, {"type": "input_text", "text": "{\"jobId\": \"job-2\"}"}]);
        assert_eq!(output_value(&blocks), json!({"jobId": "job-2"}));
        let blocks = json!([head, {"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}]);
        assert_eq!(output_value(&blocks), json!("one\ntwo"));
        assert_eq!(output_value(&json!([head])), json!(""));
        assert_eq!(
            output_value(&json!("Wall time: 0.5 seconds\naborted by user")),
            json!("aborted by user")
        );
        assert_eq!(
            output_value(&json!("unsupported call: mcp__xy")),
            json!("unsupported call: mcp__xy")
        );
    }

    #[test]
    fn a_thread_is_read_in_order() {
        let user = |text: &str| json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
        let body = json!({"input": [
            {"type": "message", "role": "developer", "content": []},
            user("<environment_context>\n  <cwd>/repo</cwd>"),
            user("first"),
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": "c1", "name": "a", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "b", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c2", "output": "2"},
            {"type": "function_call_output", "call_id": "c1", "output": "aborted"},
            {"type": "message", "role": "assistant", "content": []},
            user("second"),
        ]});
        let expected = [
            Entry::Prompt("first".into()),
            Entry::Call {
                output: Some(json!("aborted")),
            },
            Entry::Call {
                output: Some(json!(2)),
            },
            Entry::Message,
            Entry::Prompt("second".into()),
        ];
        assert_eq!(entries(&body), expected);
    }
}
