//! The small process that keeps one agent process.
//!
//! It alone owns the agent's pipes, writes every byte to the journal before
//! anybody hears of it, enforces the limits of its spec, ends the agent's whole
//! tree, and writes down how it ended. It has one thread and one `poll`, and wakes
//! up only for a descriptor, its next deadline, or a look around every ten
//! seconds.

mod accounting;
mod child;
pub mod clock;
mod contain;
mod folder;
mod hooks;
mod input;
mod journal;
mod ladder;
mod launch;
pub mod overlay;
mod process;
mod signals;
mod socket;
mod startup;
mod supervisor;
pub mod sweep;
mod sys;

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use convoke_core::runner_protocol::{
    ContainmentReport, ExitCause, ExitRecord, PROTOCOL_VERSION, StartFailure,
};

pub use hooks::{Hooks, Point};

use folder::Folder;
use launch::StartError;
use supervisor::Supervisor;

/// Runs a runner for a folder, from its first step to its last.
///
/// Must be called first of all in a process with one thread, with the locked
/// `runner.lock` of the folder as stdin: it closes every other descriptor from 3
/// on. The exit code is 0 when `exit.json` was written and 1 when it was not
/// (then the reason is on stderr, if it happened before the agent was started).
pub fn main(folder: &Path, hooks: Hooks) -> ExitCode {
    startup::close_inherited();
    match run(folder, hooks) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("runner {}: {message}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// True when `exit.json` was written.
fn run(path: &Path, hooks: Hooks) -> Result<bool, String> {
    let folder = Folder::open(path).map_err(at("folder"))?;
    let lock = startup::take_lock(&folder).map_err(at("lock"))?;
    hooks.reach(Point::RunnerLocked);
    folder.reserve_exit().map_err(at("exit record"))?;
    let spec = match startup::read_spec(&folder) {
        Ok(spec) => spec,
        Err(message) => {
            let id = folder.path().file_name().unwrap_or_default();
            let error = StartError::new(StartFailure::Other, message);
            return refuse(&folder, &id.to_string_lossy(), error);
        }
    };
    let written = match Supervisor::new(&folder, &spec, hooks) {
        Ok(supervisor) => Ok(supervisor.run()),
        Err(error) => refuse(&folder, &spec.runner_id, error),
    };
    // Held to the very end: its release tells that nothing more will be written.
    drop(lock);
    written
}

/// Writes the exit record of a runner that cannot start its agent.
fn refuse(folder: &Folder, runner_id: &str, error: StartError) -> Result<bool, String> {
    let record = ExitRecord {
        cause: ExitCause::StartFailed {
            kind: error.kind,
            message: error.message,
        },
        ..blank_record(runner_id)
    };
    folder.write_exit(&record).map_err(at("exit record"))?;
    folder.sync().map_err(at("exit record"))?;
    Ok(true)
}

/// A record of a runner that did nothing, stamped now.
fn blank_record(runner_id: &str) -> ExitRecord {
    ExitRecord {
        version: PROTOCOL_VERSION,
        runner_id: runner_id.to_owned(),
        cause: ExitCause::Exited,
        exit_code: None,
        signal: None,
        started: false,
        wall_ms: clock::wall_ms(),
        wall_us: 0,
        mono_ms: clock::mono_ms(),
        active_ms: 0,
        journal_len: 0,
        last_command: 0,
        containment: ContainmentReport::none(),
        leftovers: Vec::new(),
        output_bytes: 0,
    }
}

/// Names what failed.
fn at<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
