//! `convoke reconcile`: start a job that brings together what several jobs did.

use convoke_api::changes::ReconcileRequest;

use crate::{
    caller,
    context::Context,
    error::CliError,
    exit_code::End,
    output::{
        style::{DIM, NOTICE, styled},
        text::clean,
    },
    runtime,
};

/// Arguments of `convoke reconcile`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct Reconcile {
    /// Name the jobs, all over: ids, unique beginnings of them, or labels
    #[arg(value_name = "JOB", num_args = 2.., required = true)]
    jobs: Vec<String>,
    /// Tell the new job something more
    #[arg(short, long, value_name = "TEXT")]
    prompt: Option<String>,
}

const NOTE: &str = "\
Prints the id of the new job. It is told which files more than one of the jobs
changed, what each job was asked for and what it changed there, and what the files
hold now.

Example:
  convoke reconcile parser docs";

impl Reconcile {
    /// Starts it.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let request = ReconcileRequest {
            caller: caller::this_process()?,
            job_ids: self.jobs,
            prompt: self.prompt,
        };
        let answer = runtime::block_on(async { connection.reconcile(&request).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&answer)?;
            return Ok(End::Success);
        }
        if let Some(job) = &answer.result.job {
            printer.line(&job.job_id)?;
        }
        for notice in &answer.result.notices {
            printer.note(&format!("{} {}", styled(NOTICE, "note:"), clean(notice)));
        }
        let files = clean(&answer.files.join(", ")).into_owned();
        printer.note(&styled(DIM, &format!("brings together {files}")));
        Ok(End::Success)
    }
}
