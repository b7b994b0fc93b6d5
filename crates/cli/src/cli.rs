//! The command line as a whole: global options and the list of commands.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{commands, context::Context, error::CliError, exit_code::End};

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text and tables
    #[default]
    Human,
    /// JSON, for programs
    Json,
}

/// Run coding agents as durable background jobs
///
/// Jobs belong to a daemon that is started when it is needed; they go on when
/// the program that started them ends, and when the daemon does.
#[derive(Debug, Parser)]
#[command(name = "convoke", version, max_term_width = 100, after_long_help = EXAMPLES)]
pub struct Arguments {
    /// Use this state home instead of ~/.local/state/convoke
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Choose the form of the output
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_possible_values = true
    )]
    pub format: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  convoke run 'explain the build'        run an agent and watch it
  convoke spawn -s workspace-write 'fix the failing tests'
                                         start an agent and go on
  convoke ps                             list the jobs
  convoke wait JOB && convoke result JOB wait for a job and show what it said

Exit codes:
  0 success     1 failure            2 usage            3 job cancelled
  4 no such job 5 refused            6 no daemon      124 wait timed out
  130 interrupted";

/// The commands, in the order in which the help lists them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a job and print its id
    Spawn(commands::spawn::Spawn),
    /// Start a job and watch it until it ends
    Run(commands::run::Run),
    /// List jobs
    Ps(commands::ps::Ps),
    /// Show how a job stands
    Status(commands::status::Status),
    /// Show what a job did and said
    #[command(visible_alias = "logs")]
    Events(commands::events::Events),
    /// Wait until a job ends
    Wait(commands::wait::Wait),
    /// Print the last message of a job
    Result(commands::result::ShowResult),
    /// List what a job changed in its working tree, and whose change it was
    Changes(commands::changes::Changes),
    /// Show what a job changed as a patch
    Diff(commands::diff::Diff),
    /// List paths that several jobs changed at once
    Conflicts(commands::conflicts::ListConflicts),
    /// List what a file was while jobs wrote in its working tree
    Versions(commands::versions::Versions),
    /// Start a job that brings together what several jobs did to the same files
    Reconcile(commands::reconcile::Reconcile),
    /// Take back what a job changed
    Rollback(commands::rollback::Rollback),
    /// Bring what a job did in a working tree of its own into yours
    Apply(commands::apply::Apply),
    /// Drop what a job did in a working tree of its own
    Discard(commands::apply::Discard),
    /// Stop jobs
    Cancel(commands::cancel::Cancel),
    /// Stop a job and go on in its conversation with another prompt
    Interrupt(commands::interrupt::Interrupt),
    /// Let go of processes that are left of an ended job
    Release(commands::release::Release),
    /// Forget ended jobs
    Gc(commands::gc::Gc),
    /// Start, stop or look at the daemon
    Daemon(commands::daemon::Daemon),
    /// Check the installation and say how to repair it
    Doctor(commands::doctor::Doctor),
    /// Let real workers do an exercise in a scratch folder, and check what came of it
    Drill(commands::drill::Drill),
    /// Show the configuration
    Config(commands::config::Config),
    /// Serve the MCP tools on stdin and stdout
    Mcp(commands::mcp::Mcp),
    /// Show or install the skill that teaches an agent to coordinate others
    Skill(commands::skill::Skill),
    /// Print a completion script for a shell
    Completions(commands::completions::Completions),
    /// Write the manual pages and the command-line reference into a folder
    #[command(name = "__generate", hide = true)]
    Generate(commands::generate::Generate),
}

impl Command {
    /// Runs the command.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        match self {
            Self::Spawn(command) => command.run(context),
            Self::Run(command) => command.run(context),
            Self::Ps(command) => command.run(context),
            Self::Status(command) => command.run(context),
            Self::Events(command) => command.run(context),
            Self::Wait(command) => command.run(context),
            Self::Result(command) => command.run(context),
            Self::Changes(command) => command.run(context),
            Self::Diff(command) => command.run(context),
            Self::Conflicts(command) => command.run(context),
            Self::Versions(command) => command.run(context),
            Self::Reconcile(command) => command.run(context),
            Self::Rollback(command) => command.run(context),
            Self::Apply(command) => command.run(context),
            Self::Discard(command) => command.run(context),
            Self::Cancel(command) => command.run(context),
            Self::Interrupt(command) => command.run(context),
            Self::Release(command) => command.run(context),
            Self::Gc(command) => command.run(context),
            Self::Daemon(command) => command.run(context),
            Self::Doctor(command) => command.run(context),
            Self::Drill(command) => command.run(context),
            Self::Config(command) => command.run(context),
            Self::Mcp(command) => command.run(context),
            Self::Skill(command) => command.run(context),
            Self::Completions(command) => command.run(context),
            Self::Generate(command) => command.run(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// Help lines are imperative sentences without a full stop.
    #[test]
    fn help_has_no_full_stops() {
        fn check(command: &clap::Command) {
            for about in command.get_about().iter().map(ToString::to_string) {
                assert!(!about.ends_with('.'), "{}: {about}", command.get_name());
            }
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string);
                let help = help.unwrap_or_else(|| {
                    panic!("{} {}: no help", command.get_name(), argument.get_id())
                });
                assert!(!help.ends_with('.'), "{}: {help}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Arguments::command());
    }

    #[test]
    fn global_options_stand_anywhere() {
        let line = ["convoke", "ps", "--format", "json", "--home", "/h"];
        let arguments = Arguments::try_parse_from(line).unwrap();
        assert_eq!(arguments.format, Format::Json);
        assert_eq!(arguments.home, Some("/h".into()));
    }
}
