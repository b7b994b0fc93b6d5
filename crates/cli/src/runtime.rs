//! The runtime of commands that talk to the daemon. One thread: a client waits
//! on a few things and computes nothing.

use std::future::Future;

use crate::error::CliError;

/// Runs a command's asynchronous part.
///
/// # Errors
/// The command's own, or that no runtime could be made.
pub fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::system("start the asynchronous runtime"))?;
    let outcome = runtime.block_on(future);
    // A read of stdin may still be blocked; nobody waits for it.
    runtime.shutdown_background();
    outcome
}
