//! The jobs, shown live: a table that is redrawn on a terminal, else a line
//! for each change.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use convoke_api::{job::JobView, values::State};

use super::cast;

/// Longest line: longer ones would wrap and spoil the redrawing.
const WIDTH: usize = 78;

/// Shows jobs and messages on stdout.
#[derive(Debug)]
pub struct Screen {
    redraws: bool,
    lines_of_table: usize,
    seen: BTreeMap<String, Seen>,
}

/// What was seen of a job.
#[derive(Debug)]
struct Seen {
    label: Option<String>,
    state: State,
    since: Instant,
    took: Option<Duration>,
}

impl Screen {
    /// An empty screen.
    pub fn new() -> Self {
        Self {
            redraws: io::stdout().is_terminal(),
            lines_of_table: 0,
            seen: BTreeMap::new(),
        }
    }

    /// Prints a message, above the table.
    pub fn say(&mut self, message: &str) {
        self.erase();
        println!("{}", self.with_labels(message));
    }

    /// Shows the jobs as they are now.
    pub fn show(&mut self, jobs: &[JobView]) {
        let changed: Vec<bool> = jobs.iter().map(|job| self.notice(job)).collect();
        if self.redraws {
            self.erase();
            for line in self.table(jobs) {
                println!("{line}");
                self.lines_of_table += 1;
            }
            // A terminal that is gone is no reason to stop.
            let _ = io::stdout().flush();
        } else {
            for (job, _) in jobs.iter().zip(changed).filter(|(_, changed)| *changed) {
                println!("{}", self.row(job));
            }
        }
    }

    /// Remembers a job's state; whether it is new.
    fn notice(&mut self, job: &JobView) -> bool {
        let now = Instant::now();
        let seen = self.seen.entry(job.job_id.clone());
        let is_new = matches!(seen, std::collections::btree_map::Entry::Vacant(_));
        let seen = seen.or_insert(Seen {
            label: job.label.clone(),
            state: job.state,
            since: now,
            took: None,
        });
        let changed = is_new || seen.state != job.state;
        seen.state = job.state;
        if job.state.is_over() && seen.took.is_none() {
            seen.took = Some(seen.since.elapsed());
        }
        changed
    }

    fn table(&self, jobs: &[JobView]) -> Vec<String> {
        if jobs.is_empty() {
            return Vec::new();
        }
        let head = format!("  {:<10} {:<10} {:>7}  {}", "JOB", "STATE", "TIME", "TASK");
        let rows = jobs.iter().map(|job| self.row(job));
        [String::new(), head].into_iter().chain(rows).collect()
    }

    fn row(&self, job: &JobView) -> String {
        let time = self.seen.get(&job.job_id).map_or(Duration::ZERO, |seen| {
            seen.took.unwrap_or_else(|| seen.since.elapsed())
        });
        let queue = job.queue.as_ref();
        let task = queue.map_or_else(|| task(job), |queue| queue.message.as_str());
        let row = format!(
            "  {:<10} {:<10} {:>5.1} s  {task}",
            job.label.as_deref().unwrap_or(&job.job_id),
            job.state.as_str(),
            time.as_secs_f64(),
        );
        shortened(&row)
    }

    /// A text with the jobs' labels in place of their ids.
    pub fn with_labels(&self, text: &str) -> String {
        let labels = self
            .seen
            .iter()
            .filter_map(|(id, seen)| Some((id, seen.label.as_ref()?)));
        labels.fold(text.to_owned(), |text, (id, label)| text.replace(id, label))
    }

    /// Takes the table away, so that other lines can stand in its place.
    fn erase(&mut self) {
        if self.lines_of_table > 0 {
            print!("\x1b[{}A\x1b[J", self.lines_of_table);
            self.lines_of_table = 0;
        }
    }
}

/// What a job is for, without the scripts that make the demo play.
fn task(job: &JobView) -> &str {
    let worker = cast::WORKERS
        .into_iter()
        .find(|worker| job.label.as_deref() == Some(worker.label));
    worker.map_or(job.summary.as_str(), |worker| worker.task)
}

/// A line that fits.
pub fn shortened(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
