//! `convoke completions`: print a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{cli::Arguments, context::Context, error::CliError, exit_code::End};

/// Arguments of `convoke completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// Name the shell
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  convoke completions bash > ~/.local/share/bash-completion/completions/convoke
  convoke completions fish > ~/.config/fish/completions/convoke.fish";

impl Completions {
    /// Prints the script.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut Arguments::command(),
            "convoke",
            &mut script,
        );
        context.printer.foreign(&String::from_utf8_lossy(&script))?;
        Ok(End::Success)
    }
}
