//! `convoke daemon unit`: print a systemd user unit that runs the daemon.

use crate::{context::Context, error::CliError, exit_code::End, service};

/// Arguments of `convoke daemon unit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  convoke daemon unit > ~/.config/systemd/user/convoke.service
  systemctl --user daemon-reload
  systemctl --user enable --now convoke.service")]
pub struct Unit {}

impl Unit {
    /// Prints the unit.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let program =
            std::env::current_exe().map_err(CliError::system("find the path of this program"))?;
        // The default is found by the daemon itself; another must be named.
        let named = context.home_flag.is_some()
            || crate::environment::value(crate::environment::CONVOKE_HOME).is_some();
        let home = if named { Some(context.home()?) } else { None };
        context
            .printer
            .foreign(&service::unit(&program, home.as_deref()))?;
        Ok(End::Success)
    }
}
