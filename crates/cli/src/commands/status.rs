//! `convoke status`: show how a job stands.

use jiff::Timestamp;

use crate::{context::Context, error::CliError, exit_code::End, output::job, runtime};

/// Arguments of `convoke status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Name the job: its id, a unique beginning of it, or its label
    job: String,
}

impl Status {
    /// Shows the job.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let view = runtime::block_on(async { connection.job(&self.job).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&view)?;
        } else {
            printer.line(&job::details(&view, Timestamp::now()))?;
        }
        Ok(End::Success)
    }
}
