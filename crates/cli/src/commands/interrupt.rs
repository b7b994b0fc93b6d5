//! `convoke interrupt`: stop a job and go on in its conversation with another
//! prompt.

use std::{path::PathBuf, time::Duration};

use convoke_api::{
    control::{InterruptOverrides, InterruptRequest, InterruptResponse},
    values::{ReasoningEffort, Sandbox},
};

use crate::{
    caller,
    context::Context,
    error::CliError,
    exit_code::End,
    job_options,
    output::{
        Printer, job, progress,
        style::{DIM, styled},
    },
    prompt::PromptSource,
    quantities, runtime, words,
};

/// Arguments of `convoke interrupt`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Interrupt {
    /// Name the job: its id, a unique beginning of it, or its label
    job: String,
    #[command(flatten)]
    source: PromptSource,
    /// Choose another model
    #[arg(short, long)]
    model: Option<String>,
    /// Choose how hard the model thinks
    #[arg(long, value_name = "EFFORT", value_parser = words::effort())]
    effort: Option<ReasoningEffort>,
    /// Choose what the agent may write
    #[arg(short, long, value_name = "SANDBOX", value_parser = words::sandbox())]
    sandbox: Option<Sandbox>,
    /// Start the agent in another folder
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    cd: Option<PathBuf>,
    /// Wait at most so long for the end of the old job
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantities::duration)]
    wait: Duration,
}

const EXAMPLES: &str = "\
Prints the id of the job that goes on.

Examples:
  convoke interrupt docs 'leave the tables alone, only fix the links'";

impl Interrupt {
    /// Interrupts the job.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let request = InterruptRequest {
            caller: caller::this_process()?,
            new_prompt: self.source.read()?,
            overrides: InterruptOverrides {
                model: self.model,
                reasoning_effort: self.effort,
                sandbox: self.sandbox,
                full_auto: None,
                working_directory: self.cd.as_deref().map(job_options::absolute).transpose()?,
            },
            wait_ms: u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX),
        };
        let connection = context.connect()?;
        runtime::block_on(async {
            let what = format!("waiting for the end of {}", self.job);
            let interrupt = connection.interrupt(&self.job, &request);
            let answer = progress::while_waiting(&what, interrupt).await?;
            tell(context.printer, &answer)
        })
    }
}

fn tell(printer: Printer, answer: &InterruptResponse) -> Result<End, CliError> {
    let end = if answer.new_job.is_some() {
        End::Success
    } else {
        End::Failure
    };
    if printer.is_json() {
        printer.json(answer)?;
        return Ok(end);
    }
    match &answer.new_job {
        Some(new) => {
            printer.line(&new.job_id)?;
            let old = job::name(&answer.previous);
            printer.note(&styled(
                DIM,
                &format!("{} goes on from {old}", job::name(new)),
            ));
        }
        None => {
            let reason = answer.reason.as_deref().unwrap_or("no reason was given");
            printer.note(&format!(
                "{} does not go on: {reason}",
                job::name(&answer.previous)
            ));
        }
    }
    Ok(end)
}
