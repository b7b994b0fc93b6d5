//! `convoke versions`: what a file was while jobs wrote in its working tree.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use convoke_api::versions::{FileVersion, VersionsQuery};

use crate::{context::Context, error::CliError, exit_code::End, output::table::Table, runtime};

/// Letters of a version's name that are shown.
const SHOWN: usize = 12;

/// Arguments of `convoke versions`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct Versions {
    /// The file; it need not be there any more
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Print the content of this version, named as it is listed
    #[arg(long, value_name = "VERSION", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    show: Option<String>,
}

const NOTE: &str = "\
While jobs write in a working tree, each version of a file that stands for at least
`workspace.version_stands` (50ms) is kept, whoever wrote it. Files that git ignores
are not.

Examples:
  convoke versions src/lib.rs
  convoke versions src/lib.rs --show 3b18e512dba7 > lib.rs.before";

impl Versions {
    /// Prints them.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let here = std::env::current_dir().map_err(CliError::system("find the working folder"))?;
        let mut query = VersionsQuery {
            path: here.join(&self.path).display().to_string(),
            version_id: None,
        };
        let mut found = runtime::block_on(async { connection.versions(&query).await })?;
        if let Some(show) = &self.show {
            query.version_id = Some(full_name(&self.path, &found.versions, show)?);
            found = runtime::block_on(async { connection.versions(&query).await })?;
        }
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&found)?;
        } else if let Some(content) = &found.content_base64 {
            let content = STANDARD
                .decode(content)
                .map_err(|error| usage(format!("the content cannot be read: {error}")))?;
            std::io::stdout()
                .write_all(&content)
                .map_err(CliError::system("print the content"))?;
        } else if found.versions.is_empty() {
            printer.note("no version of it is kept");
        } else {
            let mut table = Table::new(&["VERSION", "AT", "BY"]);
            for version in &found.versions {
                let name = version.version_id.as_deref().unwrap_or("(gone)");
                let at = version.at.clone().unwrap_or_else(|| "-".to_owned());
                table.add([short(name).to_owned(), at, by(version)]);
            }
            printer.line(&table.render(printer.width()))?;
            for gap in &found.gaps {
                let (from, to, why) = (&gap.from, &gap.to, &gap.reason);
                printer.note(&format!("not complete from {from} to {to}: {why}"));
            }
        }
        Ok(End::Success)
    }
}

fn short(name: &str) -> &str {
    name.get(..SHOWN).unwrap_or(name)
}

fn by(version: &FileVersion) -> String {
    let mut by = match version.job_ids.as_slice() {
        [] => "-".to_owned(),
        jobs => jobs.join(" or "),
    };
    match version.passed {
        0 => {}
        1 => by.push_str(" (one more before it stood too briefly)"),
        more => by.push_str(&format!(" ({more} more before it stood too briefly)")),
    }
    by
}

fn full_name(path: &Path, versions: &[FileVersion], start: &str) -> Result<String, CliError> {
    let mut names = versions.iter().filter_map(|one| one.version_id.as_ref());
    names
        .rfind(|name| name.starts_with(start))
        .cloned()
        .ok_or_else(|| {
            usage(format!(
                "no version of {} is named `{start}`",
                path.display()
            ))
        })
}

fn usage(message: String) -> CliError {
    CliError::Usage {
        message,
        hint: Some("`convoke versions FILE` lists the versions that are kept".to_owned()),
    }
}
