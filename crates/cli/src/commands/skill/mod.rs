//! `convoke skill`: show and install the skill that teaches an agent to
//! coordinate others.
//!
//! `files.rs` holds the skill, `roots.rs` where agents look for skills,
//! `install.rs` puts it there.

mod files;
mod install;
mod roots;

use std::path::PathBuf;

use crate::{
    context::Context,
    error::CliError,
    exit_code::End,
    output::{
        style::{DIM, NOTICE, styled},
        text::clean,
    },
};

/// Arguments of `convoke skill`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Skill {
    #[command(subcommand)]
    command: SkillCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SkillCommand {
    /// Print the skill, or one of its references
    Show(Show),
    /// Put the skill where an agent finds it
    Install(Install),
}

/// Arguments of `convoke skill show`.
#[derive(Debug, clap::Args)]
struct Show {
    /// Choose what to print
    #[arg(value_enum, default_value_t)]
    part: files::Part,
}

/// Arguments of `convoke skill install`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTE)]
struct Install {
    /// For Codex: in the folder `skills` of its home; so without an option
    #[arg(long)]
    codex: bool,
    /// For Claude Code: in `~/.claude/skills`
    #[arg(long)]
    claude: bool,
    /// For everyone who works in this repository: in `.agents/skills` at its top
    #[arg(long)]
    repo: bool,
    /// Replace an older orchestration skill, or one that was changed; it is kept in a folder beside
    #[arg(long)]
    replace: bool,
}

const NOTE: &str = "\
An older skill `codex-subagent-orchestrator` contradicts this one: it tells agents
to coordinate by rules of their own what convoke now keeps track of. While it is
there nothing is written, unless --replace moves it out of the agent's sight.

Examples:
  convoke skill show
  convoke skill show quick-reference
  convoke skill install --codex --claude";

impl Skill {
    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        match self.command {
            SkillCommand::Show(show) => {
                context.printer.foreign(show.part.text())?;
                Ok(End::Success)
            }
            SkillCommand::Install(install) => install.run(context),
        }
    }
}

impl Install {
    fn run(self, context: &Context) -> Result<End, CliError> {
        let targets = self.targets()?;
        // All are looked at before the first is written.
        let plans = targets
            .into_iter()
            .map(|root| install::plan(&root, self.replace))
            .collect::<Result<Vec<_>, _>>()?;
        let printer = context.printer;
        let mut done = Vec::new();
        for plan in plans {
            done.push(plan.carry_out()?);
        }
        if printer.is_json() {
            printer.json(&done)?;
            return Ok(End::Success);
        }
        for one in &done {
            let path = clean(&one.path).into_owned();
            printer.line(&match one.changed {
                true => format!("installed {path}"),
                false => format!("up to date {path}"),
            })?;
            for backup in &one.kept {
                let text = format!("what was there before is in {}", clean(backup));
                printer.note(&format!("{} {text}", styled(NOTICE, "note:")));
            }
        }
        printer.note(&styled(DIM, "sessions that begin from now on find it"));
        Ok(End::Success)
    }

    fn targets(&self) -> Result<Vec<PathBuf>, CliError> {
        let mut targets = Vec::new();
        if self.codex || !(self.claude || self.repo) {
            targets.push(roots::of_codex()?);
        }
        if self.claude {
            targets.push(roots::of_claude()?);
        }
        if self.repo {
            targets.push(roots::of_repository()?);
        }
        Ok(targets)
    }
}
