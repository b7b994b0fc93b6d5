//! `codex_changes`, `codex_conflicts`, `codex_reconcile`, `codex_rollback`,
//! `codex_apply` and `codex_discard`.

use convoke_api::changes::{
    ApplyRequest, ChangesQuery, ConflictsQuery, DiscardRequest, ReconcileRequest, RollbackRequest,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers, arguments, caller,
    errors::Outcome,
    server::Call,
    spawn::{self, Started},
    status::OneJob,
};

/// A patch is answered inline up to so many bytes.
const DIFF_LIMIT: u64 = 12 * 1024;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhatToTakeBack {
    /// The job whose own changes are taken back.
    job_id: Option<String>,
    /// Instead: take back what jobs changed since this state, such as <jobId>.before.
    checkpoint_id: Option<String>,
    /// With jobId: also point HEAD, branches, tags and the stash back; not for sandboxed callers. Default false.
    history: Option<bool>,
    /// Only say what would be done; default false.
    dry_run: Option<bool>,
}

pub(crate) async fn codex_changes(call: &Call) -> Outcome {
    let given: OneJob = arguments::read(&call.arguments)?;
    let query = ChangesQuery {
        diff_limit: Some(DIFF_LIMIT),
    };
    answers::json(&call.config.client.changes(&given.job_id, &query).await?)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhetherToApply {
    /// Only say what would be done; default false.
    dry_run: Option<bool>,
}

pub(crate) async fn codex_apply(call: &Call) -> Outcome {
    let given: OneJob = arguments::read(&call.arguments)?;
    let how: WhetherToApply = arguments::read(&call.arguments)?;
    let request = ApplyRequest {
        caller: caller::of_call(&call.config, &call.context),
        dry_run: how.dry_run.unwrap_or(false),
    };
    answers::json(&call.config.client.apply(&given.job_id, &request).await?)
}

pub(crate) async fn codex_discard(call: &Call) -> Outcome {
    let given: OneJob = arguments::read(&call.arguments)?;
    let request = DiscardRequest {
        caller: caller::of_call(&call.config, &call.context),
    };
    answers::json(&call.config.client.discard(&given.job_id, &request).await?)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfWhichJobs {
    /// Only conflicts of these jobs; left out: those of your working tree.
    job_ids: Option<Vec<String>>,
}

pub(crate) async fn codex_conflicts(call: &Call) -> Outcome {
    let given: OfWhichJobs = arguments::read(&call.arguments)?;
    let query = ConflictsQuery {
        jobs: given.job_ids.map(|jobs| jobs.join(",")),
        folder: Some(call.config.folder.display().to_string()),
    };
    answers::json(&call.config.client.conflicts(&query).await?)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhatToBringTogether {
    /// The jobs, 2 to 8; all over.
    job_ids: Vec<String>,
    /// What else the new job is to know.
    prompt: Option<String>,
}

/// A started job, and what it is about.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BringsTogether {
    #[serde(flatten)]
    job: Started,
    /// Paths that more than one of the jobs changed.
    files: Vec<String>,
}

pub(crate) async fn codex_reconcile(call: &Call) -> Outcome {
    let given: WhatToBringTogether = arguments::read(&call.arguments)?;
    let request = ReconcileRequest {
        caller: caller::of_spawn(&call.config, &call.context)?,
        job_ids: given.job_ids,
        prompt: given.prompt,
    };
    let answer = call.config.client.reconcile(&request).await?;
    let (job, existed, notices) = spawn::accepted(answer.result)?;
    let answer = BringsTogether {
        job: Started::new(&job, existed, notices),
        files: answer.files,
    };
    answers::with_meta(
        answers::json(&answer),
        &[("jobId", Some(&answer.job.job_id))],
    )
}

pub(crate) async fn codex_rollback(call: &Call) -> Outcome {
    let given: WhatToTakeBack = arguments::read(&call.arguments)?;
    let request = RollbackRequest {
        caller: caller::of_call(&call.config, &call.context),
        job_id: given.job_id,
        checkpoint_id: given.checkpoint_id,
        history: given.history.unwrap_or(false),
        dry_run: given.dry_run.unwrap_or(false),
    };
    answers::json(&call.config.client.rollback(&request).await?)
}
