//! `convoke events`: show what a job did and said.

use std::collections::VecDeque;

use convoke_api::events::{EventView, EventsQuery};

use crate::{
    connection::Connection,
    context::Context,
    error::CliError,
    exit_code::End,
    feed::Feed,
    output::{Printer, events},
    runtime,
};

/// Events asked for at once.
const PAGE: u32 = 1000;

/// Arguments of `convoke events`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Events {
    /// Name the job: its id, a unique beginning of it, or its label
    job: String,
    /// Go on with what comes, until the job ends
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last events only
    #[arg(short = 'n', long, value_name = "NUMBER")]
    tail: Option<usize>,
}

const EXAMPLES: &str = "\
With --format json every event is one line.

Examples:
  convoke events -f build
  convoke logs -n 20 build
  convoke events --format json build | jq -r 'select(.type == \"message\").content.text'";

impl Events {
    /// Shows the events.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let printer = context.printer;
        runtime::block_on(async {
            let id = connection.job(&self.job).await?.job_id;
            let (cursor, done) = past(&connection, &id, self.tail, printer).await?;
            if self.follow && !done {
                let mut feed = Feed::from(&connection.without_start(), &id, Some(cursor));
                while let Some(event) = feed.next().await? {
                    show(printer, &event)?;
                }
            }
            Ok(End::Success)
        })
    }
}

/// Shows what there is, or the last `tail` events of it. Answers with where to
/// go on and whether that was all there will be.
async fn past(
    connection: &Connection,
    job: &str,
    tail: Option<usize>,
    printer: Printer,
) -> Result<(String, bool), CliError> {
    let mut cursor = None;
    let mut kept: VecDeque<EventView> = VecDeque::new();
    loop {
        let query = EventsQuery {
            cursor: cursor.take(),
            max_events: Some(PAGE),
            ..EventsQuery::default()
        };
        let page = connection.events(job, &query).await?;
        let last = page.events.is_empty() || page.done;
        for event in page.events {
            match tail {
                None => show(printer, &event)?,
                Some(tail) => {
                    kept.push_back(event);
                    if kept.len() > tail {
                        kept.pop_front();
                    }
                }
            }
        }
        if last {
            for event in &kept {
                show(printer, event)?;
            }
            return Ok((page.next_cursor, page.done));
        }
        cursor = Some(page.next_cursor);
    }
}

fn show(printer: Printer, event: &EventView) -> Result<(), CliError> {
    if printer.is_json() {
        return printer.json_line(event);
    }
    match events::render(event) {
        Some(text) => printer.line(&text),
        None => Ok(()),
    }
}
