//! The `convoke` program: commands, MCP server, daemon and runner in one
//! binary.
//!
//! A runner is told apart here, before anything else is touched: it must have
//! one thread and stay small. So is what tries out an overlay.

mod caller;
mod cli;
mod commands;
mod connection;
mod context;
mod environment;
mod error;
mod exit_code;
mod feed;
mod home;
mod interrupts;
mod job_options;
mod output;
mod program;
mod prompt;
mod quantities;
mod reference;
mod retry;
mod runtime;
mod service;
mod words;

use std::process::ExitCode;

/// First argument of a runner, which nobody but the daemon gives.
const RUNNER: &str = "__runner";

/// First argument of what tries out an overlay, which nobody but the daemon gives.
const OVERLAY: &str = "__overlay";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == RUNNER => commands::runner::run(arguments.next()),
        Some(first) if first == OVERLAY => convoke_runner::overlay::main(arguments.next()),
        _ => program::run(),
    }
}
