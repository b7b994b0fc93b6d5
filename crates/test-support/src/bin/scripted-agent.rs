//! A stand-in for an agent that does what its script says; see
//! [`convoke_test_support::scripted_agent`].

use std::process::ExitCode;

fn main() -> ExitCode {
    convoke_test_support::scripted_agent::main(std::env::args().skip(1).collect())
}
