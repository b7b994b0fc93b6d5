//! `convoke daemon`: start, stop or look at the daemon.

mod announce;
mod logs;
mod run;
mod start;
mod status;
mod stop;
mod unit;

use crate::{context::Context, error::CliError, exit_code::End};

/// Name of the daemon's log within the state home.
const LOG: &str = "daemon.log";
/// Name of the file within the state home whose lock the daemon holds.
const LOCK: &str = "daemon.lock";

/// Arguments of `convoke daemon`.
#[derive(Debug, clap::Args)]
pub struct Daemon {
    /// What to do.
    #[command(subcommand)]
    command: DaemonCommand,
}

/// The commands of `convoke daemon`.
#[derive(Debug, clap::Subcommand)]
enum DaemonCommand {
    /// Start the daemon, unless it runs already
    Start(start::Start),
    /// Stop the daemon and wait until it is gone; jobs go on without it
    Stop(stop::Stop),
    /// Show the daemon
    Status(status::Status),
    /// Show the daemon's log
    Logs(logs::Logs),
    /// Be the daemon, in the foreground
    Run(run::Run),
    /// Print a systemd user unit that runs the daemon
    Unit(unit::Unit),
}

impl Daemon {
    /// Runs the command.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        match self.command {
            DaemonCommand::Start(command) => command.run(context),
            DaemonCommand::Stop(command) => command.run(context),
            DaemonCommand::Status(command) => command.run(context),
            DaemonCommand::Logs(command) => command.run(context),
            DaemonCommand::Run(command) => command.run(context),
            DaemonCommand::Unit(command) => command.run(context),
        }
    }
}
