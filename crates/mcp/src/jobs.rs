//! `codex_jobs`: the jobs of this state home, newest first.

use convoke_api::{
    error::ApiError,
    job::{JobView, JobsQuery},
    values::State,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    answers, arguments, caller,
    errors::Outcome,
    server::Call,
    settings,
    words::{Queue, Status, started_at},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Arguments {
    /// Only jobs in these states, separated by commas: queued, starting, running, finishing, stopping, completed (or done), failed, cancelled (or canceled), live, ended.
    state: Option<String>,
    /// Only jobs whose label contains this.
    label: Option<String>,
    /// Only jobs of this agent: codex or command.
    agent: Option<String>,
    /// Only jobs that work in this folder or below it.
    folder: Option<String>,
    /// Only jobs accepted at this RFC 3339 instant or later.
    since: Option<String>,
    /// Only jobs that this session started.
    mine: Option<bool>,
    /// Jobs a page; 1 to 500, default 50.
    limit: Option<u64>,
    /// nextCursor of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    jobs: Vec<Job>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Job {
    job_id: String,
    kind: String,
    status: Status,
    state: State,
    label: Option<String>,
    agent: String,
    working_directory: String,
    started_at: String,
    finished_at: Option<String>,
    /// Why it failed or was canceled.
    code: Option<String>,
    parent_job_id: Option<String>,
    queue: Option<Queue>,
    /// The beginning of its prompt.
    summary: String,
}

pub(crate) async fn codex_jobs(call: &Call) -> Outcome {
    let given: Arguments = arguments::read(&call.arguments)?;
    let limit = arguments::within("limit", given.limit, 50, 1..=500)?;
    let mine = given.mine == Some(true);
    let query = JobsQuery {
        state: given.state.as_deref().map(states).transpose()?,
        label: given.label,
        agent: given.agent,
        folder: given
            .folder
            .map(|path| settings::absolute(&path, &call.config.folder)),
        since: given.since,
        owner: mine.then(|| caller::owner(&caller::of_call(&call.config, &call.context))),
        limit: Some(u32::try_from(limit).expect("at most 500")),
        cursor: given.cursor,
    };
    let page = call.config.client.jobs(&query).await?;
    let jobs = page.jobs.iter().map(Job::from).collect();
    answers::json(&Answer {
        jobs,
        next_cursor: page.next_cursor,
    })
}

/// The states as the daemon spells them; this toolset's own words count too.
fn states(text: &str) -> Result<String, ApiError> {
    let mut states = Vec::new();
    for word in text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let state = match word {
            "done" => "completed",
            "canceled" => "cancelled",
            other => other,
        };
        if State::parse(state).is_none() && !matches!(state, "live" | "ended") {
            let known: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
            return Err(ApiError::invalid(format!(
                "`state` is {word:?}; it may be {}, live, ended",
                known.join(", ")
            )));
        }
        states.push(state);
    }
    Ok(states.join(","))
}

impl From<&JobView> for Job {
    fn from(job: &JobView) -> Self {
        Self {
            job_id: job.job_id.clone(),
            kind: job.kind.clone(),
            status: Status::of(job.state),
            state: job.state,
            label: job.label.clone(),
            agent: job.agent.clone(),
            working_directory: job.working_directory.clone(),
            started_at: started_at(job),
            finished_at: job.finished_at.clone(),
            code: job.code.clone(),
            parent_job_id: job.parent_job_id.clone(),
            queue: job.queue.as_ref().map(Queue::from),
            summary: job.summary.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_toolsets_words_are_understood() {
        assert_eq!(
            states("done, canceled,queued").expect("fine"),
            "completed,cancelled,queued"
        );
        let error = states("finished").expect_err("unknown");
        assert!(error.message.contains("finished") && error.message.contains("queued"));
    }
}
