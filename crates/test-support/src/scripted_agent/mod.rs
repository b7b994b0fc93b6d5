//! The scripted agent: a small program that does what a list of [`Step`]s says.
//!
//! It is called as `scripted-agent <script.json>`, `scripted-agent --inline
//! <json>` or `scripted-agent --stdin` (the script is the first line of stdin, or what follows the
//! words that a task is done once more).
//! A script is a JSON array of steps such as
//! `[{"do":"out","text":"hello"},{"do":"fork","mode":"setsid","steps":[{"do":"stall"}]},{"do":"exit","code":3}]`.
//! It ends with 0 after the last step, with 64 when the script cannot be read.

mod codex;
mod fork;
mod run;
mod script;

use std::io::BufRead as _;
use std::process::ExitCode;

pub use script::{ForkMode, Script, Step};

/// Exit code for a script that cannot be read.
const BAD_SCRIPT: u8 = 64;

/// Runs the script named by the arguments (without the program's name).
pub fn main(args: Vec<String>) -> ExitCode {
    let script = match load(&args) {
        Ok(script) => script,
        Err(message) => {
            eprintln!("scripted-agent: {message}");
            return ExitCode::from(BAD_SCRIPT);
        }
    };
    match run::run(&script) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("scripted-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How a prompt begins whose task is done once more.
const UNDONE: &str = "An earlier run of this task was undone";

fn load(args: &[String]) -> Result<Script, String> {
    let text = match args {
        [flag, text] if flag == "--inline" => text.clone(),
        [flag] if flag == "--stdin" => {
            let read =
                |line: std::io::Result<String>| line.map_err(|error| format!("stdin: {error}"));
            let mut lines = std::io::stdin().lock().lines().map(read);
            let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
            match first.starts_with(UNDONE) {
                // The prompt of the earlier run follows.
                true => lines
                    .find(|line| line.as_ref().map_or(true, |line| line.starts_with('[')))
                    .unwrap_or_else(|| Ok(String::new()))?,
                false => first,
            }
        }
        [path] => std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?,
        _ => return Err("usage: <script.json> | --inline <json> | --stdin".to_owned()),
    };
    serde_json::from_str(&text).map_err(|error| error.to_string())
}
