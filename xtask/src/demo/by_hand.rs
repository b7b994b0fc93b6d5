//! The same jobs without Codex: commands played by the scripted agent, started,
//! awaited and cancelled by the CLI.

use std::path::Path;

use convoke_api::{job::JobView, result::JobResult};
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use super::{
    cast::{self, GREETING, MEASURE, TODO, Worker},
    cli::Cli,
    scratch::Scratch,
    unexpected,
};
use crate::error::Error;

/// Does what the coordinator would do; what it would report.
///
/// # Errors
/// A command fails.
pub async fn run(
    agent: &Path,
    cli: &Cli<'_>,
    scratch: &Scratch,
    say: Sender<String>,
) -> Result<String, Error> {
    let hand = Hand {
        agent,
        cli,
        scratch,
        say,
    };
    let mut ids = Vec::new();
    for worker in cast::WORKERS {
        ids.push(hand.spawn(worker).await?.job_id);
    }
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    let first = hand.wait(&all).await?;
    hand.wait(&[GREETING.label]).await?;
    hand.wait(&[TODO.label]).await?;
    let greeting = hand.result(&GREETING).await?;
    let todo = hand.result(&TODO).await?;
    hand.ask::<Value>(&["cancel", MEASURE.label]).await?;
    let measure = hand.wait(&[MEASURE.label]).await?;
    Ok(format!(
        "First to end: {}.\n- {greeting}\n- {todo}\n- {}: {}",
        name(&first),
        MEASURE.label,
        measure.state.as_str()
    ))
}

struct Hand<'a> {
    agent: &'a Path,
    cli: &'a Cli<'a>,
    scratch: &'a Scratch,
    say: Sender<String>,
}

impl Hand<'_> {
    async fn spawn(&self, worker: &Worker) -> Result<JobView, Error> {
        let script = self.scratch.root().join(format!("{}.json", worker.label));
        fs_err::write(&script, worker.agent_script().to_string())?;
        let agent = self.agent.display().to_string();
        let script = script.display().to_string();
        self.ask(&["spawn", "--label", worker.label, "--", &agent, &script])
            .await
    }

    /// Waits for the first of some jobs.
    async fn wait(&self, jobs: &[&str]) -> Result<JobView, Error> {
        let mut answer: Value = self.ask(&[&["wait"], jobs].concat()).await?;
        let job = answer["ended"][0].take();
        serde_json::from_value(job).map_err(|source| Error::Output {
            command: "convoke wait".to_owned(),
            source,
        })
    }

    async fn result(&self, worker: &Worker) -> Result<String, Error> {
        let result: JobResult = self.ask(&["result", worker.label]).await?;
        let message = result.final_message.unwrap_or_default();
        let message = message.lines().next().unwrap_or_default();
        Ok(format!(
            "{} ({}): {message}",
            worker.label,
            result.job.state.as_str()
        ))
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, Error> {
        let line = super::screen::shortened(&format!("$ convoke {}", arguments.join(" ")));
        self.say
            .send(line)
            .await
            .map_err(|_| unexpected("the demo is over"))?;
        self.cli.json(arguments).await
    }
}

fn name(job: &JobView) -> &str {
    job.label.as_deref().unwrap_or(&job.job_id)
}
