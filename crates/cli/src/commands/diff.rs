//! `convoke diff`: show what a job changed as a patch.

use convoke_api::changes::ChangesQuery;

use crate::{
    context::Context,
    error::CliError,
    exit_code::End,
    output::{
        patch,
        style::{NOTICE, styled},
        text::clean,
    },
    runtime,
};

/// Arguments of `convoke diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct Diff {
    /// Name the job: its id, a unique beginning of it, or its label
    job: String,
}

const NOTE: &str = "\
The patch holds the paths that the job changed or may have; `convoke changes` says
whose change each is. On a terminal it is coloured; otherwise it can be given to
`git apply`.

Example:
  convoke diff build > build.patch";

impl Diff {
    /// Prints the patch.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let query = ChangesQuery::default();
        let changes = runtime::block_on(async { connection.changes(&self.job, &query).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&changes)?;
            return Ok(End::Success);
        }
        if !changes.diff.is_empty() {
            printer.patch(&changes.diff, &patch::coloured(&changes.diff))?;
        }
        if let Some(note) = &changes.note {
            printer.note(&format!("{} {}", styled(NOTICE, "note:"), clean(note)));
        }
        Ok(End::Success)
    }
}
