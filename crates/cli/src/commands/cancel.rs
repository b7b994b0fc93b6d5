//! `convoke cancel`: stop jobs.

use std::time::Duration;

use convoke_api::control::{CancelRequest, CancelResponse};

use crate::{
    context::Context,
    error::CliError,
    exit_code::End,
    output::{Printer, job, progress},
    quantities, runtime,
};

/// Arguments of `convoke cancel`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct Cancel {
    /// Name the jobs: ids, unique beginnings of ids, or labels
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<String>,
    /// Kill at once, without a grace period
    #[arg(long)]
    force: bool,
    /// Wait at most so long for the end of each
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantities::duration)]
    wait: Duration,
}

const NOTE: &str = "\
The job's whole process tree is ended. A job that is over already stays as it is,
and that is no error.

Examples:
  convoke cancel build
  convoke cancel --force --wait 0 build docs";

impl Cancel {
    /// Stops the jobs, in order. One that cannot be stopped does not save the
    /// next ones; the first error is told at the end.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let printer = context.printer;
        let wait_ms = u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX);
        let request = CancelRequest {
            force: self.force,
            wait_ms,
        };
        runtime::block_on(async {
            let mut answers = Vec::new();
            let mut first_error = None;
            for job in &self.jobs {
                let what = format!("waiting for the end of {job}");
                let cancel = connection.cancel(job, &request);
                match progress::while_waiting(&what, cancel).await {
                    Ok(answer) => {
                        tell(printer, &answer)?;
                        answers.push(answer);
                    }
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
            // An error alone is no result.
            if printer.is_json() && (first_error.is_none() || !answers.is_empty()) {
                printer.json(&serde_json::json!({ "results": answers }))?;
            }
            first_error.map_or(Ok(End::Success), Err)
        })
    }
}

fn tell(printer: Printer, answer: &CancelResponse) -> Result<(), CliError> {
    if printer.is_json() {
        return Ok(());
    }
    printer.line(&words(answer))
}

fn words(answer: &CancelResponse) -> String {
    let view = &answer.job;
    if !answer.success {
        return format!("{} was {} already", job::name(view), view.state.as_str());
    }
    if view.state.is_over() {
        return job::ending(view);
    }
    format!("{} is being stopped", job::name(view))
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use convoke_api::{job::JobView, values::State};

    use super::*;

    fn said(success: bool, state: State) -> String {
        let job = JobView {
            state,
            ..crate::output::job::sample()
        };
        strip_str(&words(&CancelResponse { success, job })).to_string()
    }

    #[test]
    fn answers() {
        assert_eq!(
            said(true, State::Cancelled),
            "■ cancelled j-0a1b2c [nightly]"
        );
        assert_eq!(
            said(true, State::Stopping),
            "j-0a1b2c [nightly] is being stopped"
        );
        assert_eq!(
            said(false, State::Failed),
            "j-0a1b2c [nightly] was failed already"
        );
    }
}
