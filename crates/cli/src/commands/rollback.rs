//! `convoke rollback`: take back what a job changed.

use convoke_api::changes::{RollbackRequest, RollbackResponse};

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

/// Arguments of `convoke rollback`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct Rollback {
    /// Name the job: its id, a unique beginning of it, or its label
    #[arg(required_unless_present = "to", conflicts_with = "to")]
    job: Option<String>,
    /// Take back what jobs changed since this state instead: `<job id>.before`, `<job id>.after`, or the state that a rollback named
    #[arg(long, value_name = "STATE")]
    to: Option<String>,
    /// Also point HEAD, branches, tags and the stash back where they were before the job
    #[arg(long, conflicts_with = "to")]
    history: bool,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
}

const NOTE: &str = "\
Only what is the job's own is taken back; see `convoke changes`. What was edited
since is kept: both are merged where they do not touch each other; where they do,
the later one stays, and the earlier one is put beside it. The state before is kept
under the name that is printed, so that a rollback can be taken back itself. With
--history, commits of the job are uncommitted: their files are taken back as
others are, and the commits themselves stay in git's reflog.

Examples:
  convoke rollback build --dry-run
  convoke rollback build
  convoke rollback --to j4k0xq2m9d7tn.rollback-1.before";

impl Rollback {
    /// Takes back.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let request = RollbackRequest {
            caller: caller::this_process()?,
            job_id: self.job,
            checkpoint_id: self.to,
            history: self.history,
            dry_run: self.dry_run,
        };
        let response = runtime::block_on(async { connection.rollback(&request).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&response)?;
        } else {
            tell(printer, &response)?;
        }
        Ok(End::Success)
    }
}

fn tell(printer: Printer, response: &RollbackResponse) -> Result<(), CliError> {
    let (verb, lies) = match response.dry_run {
        true => ("would restore", "would lie"),
        false => ("restored", "lies"),
    };
    for moved in &response.refs_restored {
        printer.line(&format!("{verb} {}", clean(moved)))?;
    }
    if !response.refs_restored.is_empty() && !response.dry_run {
        printer.note("what was committed is staged now; `git reset` unstages it");
    }
    for path in &response.restored {
        printer.line(&format!("{verb} {}", clean(path)))?;
    }
    for kept in &response.kept_both {
        printer.line(&format!(
            "{} {} was edited since and stays; it {lies} as it was in {}",
            styled(NOTICE, "both:"),
            clean(&kept.path),
            clean(&kept.copy)
        ))?;
    }
    for left in &response.skipped {
        printer.line(&format!(
            "{} {}: {}",
            styled(NOTICE, "left:"),
            clean(&left.path),
            clean(&left.reason)
        ))?;
    }
    let files = response.restored.len() + response.kept_both.len();
    if files + response.refs_restored.len() == 0 {
        printer.note("nothing to take back");
    }
    if let Some(state) = &response.checkpoint_id {
        let text = format!("undo with: convoke rollback --to {state}");
        printer.note(&styled(DIM, &text));
    }
    Ok(())
}
