//! The program from its arguments to its exit code.

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, error::ErrorKind};
use convoke_api::error::ApiError;

use crate::{
    cli::{Arguments, Format},
    context::Context,
    error::CliError,
    exit_code::{self, End},
    output::{self, Printer},
};

/// Runs what the arguments ask for and tells what went wrong.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_parsed(&error),
    };
    let printer = Printer::new(arguments.format);
    let context = Context {
        home_flag: arguments.home,
        printer,
    };
    let outcome = arguments.command.run(&context);
    let end = exit_code::of(&outcome);
    if let Err(error) = &outcome
        && !error.is_broken_pipe()
    {
        output::tell_error(printer.format(), error);
    }
    ExitCode::from(end.code())
}

/// Help and version go to stdout; everything else is a usage error, which
/// programs get as JSON.
fn not_parsed(error: &clap::Error) -> ExitCode {
    let shown = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if !shown && wants_json(std::env::args_os()) {
        let told = error.render().to_string();
        let message = told.trim().trim_start_matches("error: ");
        output::tell_error(Format::Json, &CliError::from(ApiError::invalid(message)));
    } else {
        // Nobody reads it when it cannot be written.
        let _ = error.print();
    }
    let end = if shown { End::Success } else { End::Usage };
    ExitCode::from(end.code())
}

/// Whether a command line that could not be parsed asks for JSON.
fn wants_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let mut after_format = false;
    for argument in arguments.take_while(|argument| argument != "--") {
        if argument == "--format=json" || (after_format && argument == "json") {
            return true;
        }
        after_format = argument == "--format";
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(line: &str) -> bool {
        wants_json(line.split(' ').map(OsString::from))
    }

    #[test]
    fn json_is_asked_for() {
        assert!(wants("convoke --format json --wrong"));
        assert!(wants("convoke ps --format=json --wrong"));
        assert!(!wants("convoke ps --wrong"));
        assert!(!wants("convoke run --wrong -- --format json"));
    }
}
