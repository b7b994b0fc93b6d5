//! `convoke gc`: forget ended jobs.

use convoke_api::gc::{GcRequest, GcResponse};

use crate::{
    context::Context,
    error::CliError,
    exit_code::End,
    output::{progress, time},
    quantities, runtime,
};

/// Arguments of `convoke gc`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct Gc {
    /// Forget jobs that ended longer ago
    #[arg(long, value_name = "TIME", value_parser = quantities::milliseconds)]
    older_than: Option<u64>,
    /// Keep at most so many ended jobs
    #[arg(long, value_name = "NUMBER")]
    keep: Option<usize>,
    /// Let ended jobs take at most so much room
    #[arg(long, value_name = "SIZE", value_parser = quantities::bytes)]
    max_size: Option<u64>,
    /// Only say what would be forgotten
    #[arg(long)]
    dry_run: bool,
}

const NOTE: &str = "\
Without an option the bounds of [retention] in config.toml hold; the daemon
applies them by itself once an hour. The jobs that ended first go first, with
their events, artifacts and journals. Jobs that are not over, and jobs that
those refer to, stay.

Examples:
  convoke gc --dry-run --older-than 168h
  convoke gc --keep 100
  convoke gc --max-size 1GiB";

impl Gc {
    /// Forgets jobs.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let request = GcRequest {
            max_age_ms: self.older_than,
            max_jobs: self.keep,
            max_bytes: self.max_size,
            dry_run: self.dry_run,
        };
        let connection = context.connect()?;
        let gc = connection.gc(&request);
        let answer = runtime::block_on(async {
            progress::while_waiting("measuring and deleting", gc).await
        })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&answer)?;
        } else {
            printer.line(&words(&answer))?;
        }
        Ok(End::Success)
    }
}

fn words(answer: &GcResponse) -> String {
    let verb = if answer.dry_run {
        "would be forgotten"
    } else {
        "forgotten"
    };
    let mut lines: Vec<String> = answer
        .forgotten
        .iter()
        .map(|job| format!("{} {verb} ({})", job.job_id, time::bytes(job.bytes)))
        .collect();
    for kept in &answer.kept {
        lines.push(format!("{} stays: {}", kept.job_id, kept.reason));
    }
    lines.push(format!(
        "{} of {} ended jobs {verb}, {} of {}",
        answer.forgotten.len(),
        answer.jobs,
        time::bytes(answer.freed_bytes),
        time::bytes(answer.bytes)
    ));
    lines.join("\n")
}
