//! What the tests run in processes of its own: the runner (`__runner <folder>`)
//! and the scripted agent (`agent …`).

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((mode, [folder])) if mode == "__runner" => {
            convoke_runner::main(Path::new(folder), convoke_runner::Hooks::from_env())
        }
        Some((mode, rest)) if mode == "agent" => {
            convoke_test_support::scripted_agent::main(rest.to_vec())
        }
        _ => ExitCode::from(64),
    }
}
