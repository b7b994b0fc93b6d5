//! Answers of tools: the same facts as text and as structured content.

use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::errors::Outcome;

/// An answer whose text is its JSON.
pub(crate) fn json<T: Serialize>(answer: &T) -> Outcome {
    let structured = structured(answer);
    let text = Value::Object(structured.clone()).to_string();
    Ok(result(text, structured))
}

/// An answer with a text of its own.
pub(crate) fn with_text<T: Serialize>(text: String, answer: &T) -> Outcome {
    Ok(result(text, structured(answer)))
}

/// The same with facts for the client rather than the model.
pub(crate) fn with_meta(outcome: Outcome, entries: &[(&str, Option<&str>)]) -> Outcome {
    let mut result = outcome?;
    let mut meta = MetaObject::new();
    for (name, value) in entries {
        if let Some(value) = value {
            meta.insert((*name).to_owned(), Value::from(*value));
        }
    }
    if !meta.is_empty() {
        result.meta = Some(meta);
    }
    Ok(result)
}

/// An answer type as an object.
pub(crate) fn structured<T: Serialize>(answer: &T) -> Map<String, Value> {
    match serde_json::to_value(answer) {
        Ok(Value::Object(object)) => object,
        other => unreachable!("answers are objects: {other:?}"),
    }
}

fn result(text: String, structured: Map<String, Value>) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(Value::Object(structured));
    result
}
