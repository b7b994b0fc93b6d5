//! Project tasks: `cargo xtask test`, `tools`, `schemas`, `demo`, `bench`,
//! `sim`, `fuzz`, `soak`.
//!
//! One file per command; what several of them need is in `command` (running
//! programs), `folders` and `tools` (programs installed below `.tools`).

mod bench;
mod build;
mod command;
mod demo;
mod deps;
mod error;
mod folders;
mod fuzz;
mod schemas;
mod sim;
mod soak;
mod steps;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;

/// Tasks of the convoke project
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check everything: format, lints, generated files, tests
    Test(test::Test),
    /// Install the programs the tests and the demo need below .tools
    Tools(tools::Tools),
    /// Write the generated files: OpenAPI, command-line reference, manual pages, tool list
    Schemas(schemas::Schemas),
    /// Measure start, spawn, wake-up, overhead, cancelling, memory, events and restart
    Bench(bench::Bench),
    /// Check random histories of jobs, crashes and clock jumps against an oracle
    Sim(sim::Sim),
    /// Run the fuzz targets for long, with new inputs each time
    Fuzz(fuzz::Fuzz),
    /// Kill daemon, runners, agents and clients at random while many jobs run, then look for damage
    Soak(soak::Soak),
    /// Let a Codex coordinator start, wait for and cancel Codex workers in a scratch repository
    Demo(demo::Demo),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Test(command) => command.run(),
        Command::Tools(command) => command.run(),
        Command::Schemas(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Sim(command) => command.run(),
        Command::Fuzz(command) => command.run(),
        Command::Soak(command) => command.run(),
        Command::Demo(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints an error, its causes and what to do about it.
fn report(error: &Error) {
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        eprintln!("hint: {hint}");
    }
}
