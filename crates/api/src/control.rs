//! Waiting for, cancelling and interrupting jobs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    caller::Caller,
    job::JobView,
    values::{ReasoningEffort, Sandbox, State},
};

/// Body of `POST /v1/jobs/wait`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WaitRequest {
    /// The jobs to wait for.
    pub job_ids: Vec<String>,
    /// How long, milliseconds; 0 answers at once.
    pub timeout_ms: u64,
}

/// Answer to `POST /v1/jobs/wait`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitResponse {
    /// The job among them that ended first, if one has.
    pub completed_job_id: Option<String>,
    /// Its state.
    pub state: Option<State>,
    /// Whether the time passed without one ending.
    pub timed_out: bool,
    /// Those that do not exist.
    pub missing_job_ids: Vec<String>,
}

/// Body of `POST /v1/jobs/{id}/cancel`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CancelRequest {
    /// Kill at once, without a grace period.
    pub force: bool,
    /// Wait so long for the end, milliseconds.
    pub wait_ms: u64,
}

/// Answer to a cancel request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelResponse {
    /// Whether the job was live and is being stopped now; false if it was
    /// over.
    pub success: bool,
    /// The job as it stands.
    pub job: JobView,
}

/// Answer to `POST /v1/jobs/{id}/release`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseResponse {
    /// Whether it held its place in its working tree until now.
    pub released: bool,
    /// The job as it stands.
    pub job: JobView,
}

/// Body of `POST /v1/jobs/{id}/interrupt`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterruptRequest {
    /// Who asks.
    pub caller: Caller,
    /// What the agent is to do instead, in the same conversation.
    pub new_prompt: String,
    /// Settings of the new job that differ from the old one's.
    pub overrides: InterruptOverrides,
    /// Wait so long for the old job to end, milliseconds.
    pub wait_ms: u64,
}

/// Settings that an interrupt may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterruptOverrides {
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard the model thinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// What the agent may write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// Old spelling of `sandbox: "workspace-write"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_auto: Option<bool>,
    /// Folder the agent starts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
}

/// Answer to an interrupt request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterruptResponse {
    /// The interrupted job, as it stands now.
    pub previous: JobView,
    /// Its state when the request came.
    pub previous_state: State,
    /// The job that goes on, if there is one.
    pub new_job: Option<JobView>,
    /// Why there is none.
    pub reason: Option<String>,
}
