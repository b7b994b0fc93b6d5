//! Copy-on-write over a tree, by overlayfs; the file per platform offers the same
//! functions.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod macos;

#[cfg(target_os = "linux")]
use linux::try_out;
#[cfg(target_os = "linux")]
pub(crate) use linux::{follow_until_child, lay};
#[cfg(not(target_os = "linux"))]
pub(crate) use macos::NOT_POSSIBLE;
#[cfg(not(target_os = "linux"))]
use macos::try_out;

use std::ffi::OsString;
use std::process::ExitCode;

use convoke_core::runner_protocol::{Overlay, StartFailure};

use crate::launch::StartError;

/// Tries out whether an overlay, given as JSON, can be laid and written through. Must be called first of all in a process with one thread. The
/// exit code is 0 where it can, and 1 where it cannot: then the reason is on stdout.
pub fn main(planned: Option<OsString>) -> ExitCode {
    let planned = planned.unwrap_or_default();
    let planned: Overlay = match serde_json::from_slice(planned.as_encoded_bytes()) {
        Ok(planned) => planned,
        Err(error) => {
            eprintln!("what is to be laid over which tree is not understood: {error}");
            return ExitCode::from(2);
        }
    };
    match try_out(&planned) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Why an agent that needs an overlay is not started.
pub(crate) fn failure(overlay: &Overlay, reason: &str) -> StartError {
    StartError::new(
        StartFailure::Overlay,
        format!(
            "no overlay can be laid over {}, and without it the agent would write there: {reason}",
            overlay.tree.display()
        ),
    )
}
