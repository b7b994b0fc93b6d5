//! `convoke ps`: list jobs.

use std::path::PathBuf;

use convoke_api::{
    job::{JobView, JobsPage, JobsQuery},
    values::State,
};
use jiff::Timestamp;

use crate::{
    connection::Connection,
    context::Context,
    error::CliError,
    exit_code::End,
    job_options,
    output::{
        job,
        style::{DIM, styled},
        table::Table,
        text, time, tree,
    },
    quantities, runtime,
};

/// Most jobs the daemon puts on a page.
const PAGE: u32 = 500;

/// Characters of a label that a terminal shows.
const LABEL: usize = 16;
/// Characters of a folder that a terminal shows.
const FOLDER: usize = 20;

/// Arguments of `convoke ps`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Ps {
    /// Show only jobs in these states; `live` and `ended` stand for several
    #[arg(short, long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    state: Vec<String>,
    /// Show only jobs whose label contains this
    #[arg(short, long)]
    label: Option<String>,
    /// Show only jobs of this agent: codex or command
    #[arg(long)]
    agent: Option<String>,
    /// Show only jobs in this folder or below it
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Show only jobs accepted since then: an age (2h) or an instant (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = quantities::since)]
    since: Option<String>,
    /// Show only jobs of this owner
    #[arg(long)]
    owner: Option<String>,
    /// Show at most so many jobs, the newest
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
    /// Show all jobs, however many
    #[arg(short, long, conflicts_with = "limit")]
    all: bool,
    /// Show jobs below those that started them or that they need
    #[arg(long)]
    tree: bool,
}

const EXAMPLES: &str = "\
Examples:
  convoke ps --state live
  convoke ps --tree --since 2h
  convoke ps --format json --state failed --all";

impl Ps {
    /// Lists the jobs.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let query = self.query()?;
        let connection = context.connect()?;
        let limit = if self.all { None } else { Some(self.limit) };
        let page = runtime::block_on(async { collect(&connection, query, limit).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&page)?;
            return Ok(End::Success);
        }
        if page.jobs.is_empty() {
            printer.note(&styled(DIM, "no jobs"));
            return Ok(End::Success);
        }
        printer.line(&listing(
            &page.jobs,
            self.tree,
            printer.width(),
            Timestamp::now(),
        ))?;
        if page.next_cursor.is_some() {
            printer.note(&styled(DIM, "there are more: `--all` shows them"));
        }
        Ok(End::Success)
    }

    fn query(&self) -> Result<JobsQuery, CliError> {
        Ok(JobsQuery {
            state: (!self.state.is_empty()).then(|| self.state.join(",")),
            label: self.label.clone(),
            agent: self.agent.clone(),
            folder: self
                .folder
                .as_deref()
                .map(job_options::absolute)
                .transpose()?,
            since: self.since.clone(),
            owner: self.owner.clone(),
            limit: None,
            cursor: None,
        })
    }
}

/// Pages until there are enough jobs.
async fn collect(
    connection: &Connection,
    mut query: JobsQuery,
    limit: Option<u32>,
) -> Result<JobsPage, CliError> {
    let mut jobs: Vec<JobView> = Vec::new();
    loop {
        let have = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        let missing = limit.map_or(PAGE, |limit| limit.saturating_sub(have));
        query.limit = Some(missing.clamp(1, PAGE));
        let page = connection.jobs(&query).await?;
        jobs.extend(page.jobs);
        let enough = limit.is_some_and(|limit| jobs.len() >= limit as usize);
        if enough || page.next_cursor.is_none() {
            return Ok(JobsPage {
                jobs,
                next_cursor: page.next_cursor,
            });
        }
        query.cursor = page.next_cursor;
    }
}

fn listing(jobs: &[JobView], as_tree: bool, width: Option<u16>, now: Timestamp) -> String {
    let rows: Vec<(String, &JobView)> = if as_tree {
        tree::arrange(jobs)
    } else {
        jobs.iter().map(|job| (String::new(), job)).collect()
    };
    let mut table = Table::new(&["ID", "STATE", "AGE", "LABEL", "AGENT", "FOLDER", "SUMMARY"]);
    for (branch, shown) in rows {
        table.add([
            format!("{branch}{}", shown.job_id),
            job::state(shown),
            time::age(&shown.accepted_at, now),
            label(shown, width),
            shown.agent.clone(),
            folder(shown, width),
            shown.summary.clone(),
        ]);
    }
    table.render(width)
}

/// The label; its beginning on a terminal.
fn label(job: &JobView, width: Option<u16>) -> String {
    let label = job.label.as_deref().unwrap_or("-");
    text::one_line(label, width.map_or(usize::MAX, |_| LABEL))
}

/// The folder; its end on a terminal.
fn folder(job: &JobView, width: Option<u16>) -> String {
    let folder = &job.working_directory;
    let count = folder.chars().count();
    if width.is_none() || count <= FOLDER {
        return folder.clone();
    }
    let end: String = folder.chars().skip(count - FOLDER + 1).collect();
    // Whole names where there are any.
    let end = end.find('/').map_or(end.as_str(), |slash| &end[slash..]);
    format!("…{end}")
}

fn state(word: &str) -> Result<String, String> {
    if matches!(word, "live" | "ended") || State::parse(word).is_some() {
        return Ok(word.to_owned());
    }
    let known: Vec<&str> = State::ALL.into_iter().map(State::as_str).collect();
    Err(format!(
        "`{word}` is no state; there are live, ended, {}",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::job::sample;

    fn jobs() -> [JobView; 2] {
        let child = JobView {
            job_id: "j-2".into(),
            label: None,
            parent_job_id: Some("j-1".into()),
            summary: "a long story\nthat goes on".into(),
            ..sample()
        };
        [
            child,
            JobView {
                job_id: "j-1".into(),
                state: State::Completed,
                ..sample()
            },
        ]
    }

    fn now() -> Timestamp {
        "2026-01-01T00:05:00Z".parse().unwrap()
    }

    #[test]
    fn a_list() {
        insta::assert_snapshot!(listing(&jobs(), false, None, now()), @r"
        ID   STATE      AGE  LABEL    AGENT  FOLDER  SUMMARY
        j-2  running    5m   -        codex  /repo   a long story that goes on
        j-1  completed  5m   nightly  codex  /repo   fix the tests
        ");
    }

    #[test]
    fn a_tree_on_a_narrow_terminal() {
        insta::assert_snapshot!(listing(&jobs(), true, Some(66), now()), @r"
        ID      STATE      AGE  LABEL    AGENT  FOLDER  SUMMARY
        j-1     completed  5m   nightly  codex  /repo   fix the tests
        └─ j-2  running    5m   -        codex  /repo   a long story that…
        ");
    }

    #[test]
    fn folders_keep_their_end() {
        let job = JobView {
            working_directory: "/home/somebody/projects/convoke/crates".into(),
            ..sample()
        };
        assert_eq!(folder(&job, Some(80)), "…/convoke/crates");
        assert_eq!(folder(&job, None), job.working_directory);
    }

    #[test]
    fn states() {
        assert!(state("live").is_ok());
        assert!(state("failed").is_ok());
        assert!(state("dead").unwrap_err().contains("queued"));
    }
}
