//! Failures of a call, as the model sees them.
//!
//! A failed call is a result with `isError`: the text is message and hint, the
//! structured content names code, message, hint and whether a retry makes
//! sense. Some clients show only the one, some only the other. Published output
//! schemas allow this object beside the answer (`schema_pass`), because clients
//! validate failed results too.

use convoke_api::error::ApiError;
use convoke_client::ClientError;
use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock, ErrorCode},
};
use serde_json::{Map, Value, json};

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was refused or failed.
    Refused(ApiError),
    /// Whoever asked does not want the answer any more.
    Cancelled,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Refused(error.to_api_error())
    }
}

/// What a tool call comes to.
pub(crate) type Outcome = Result<CallToolResult, Failure>;

/// The answer to a failed call.
pub(crate) fn refused(error: &ApiError) -> CallToolResult {
    failed(text(&error.message, error.hint.as_deref()), object(error))
}

/// The answer to a call whose job failed.
pub(crate) fn failed(text: String, structured: Map<String, Value>) -> CallToolResult {
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    result.structured_content = Some(Value::Object(structured));
    result
}

/// An error as an object.
pub(crate) fn object(error: &ApiError) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("code".into(), json!(error.code.as_str()));
    object.insert("message".into(), json!(error.message));
    if let Some(hint) = &error.hint {
        object.insert("hint".into(), json!(hint));
    }
    object.insert("retryable".into(), json!(error.retryable));
    object
}

/// Message and hint in one text.
pub(crate) fn text(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{message} Hint: {hint}"),
        None => message.to_owned(),
    }
}

/// The protocol's answer to a cancelled call; clients ignore it.
pub(crate) fn cancelled() -> ErrorData {
    ErrorData::new(
        ErrorCode::INTERNAL_ERROR,
        "the request was cancelled; the job goes on",
        None,
    )
}
