//! `cargo xtask tools`: programs installed below `.tools`.

pub mod codex;
pub mod nextest;

use crate::{deps, error::Error};

/// Install the programs the tests and the demo need below .tools
#[derive(Debug, clap::Args)]
pub struct Tools {}

impl Tools {
    /// Runs the task.
    ///
    /// # Errors
    /// One cannot be installed.
    pub fn run(self) -> Result<(), Error> {
        deps::required()?;
        deps::node()?;
        println!("codex: {}", codex::install()?.display());
        println!("cargo-nextest: {}", nextest::provide()?.display());
        Ok(())
    }
}
