//! What came of it, at the end; and whether it is what it must be.

use std::path::Path;

use convoke_api::{
    job::JobView,
    result::{JobResult, ModifiedFiles},
    values::State,
};
use fs_err as fs;

use super::{cast, cli::Cli, scratch::Scratch, unexpected};
use crate::{command, error::Error};

/// Prints the results and checks them.
///
/// # Errors
/// A result cannot be read, or is not as it must be.
pub async fn show(cli: &Cli<'_>, scratch: &Scratch, last_word: &str) -> Result<(), Error> {
    heading("The coordinator's report");
    println!("{}", last_word.trim_end());
    heading("The jobs");
    let jobs = cli.jobs().await?;
    for job in &jobs {
        let result: JobResult = cli.json(&["result", &job.job_id]).await?;
        show_job(&result);
    }
    heading("What changed in the repository");
    print!(
        "{}",
        command::output(&mut scratch.git(&["status", "--short"]))?
    );
    print!(
        "{}",
        command::output(&mut scratch.git(&["--no-pager", "diff", "--unified=0"]))?
    );
    check(&jobs, scratch)
}

/// Says where everything is and what can be done with it.
pub fn how_to_go_on(program: &Path, scratch: &Scratch) {
    heading("How to go on");
    println!("Everything is kept in {}:", scratch.root().display());
    println!("  repo   the repository the workers changed");
    println!("  state  jobs, events and artifacts");
    println!("Look around with:");
    println!("  export CONVOKE_HOME={}", scratch.state().display());
    let program = program.display();
    println!("  {program} ps");
    println!("  {program} events {}", cast::GREETING.label);
    println!("  {program} daemon stop");
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn show_job(result: &JobResult) {
    let job = &result.job;
    let label = job.label.as_deref().unwrap_or("-");
    println!("{label}  {}  {}", job.state.as_str(), job.job_id);
    let message = result.final_message.as_deref().unwrap_or("(none)");
    println!(
        "  last message  {}",
        message.lines().next().unwrap_or_default()
    );
    println!("  changed       {}", changed(&result.modified_files));
    if let Some(problem) = &job.message {
        println!("  problem       {problem}");
    }
    println!("  artifacts     {}", result.artifacts);
}

/// Changed files: as the worker says, else as they were seen to change.
fn changed(files: &ModifiedFiles) -> String {
    let list = |paths: &Option<Vec<String>>| match paths {
        None => "not known".to_owned(),
        Some(paths) if paths.is_empty() => "nothing".to_owned(),
        Some(paths) => paths.join(", "),
    };
    format!(
        "it says: {}; seen meanwhile, by whomever: {}",
        list(&files.claimed),
        list(&files.observed)
    )
}

/// Two jobs completed, the third cancelled, both files as they should be.
fn check(jobs: &[JobView], scratch: &Scratch) -> Result<(), Error> {
    for worker in cast::WORKERS {
        let wanted = match worker.change {
            Some(_) => State::Completed,
            None => State::Cancelled,
        };
        let job = jobs
            .iter()
            .find(|job| job.label.as_deref() == Some(worker.label));
        let state = job.map(|job| job.state);
        if state != Some(wanted) {
            let is = state.map_or("not there", State::as_str);
            let what = format!("the job {} is {is}, not {}", worker.label, wanted.as_str());
            return Err(unexpected(&what));
        }
        let Some((path, text)) = worker.change else {
            continue;
        };
        if fs::read_to_string(scratch.repository().join(path))? != text {
            return Err(unexpected(&format!(
                "{path} is not as {} leaves it",
                worker.label
            )));
        }
    }
    Ok(())
}
