//! What every command gets: the global options in the form it can use.

use std::path::PathBuf;

use crate::{connection::Connection, error::CliError, home, output::Printer};

/// The surroundings of a command.
pub struct Context {
    /// `--home`, if given.
    pub home_flag: Option<PathBuf>,
    /// Where output goes, and in which form.
    pub printer: Printer,
}

impl Context {
    /// The state home.
    ///
    /// # Errors
    /// Nothing names one.
    pub fn home(&self) -> Result<PathBuf, CliError> {
        home::resolve(self.home_flag.as_deref())
    }

    /// A connection that starts a daemon when there is none.
    ///
    /// # Errors
    /// The state home or our own program is not known.
    pub fn connect(&self) -> Result<Connection, CliError> {
        Connection::starting(self.home()?)
    }

    /// A connection to a daemon that runs already.
    ///
    /// # Errors
    /// The state home is not known.
    pub fn connect_to_running(&self) -> Result<Connection, CliError> {
        Ok(Connection::to_running(self.home()?))
    }
}
