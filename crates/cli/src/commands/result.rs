//! `convoke result`: print the last message of a job.

use convoke_api::result::{JobResult, ResultQuery};

use crate::{
    context::Context,
    error::CliError,
    exit_code::{self, End},
    output::{
        Printer, job,
        style::{DIM, NOTICE, STRONG, styled},
        text::clean,
    },
    runtime,
};

/// Arguments of `convoke result`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct ShowResult {
    /// Name the job: its id, a unique beginning of it, or its label
    job: String,
    /// Show also the ends of the agent's stdout and stderr
    #[arg(long)]
    full: bool,
}

const NOTE: &str = "\
The last message goes to stdout, everything else to stderr. The exit code follows
the job: 0 completed or not over yet, 1 failed, 3 cancelled.";

impl ShowResult {
    /// Prints the result.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let query = ResultQuery {
            full: self.full,
            message_limit: None,
        };
        let result = runtime::block_on(async { connection.result(&self.job, &query).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&result)?;
        } else {
            tell(printer, &result)?;
        }
        Ok(exit_code::of_job(result.job.state))
    }
}

fn tell(printer: Printer, result: &JobResult) -> Result<(), CliError> {
    if let Some(message) = &result.final_message {
        printer.foreign(message)?;
    }
    for line in remarks(result) {
        printer.note(&line);
    }
    Ok(())
}

/// What is known beside the message, a paragraph each.
fn remarks(result: &JobResult) -> Vec<String> {
    let mut lines = Vec::new();
    let heading = |name: &str| styled(STRONG, name);
    for (name, tail) in [
        ("stdout", &result.stdout_tail),
        ("stderr", &result.stderr_tail),
    ] {
        if let Some(tail) = tail {
            lines.push(format!("{}\n{}", heading(name), clean(tail.trim_end())));
        }
    }
    if result.truncated {
        let whole = result.artifact.as_deref().unwrap_or(&result.artifacts);
        lines.push(format!(
            "{} the message was cut; the whole is in {whole}",
            styled(NOTICE, "note:")
        ));
    }
    let files = &result.modified_files;
    if let Some(claimed) = &files.claimed {
        lines.push(list(&heading("changed, as the agent says"), claimed));
    }
    if let Some(observed) = &files.observed {
        lines.push(list(&heading("changed, as observed"), observed));
    }
    if let Some(integrity) = &result.integrity
        && integrity.head_before != integrity.head_after
    {
        let head = |head: &Option<String>| head.clone().unwrap_or_else(|| "none".to_owned());
        let (before, after) = (head(&integrity.head_before), head(&integrity.head_after));
        lines.push(format!(
            "{} HEAD moved from {before} to {after}",
            styled(NOTICE, "note:")
        ));
    }
    for denied in &result.sandbox_denied {
        lines.push(format!("{} {}", styled(NOTICE, "denied:"), clean(denied)));
    }
    if result.job.state.is_over() {
        lines.push(job::ending(&result.job));
    } else {
        let text = format!("job {} is {}", result.job.job_id, result.job.state.as_str());
        lines.push(styled(NOTICE, &text));
    }
    lines.push(styled(
        DIM,
        &format!("artifacts: {}", clean(&result.artifacts)),
    ));
    lines
}

fn list(heading: &str, paths: &[String]) -> String {
    if paths.is_empty() {
        return format!("{heading}: nothing");
    }
    let paths: Vec<String> = paths
        .iter()
        .map(|path| format!("\n  {}", clean(path)))
        .collect();
    format!("{heading}:{}", paths.concat())
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use convoke_api::{result::ModifiedFiles, values::State};

    use super::*;
    use crate::output::job::sample;

    #[test]
    fn what_is_said_beside_the_message() {
        let result = JobResult {
            job: convoke_api::job::JobView {
                state: State::Cancelled,
                code: Some("user".into()),
                ..sample()
            },
            final_message: Some("half done".into()),
            truncated: true,
            artifact: Some("/h/jobs/j/artifacts/message".into()),
            output: None,
            modified_files: ModifiedFiles {
                claimed: Some(vec![]),
                observed: Some(vec!["a.rs".into(), "b.rs".into()]),
            },
            integrity: None,
            usage: None,
            conflicts: None,
            sandbox_denied: vec!["write to /etc: ask for more".into()],
            stdout_tail: None,
            stderr_tail: Some("warning\n".into()),
            artifacts: "/h/jobs/j/artifacts".into(),
        };
        insta::assert_snapshot!(strip_str(&remarks(&result).join("\n")), @r"
        stderr
        warning
        note: the message was cut; the whole is in /h/jobs/j/artifacts/message
        changed, as the agent says: nothing
        changed, as observed:
          a.rs
          b.rs
        denied: write to /etc: ask for more
        ■ cancelled j-0a1b2c [nightly] (user)
        artifacts: /h/jobs/j/artifacts
        ");
    }
}
