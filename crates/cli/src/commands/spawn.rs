//! `convoke spawn`: start a job and print its id.

use convoke_api::{
    error::{ApiError, RequestCode},
    job::JobView,
    spawn::SpawnRequest,
};

use crate::{
    caller,
    connection::Connection,
    context::Context,
    error::CliError,
    exit_code::End,
    job_options::JobOptions,
    output::{
        Printer, job,
        style::{DIM, NOTICE, styled},
    },
    runtime,
};

/// Arguments of `convoke spawn`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "convoke spawn [OPTIONS] [PROMPT]\n       convoke spawn [OPTIONS] -- CMD [ARGS]...",
    after_help = EXAMPLES
)]
pub struct Spawn {
    #[command(flatten)]
    job: JobOptions,
}

const EXAMPLES: &str = "\
Examples:
  convoke spawn -s workspace-write 'fix the failing tests'
  convoke spawn --label docs --timeout 30m --file task.md
  git diff | convoke spawn -s read-only -
  convoke spawn --review-base main
  convoke spawn --label build -- make -j4
  convoke spawn --needs build 'explain the warnings of the build'";

impl Spawn {
    /// Starts the job.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let (job, idempotency_key) = prepare(self.job)?;
        let connection = context.connect()?;
        runtime::block_on(async {
            let job = start(&connection, context.printer, job, idempotency_key).await?;
            tell(context.printer, &job)?;
            Ok(End::Success)
        })
    }
}

/// A job's request and its idempotency key.
pub fn prepare(
    options: JobOptions,
) -> Result<(convoke_api::spawn::JobRequest, Option<String>), CliError> {
    let key = options.idempotency_key.clone();
    Ok((options.into_request()?, key))
}

/// Asks for the job and says on stderr what is worth knowing about it.
///
/// # Errors
/// It was refused, or the daemon cannot be reached.
pub async fn start(
    connection: &Connection,
    printer: Printer,
    mut job: convoke_api::spawn::JobRequest,
    idempotency_key: Option<String>,
) -> Result<JobView, CliError> {
    // What a job needs may be named by a label or the beginning of an id.
    for need in &mut job.needs {
        *need = connection.job(need).await?.job_id;
    }
    let request = SpawnRequest {
        caller: caller::this_process()?,
        jobs: vec![job],
        idempotency_key,
    };
    let mut results = connection.spawn(&request).await?.results;
    let result = results.pop();
    let missing = || ApiError::new(RequestCode::Internal, "the daemon answered without a job");
    let Some(result) = result else {
        return Err(missing().into());
    };
    for notice in &result.notices {
        printer.note(&format!("{} {notice}", styled(NOTICE, "note:")));
    }
    if result.existed {
        let note = "the job existed already, by its idempotency key";
        printer.note(&format!("{} {note}", styled(NOTICE, "note:")));
    }
    match (result.job, result.error) {
        (Some(job), _) => Ok(job),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(missing().into()),
    }
}

/// Prints the id, and on stderr how to go on.
pub fn tell(printer: Printer, job: &JobView) -> Result<(), CliError> {
    if printer.is_json() {
        return printer.json(job);
    }
    printer.line(&job.job_id)?;
    let waits = job
        .queue
        .as_ref()
        .map(|queue| format!("queued: {}; ", queue.message));
    let hint = format!(
        "{}watch {} with `convoke events -f {}`",
        waits.unwrap_or_default(),
        job::name(job),
        job.job_id
    );
    printer.note(&styled(DIM, &hint));
    Ok(())
}
