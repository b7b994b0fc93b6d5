//! `convoke wait`: wait until a job ends, or all of them.

use std::time::Duration;

use convoke_api::{
    control::WaitRequest,
    error::{ApiError, RequestCode},
    job::JobView,
};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    connection::Connection,
    context::Context,
    error::CliError,
    exit_code::{self, End},
    output::{Printer, job, progress},
    quantities, retry, runtime,
};

/// How long one request waits; a longer wait is made of several.
const SLICE: Duration = Duration::from_secs(60);

/// Arguments of `convoke wait`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Wait {
    /// Name the jobs: ids, unique beginnings of ids, or labels
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<String>,
    /// Wait for all of them instead of the first
    #[arg(long)]
    all: bool,
    /// Give up after this time
    #[arg(long, value_name = "TIME", value_parser = quantities::duration)]
    timeout: Option<Duration>,
}

const EXAMPLES: &str = "\
The exit code follows the job that ended, with --all the worst of them: 0
completed, 1 failed, 3 cancelled; 124 when the time is over. Ctrl-C ends the wait
and not the job.

Examples:
  convoke wait build
  convoke wait --all --timeout 30m lint test docs";

/// What came of a wait, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Waited {
    ended: Vec<JobView>,
    pending: Vec<String>,
    timed_out: bool,
}

impl Wait {
    /// Waits.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let printer = context.printer;
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        runtime::block_on(async {
            let mut pending = Vec::new();
            for name in &self.jobs {
                let id = connection.job(name).await?.job_id;
                if !pending.contains(&id) {
                    pending.push(id);
                }
            }
            // What merely goes on starts no daemon.
            let connection = connection.without_start();
            let wanted = if self.all { pending.len() } else { 1 };
            let mut waited = Waited {
                ended: Vec::new(),
                pending,
                timed_out: false,
            };
            while waited.ended.len() < wanted {
                let what = waiting_for(&waited.pending);
                let next = next_end(&connection, &waited.pending, deadline);
                let Some(id) = progress::while_waiting(&what, next).await? else {
                    waited.timed_out = true;
                    break;
                };
                let job = retry::while_away(async || connection.job(&id).await).await?;
                waited.pending.retain(|pending| *pending != id);
                tell(printer, &job)?;
                waited.ended.push(job);
            }
            finish(printer, &waited)
        })
    }
}

/// The next of the jobs that ends; none when the time is over.
async fn next_end(
    connection: &Connection,
    jobs: &[String],
    deadline: Option<Instant>,
) -> Result<Option<String>, CliError> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        let request = WaitRequest {
            job_ids: jobs.to_vec(),
            timeout_ms: u64::try_from(slice.as_millis()).unwrap_or(u64::MAX),
        };
        let answer = retry::while_away(async || connection.wait(&request).await).await?;
        if answer.completed_job_id.is_some() {
            return Ok(answer.completed_job_id);
        }
        if let Some(gone) = answer.missing_job_ids.first() {
            let message = format!("job {gone} is no longer known");
            return Err(ApiError::new(RequestCode::UnknownJob, message).into());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(None);
        }
    }
}

fn waiting_for(pending: &[String]) -> String {
    match pending {
        [one] => format!("waiting for {one}"),
        several => format!("waiting for {} jobs", several.len()),
    }
}

fn tell(printer: Printer, job: &JobView) -> Result<(), CliError> {
    if printer.is_json() {
        return Ok(());
    }
    printer.line(&job::ending(job))
}

fn finish(printer: Printer, waited: &Waited) -> Result<End, CliError> {
    if printer.is_json() {
        printer.json(waited)?;
    } else if waited.timed_out {
        printer.note(&format!("still not over: {}", waited.pending.join(", ")));
    }
    if waited.timed_out {
        return Ok(End::WaitTimedOut);
    }
    Ok(exit_code::of_jobs(waited.ended.iter().map(|job| job.state)))
}
