//! Forgetting ended jobs: `POST /v1/gc`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/gc`. Without any bound those of `[retention]` hold. Live
/// jobs and jobs that live ones refer to stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GcRequest {
    /// Forget jobs that ended longer ago, milliseconds; 0 means no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
    /// Keep at most so many ended jobs; 0 means no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<usize>,
    /// Let the folders of ended jobs take at most so many bytes; 0 means no
    /// bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Only say what would be forgotten.
    pub dry_run: bool,
}

/// Answer to `POST /v1/gc`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcResponse {
    /// Whether nothing was really done.
    pub dry_run: bool,
    /// Ended jobs there were before.
    pub jobs: usize,
    /// Bytes that their folders took before.
    pub bytes: u64,
    /// The forgotten jobs, the one that ended first first.
    pub forgotten: Vec<ForgottenJob>,
    /// Bytes that were freed.
    pub freed_bytes: u64,
    /// Jobs that should have gone and stay.
    pub kept: Vec<KeptJob>,
}

/// A job that is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForgottenJob {
    /// The job.
    pub job_id: String,
    /// Bytes its folders took.
    pub bytes: u64,
}

/// A job that should have gone and stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptJob {
    /// The job.
    pub job_id: String,
    /// Why.
    pub reason: String,
}
