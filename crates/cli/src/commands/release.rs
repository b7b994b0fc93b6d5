//! `convoke release`: let go of what is left of an ended job.

use convoke_api::control::ReleaseResponse;

use crate::{
    context::Context,
    error::CliError,
    exit_code::End,
    output::{job, text::clean},
    runtime,
};

/// Arguments of `convoke release`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct Release {
    /// Name the job: id, unique beginning of an id, or label
    #[arg(value_name = "JOB")]
    job: String,
}

const NOTE: &str = "\
Processes that could not be ended, because they belong to another user for
example, are named as leftovers of their job. The job then holds its place in its
working tree, so that no further writer starts beside them, until they are gone.
Release it when you know that they do no harm. They are not touched.

Example:
  convoke release build";

impl Release {
    /// Lets go.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let answer = runtime::block_on(connection.release(&self.job))?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&answer)?;
        } else {
            printer.line(&words(&answer))?;
        }
        Ok(End::Success)
    }
}

fn words(answer: &ReleaseResponse) -> String {
    let name = job::name(&answer.job);
    if answer.released {
        format!(
            "{name} no longer holds its place in {}",
            clean(&answer.job.working_directory)
        )
    } else {
        format!("{name} held no place in its working tree")
    }
}
