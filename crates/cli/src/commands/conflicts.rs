//! `convoke conflicts`: list paths that several jobs changed at once.

use convoke_api::changes::{Conflict, ConflictKind, ConflictsQuery};

use crate::{context::Context, error::CliError, exit_code::End, output::table::Table, runtime};

/// Arguments of `convoke conflicts`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct ListConflicts {
    /// Show only those of these jobs; without any, those of the working tree of the current folder
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
}

const NOTE: &str = "\
A conflict is a path that two jobs certainly changed while both were at work. It is
an overwrite when one of them wrote over what the other had done, from an older
reading, so that it is gone; `convoke versions FILE` still has it. Where two jobs ran commands
while a file changed more than once, and it cannot be told which of them changed it,
both may have changed it: that is shown here and nowhere else.

Examples:
  convoke conflicts
  convoke conflicts build docs";

impl ListConflicts {
    /// Prints them.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let folder =
            std::env::current_dir().map_err(CliError::system("find the working folder"))?;
        let query = ConflictsQuery {
            jobs: (!self.jobs.is_empty()).then(|| self.jobs.join(",")),
            folder: Some(folder.display().to_string()),
        };
        let found = runtime::block_on(async { connection.conflicts(&query).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&found)?;
        } else if found.conflicts.is_empty() {
            printer.note("no conflicts");
        } else {
            let mut table = Table::new(&["CONFLICT", "WHAT", "JOBS", "LINES", "PATH"]);
            for conflict in &found.conflicts {
                let jobs = conflict.job_ids.join(", ");
                let cells = [conflict.id.clone(), what(conflict), jobs, lines(conflict)];
                table.add(cells.into_iter().chain([conflict.path.clone()]));
            }
            printer.line(&table.render(printer.width()))?;
        }
        Ok(End::Success)
    }
}

fn what(conflict: &Conflict) -> String {
    let what = match conflict.kind {
        ConflictKind::Overlap => "both changed it",
        ConflictKind::StaleOverwrite => "the second wrote over the first",
        ConflictKind::Forecast if conflict.job_ids.len() == 1 => {
            "cannot be merged with what the tree holds now"
        }
        ConflictKind::Forecast => "cannot be merged with each other",
        ConflictKind::Possible => "both may have changed it",
    };
    match conflict.resolved {
        true => format!("{what}; one was taken back"),
        false => what.to_owned(),
    }
}

/// The lines of each job, as `1-3,9` in the order of the jobs.
fn lines(conflict: &Conflict) -> String {
    let of = |job: &String| {
        let own = conflict.hunks.iter().filter(|hunk| hunk.job_id == *job);
        let shown = own.map(|hunk| match hunk.lines {
            0 | 1 => hunk.start.to_string(),
            lines => format!("{}-{}", hunk.start, hunk.start + lines - 1),
        });
        shown.collect::<Vec<_>>().join(",")
    };
    conflict
        .job_ids
        .iter()
        .map(of)
        .collect::<Vec<_>>()
        .join(" / ")
}
