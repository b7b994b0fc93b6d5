//! `codex_cancel` and `codex_interrupt`.

use convoke_api::control::{CancelRequest, InterruptOverrides, InterruptRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers, arguments, caller,
    errors::Outcome,
    events::{self, Event},
    server::Call,
    settings,
    status::OneJob,
    words::Status,
};

/// How long a cancel waits for the end, so that its answer can say it.
const CANCEL_WAIT_MS: u64 = 1_500;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct HowToCancel {
    /// Kill at once; else the agent is asked to stop first.
    force: Option<bool>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cancelled {
    /// True when the job was running and is stopped; false when it was over.
    success: bool,
    job_id: String,
    /// How it stands now.
    status: Status,
    /// Processes that could not be ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    leftovers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

pub(crate) async fn codex_cancel(call: &Call) -> Outcome {
    let given: OneJob = arguments::read(&call.arguments)?;
    let how: HowToCancel = arguments::read(&call.arguments)?;
    let request = CancelRequest {
        force: how.force.unwrap_or(false),
        wait_ms: CANCEL_WAIT_MS,
    };
    let response = call.config.client.cancel(&given.job_id, &request).await?;
    let stopping = response.success && !response.job.state.is_over();
    answers::json(&Cancelled {
        success: response.success,
        job_id: response.job.job_id,
        status: Status::of(response.job.state),
        leftovers: response.job.leftovers,
        note: stopping
            .then(|| "it is being stopped; codex_wait_any tells when it is over".to_owned()),
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Interruption {
    /// What the agent is to do instead; it keeps its conversation.
    new_prompt: String,
    /// How long to wait for the running turn to end, milliseconds; 0 to 60000, default 250.
    wait_ms: Option<u64>,
    /// Also answer the last events of the interrupted job.
    include_event_tail: Option<bool>,
    /// At most so many of them; 1 to 2000, default 50.
    tail_max_events: Option<u64>,
    /// Settings of the new job that differ from the old one's.
    overrides: Option<Overrides>,
}

/// Settings that an interrupt may change.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Overrides {
    /// Model.
    model: Option<String>,
    /// How hard the model thinks.
    reasoning_effort: Option<convoke_api::values::ReasoningEffort>,
    /// What the agent may write.
    sandbox: Option<convoke_api::values::Sandbox>,
    /// Old spelling of sandbox workspace-write.
    full_auto: Option<bool>,
    /// Folder the agent starts in.
    working_directory: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Interrupted {
    previous_job_id: String,
    /// How the job stood when the call came.
    previous_status: Status,
    /// Whether a new job goes on.
    respawned: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_job_id: Option<String>,
    /// Why none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How the interrupted job stands now.
    current_status: Status,
    /// Its last events.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_tail: Option<Vec<Event>>,
    /// What is missing in this answer, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

pub(crate) async fn codex_interrupt(call: &Call) -> Outcome {
    let given: OneJob = arguments::read(&call.arguments)?;
    let how: Interruption = arguments::read(&call.arguments)?;
    let wait_ms = arguments::within("waitMs", how.wait_ms, 250, 0..=60_000)?;
    let size = arguments::within("tailMaxEvents", how.tail_max_events, 50, 1..=2000)?;
    let overrides = how.overrides.unwrap_or_default();
    let folder = &call.config.folder;
    let request = InterruptRequest {
        caller: caller::of_spawn(&call.config, &call.context)?,
        new_prompt: how.new_prompt,
        overrides: InterruptOverrides {
            model: overrides.model,
            reasoning_effort: overrides.reasoning_effort,
            sandbox: overrides.sandbox,
            full_auto: overrides.full_auto,
            working_directory: overrides
                .working_directory
                .map(|path| settings::absolute(&path, folder)),
        },
        wait_ms,
    };
    let client = &call.config.client;
    let response = client.interrupt(&given.job_id, &request).await?;
    let mut answer = Interrupted {
        previous_job_id: response.previous.job_id,
        previous_status: Status::of(response.previous_state),
        respawned: response.new_job.is_some(),
        new_job_id: response.new_job.map(|job| job.job_id),
        reason: response.reason,
        current_status: Status::of(response.previous.state),
        event_tail: None,
        note: None,
    };
    if how.include_event_tail == Some(true) {
        let size = usize::try_from(size).expect("at most 2000");
        // The interrupt is done: a tail that cannot be read must not hide it.
        match events::tail(client, &answer.previous_job_id, size).await {
            Ok(tail) => answer.event_tail = Some(tail),
            Err(error) => {
                answer.note = Some(format!("no event tail: {}", error.to_api_error().message))
            }
        }
    }
    answers::json(&answer)
}
