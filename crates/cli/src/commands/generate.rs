//! `convoke __generate`: write what is generated from the command line: manual
//! pages, the reference, and the systemd unit's text stays with `daemon unit`.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::{cli::Arguments, context::Context, error::CliError, exit_code::End, reference};

/// Arguments of `convoke __generate`.
#[derive(Debug, clap::Args)]
pub struct Generate {
    /// Write below this folder: `cli.md` and `man/*.1`
    folder: PathBuf,
}

impl Generate {
    /// Writes the files.
    pub fn run(self, _context: &Context) -> Result<End, CliError> {
        let pages = self.folder.join("man");
        fs_err::create_dir_all(&pages).map_err(CliError::file("create", &pages))?;
        let reference = self.folder.join("cli.md");
        fs_err::write(&reference, reference::markdown())
            .map_err(CliError::file("write", &reference))?;
        clap_mangen::generate_to(Arguments::command(), &pages)
            .map_err(CliError::file("write the manual pages in", &pages))?;
        Ok(End::Success)
    }
}
