//! The scripted agent, built where the end-to-end tests find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    convoke_test_support::scripted_agent::main(std::env::args().skip(1).collect())
}
