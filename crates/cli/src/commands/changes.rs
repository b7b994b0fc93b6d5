//! `convoke changes`: list what a job changed, and whose change it was.

use convoke_api::changes::{
    Attribution, ChangeKind, ChangesQuery, Evidence, JobChanges, PathChange,
};

use crate::{
    context::Context,
    error::CliError,
    exit_code::End,
    output::{
        Printer,
        style::{NOTICE, styled},
        table::Table,
        text::clean,
    },
    runtime,
};

/// Arguments of `convoke changes`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
pub struct Changes {
    /// Name the job: its id, a unique beginning of it, or its label
    job: String,
}

const NOTE: &str = "\
Changes are what is different between the states of the working tree that are kept
before and after a job. They are the job's when its agent told of them (reported)
or when no other job wrote in the tree then (only writer); else they may be another
job's too, which is named.

Examples:
  convoke changes build
  convoke diff build
  convoke rollback build --dry-run";

impl Changes {
    /// Prints the changes.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect()?;
        let query = ChangesQuery::default();
        let changes = runtime::block_on(async { connection.changes(&self.job, &query).await })?;
        let printer = context.printer;
        if printer.is_json() {
            printer.json(&changes)?;
        } else {
            tell(printer, &changes)?;
        }
        Ok(End::Success)
    }
}

fn tell(printer: Printer, changes: &JobChanges) -> Result<(), CliError> {
    if changes.changes.is_empty() {
        printer.note("it changed nothing");
    } else {
        let mut table = Table::new(&["CHANGE", "WHOSE", "PATH"]);
        for change in &changes.changes {
            table.add([kind(change.kind).to_owned(), whose(change), path(change)]);
        }
        printer.line(&table.render(printer.width()))?;
    }
    for line in remarks(changes) {
        printer.note(&line);
    }
    Ok(())
}

fn kind(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Add => "added",
        ChangeKind::Modify => "modified",
        ChangeKind::Delete => "deleted",
        ChangeKind::Rename => "moved",
        ChangeKind::Mode => "mode",
    }
}

fn whose(change: &PathChange) -> String {
    let others = match change.with.as_slice() {
        [] => "somebody else".to_owned(),
        with => with.join(", "),
    };
    let evidence: Vec<&str> = change
        .evidence
        .iter()
        .map(|evidence| match evidence {
            Evidence::Reported => "reported",
            Evidence::InScope => "in scope",
            Evidence::AtWork => "at work",
            Evidence::OnlyWriter => "only writer",
        })
        .collect();
    match change.attribution {
        Attribution::Job => format!("its own ({})", evidence.join(", ")),
        Attribution::Ambiguous if evidence.is_empty() => format!("its own or of {others}"),
        Attribution::Ambiguous => format!("its own ({}) and of {others}", evidence.join(", ")),
    }
}

fn path(change: &PathChange) -> String {
    match &change.old_path {
        Some(old) => format!("{} -> {}", clean(old), clean(&change.path)),
        None => clean(&change.path).into_owned(),
    }
}

fn remarks(changes: &JobChanges) -> Vec<String> {
    let notice = |name: &str, text: &str| format!("{} {}", styled(NOTICE, name), clean(text));
    let mut lines: Vec<String> = changes
        .note
        .iter()
        .map(|note| notice("note:", note))
        .collect();
    for (name, paths) in [
        (
            "changed meanwhile, not by it alone or at all:",
            &changes.outside,
        ),
        ("changed in the tree too:", &changes.base_moved),
        ("changed and told nothing of:", &changes.unreported),
        ("claimed, but not changed:", &changes.not_seen),
    ] {
        if !paths.is_empty() {
            lines.push(notice(name, &paths.join(", ")));
        }
    }
    for gap in &changes.gaps {
        let text = format!("from {} to {}: {}", gap.from, gap.to, gap.reason);
        lines.push(notice("not everything was seen:", &text));
    }
    for skipped in &changes.skipped {
        let text = format!("{} ({})", skipped.path, skipped.reason);
        lines.push(notice("content not kept:", &text));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_it_is_in_words() {
        let mut change = PathChange {
            path: "a".into(),
            old_path: None,
            kind: ChangeKind::Modify,
            attribution: Attribution::Job,
            with: Vec::new(),
            evidence: vec![Evidence::Reported, Evidence::OnlyWriter],
        };
        assert_eq!(whose(&change), "its own (reported, only writer)");
        change.attribution = Attribution::Ambiguous;
        change.with = vec!["j2".into()];
        change.evidence = vec![Evidence::Reported];
        assert_eq!(whose(&change), "its own (reported) and of j2");
        change.evidence.clear();
        assert_eq!(whose(&change), "its own or of j2");
    }
}
