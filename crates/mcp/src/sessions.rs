//! `listSessions`: conversations of the `codex` tool.

use convoke_api::result::SessionsQuery;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{answers, caller, errors::Outcome, server::Call};

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// Last used first.
    sessions: Vec<Session>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Session {
    id: String,
    /// RFC 3339 instant of its first turn.
    created_at: String,
    /// RFC 3339 instant of its last turn.
    last_accessed_at: String,
    /// Turns so far.
    turn_count: u64,
}

pub(crate) async fn list_sessions(call: &Call) -> Outcome {
    let caller = caller::of_call(&call.config, &call.context);
    let query = SessionsQuery {
        owner: Some(caller::owner(&caller)),
    };
    let page = call.config.client.sessions(&query).await?;
    let sessions: Vec<Session> = page
        .sessions
        .into_iter()
        .map(|session| Session {
            id: session.id,
            created_at: session.created_at,
            last_accessed_at: session.last_accessed_at,
            turn_count: session.turn_count,
        })
        .collect();
    let text = serde_json::to_string(&sessions).expect("sessions serialise");
    answers::with_text(text, &Answer { sessions })
}
