//! Encodes an answer as the server-sent events of the Responses API.

use serde_json::{Value, json};

use crate::next_reply::Item;
use crate::steps::{ResponseFailed, Usage};

/// The stream up to the end of the last item: `response.created`, then the events of each item.
///
/// `items_before` (messages and calls the thread holds already) makes item and call ids unique within the thread.
pub(crate) fn opening(items: &[Item], items_before: usize) -> String {
    let created =
        json!({"type": "response.created", "response": {"id": response_id(items_before)}});
    let items = items
        .iter()
        .enumerate()
        .flat_map(|(index, item)| item_events(item, index, items_before));
    std::iter::once(created)
        .chain(items)
        .map(|event| encode(&event))
        .collect()
}

/// The proper end: `response.completed`.
pub(crate) fn completed(usage: Usage, items_before: usize) -> String {
    let usage = json!({
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_output_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    });
    encode(
        &json!({"type": "response.completed", "response": {"id": response_id(items_before), "usage": usage}}),
    )
}

/// The end of a response that failed: `response.failed`.
pub(crate) fn failed(fault: &ResponseFailed, items_before: usize) -> String {
    let error = json!({"code": fault.code, "message": fault.message});
    let response = json!({"id": response_id(items_before), "status": "failed", "error": error});
    encode(&json!({"type": "response.failed", "response": response}))
}

/// An error body in the shape of the OpenAI API.
pub(crate) fn error_body(kind: &str, message: &str) -> Value {
    json!({"error": {"type": kind, "code": kind, "message": message}})
}

fn response_id(items_before: usize) -> String {
    format!("resp_{items_before}")
}

fn item_events(item: &Item, index: usize, items_before: usize) -> Vec<Value> {
    let number = items_before + index + 1;
    let done = |item: Value| json!({"type": "response.output_item.done", "output_index": index, "item": item});
    match item {
        Item::Message(text) => message_events(text, index, &format!("msg_{number}")),
        Item::Reasoning(text) => {
            let summary = json!([{"type": "summary_text", "text": text}]);
            vec![done(
                json!({"type": "reasoning", "id": format!("rs_{number}"), "summary": summary}),
            )]
        }
        Item::Call {
            name,
            namespace,
            arguments,
        } => {
            let arguments = Value::Object(arguments.clone()).to_string();
            let mut call = json!({"type": "function_call", "id": format!("fc_{number}"), "call_id": format!("call_{number}"),
                "name": name, "arguments": arguments});
            if let Some(namespace) = namespace {
                call["namespace"] = json!(namespace);
            }
            vec![done(call)]
        }
    }
}

fn message_events(text: &str, index: usize, id: &str) -> Vec<Value> {
    let message = |content: Value| json!({"type": "message", "id": id, "role": "assistant", "content": content});
    vec![
        json!({"type": "response.output_item.added", "output_index": index, "item": message(json!([]))}),
        json!({"type": "response.output_text.delta", "item_id": id, "output_index": index, "content_index": 0, "delta": text}),
        json!({"type": "response.output_item.done", "output_index": index,
            "item": message(json!([{"type": "output_text", "text": text}]))}),
    ]
}

fn encode(event: &Value) -> String {
    let kind = event["type"]
        .as_str()
        .expect("every event made here has a type");
    format!("event: {kind}\ndata: {event}\n\n")
}
