//! `convoke apply` and `convoke discard`: what becomes of the changes of a job with
//! a working tree of its own.

use convoke_api::changes::{ApplyConflict, ApplyRequest, ApplyResponse, DiscardRequest};

use crate::{
    caller,
    context::Context,
    error::CliError,
    exit_code::End,
    output::{
        Printer,
        style::{DIM, NOTICE, styled},
        text::clean,
    },
    runtime,
};

/// Arguments of `convoke apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = APPLY_NOTE)]
pub struct Apply {
    /// Name the job: its id, a unique beginning of it, or its label
    job: String,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
}

const APPLY_NOTE: &str = "\
Files that were edited since the job began are merged. Where both touch the same
lines nothing is written at all, the conflicts are listed, and the command ends with
1. The state before is kept under the name that is printed. The job's working tree
is removed once its changes are applied.

Examples:
  convoke spawn --workspace worktree --label build 'Make the build faster.'
  convoke diff build
  convoke apply build --dry-run
  convoke apply build";

impl Apply {
    /// Applies.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let request = ApplyRequest {
            caller: caller::this_process()?,
            dry_run: self.dry_run,
        };
        let response = runtime::block_on(async { connection.apply(&self.job, &request).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&response)?;
        } else {
            tell(printer, &response)?;
        }
        Ok(match response.conflicts.is_empty() {
            true => End::Success,
            false => End::Failure,
        })
    }
}

fn tell(printer: Printer, response: &ApplyResponse) -> Result<(), CliError> {
    for notice in &response.notices {
        printer.note(&styled(NOTICE, &clean(notice)));
    }
    let verb = match response.dry_run {
        true => "would apply",
        false => "applied",
    };
    for path in &response.applied {
        printer.line(&format!("{verb} {}", clean(path)))?;
    }
    for conflict in &response.conflicts {
        let mark = styled(NOTICE, "conflict:");
        printer.line(&format!("{mark} {}", what_collides(conflict)))?;
    }
    if !response.conflicts.is_empty() {
        printer.note("nothing was written: put the lines right in the job's working tree or here, then apply again; or discard it");
    } else if response.applied.is_empty() {
        printer.note("nothing to apply; the working tree stays until you discard it");
    }
    if let Some(state) = &response.checkpoint_id {
        let text = format!("undo with: convoke rollback --to {state}");
        printer.note(&styled(DIM, &text));
    }
    Ok(())
}

fn what_collides(conflict: &ApplyConflict) -> String {
    let lines = |side: &str| {
        let hunks = conflict.hunks.iter().filter(|hunk| hunk.side == side);
        let starts: Vec<String> = hunks.map(|hunk| hunk.start.to_string()).collect();
        starts.join(", ")
    };
    let (theirs, ours) = (lines("job"), lines("tree"));
    let places = match theirs.is_empty() || ours.is_empty() {
        true => String::new(),
        false => format!(" (lines from {theirs} of the job, from {ours} here)"),
    };
    let (path, reason) = (clean(&conflict.path), clean(&conflict.reason));
    format!("{path}: {reason}{places}")
}

/// Arguments of `convoke discard`.
#[derive(Debug, clap::Args)]
#[command(after_help = DISCARD_NOTE)]
pub struct Discard {
    /// Name the job: its id, a unique beginning of it, or its label
    job: String,
}

const DISCARD_NOTE: &str = "\
The job's working tree is removed. `convoke diff` still shows what it changed, for
as long as the job is known.

Examples:
  convoke discard build";

impl Discard {
    /// Discards.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let request = DiscardRequest {
            caller: caller::this_process()?,
        };
        let response = runtime::block_on(async { connection.discard(&self.job, &request).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&response)?;
        } else if !response.success {
            printer.note("nothing to discard: that was decided before");
        }
        Ok(End::Success)
    }
}
