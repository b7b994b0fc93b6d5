//! The daemon's log: `daemon.log` in the state home, moved aside when large.

use std::{fs::File, os::unix::fs::OpenOptionsExt, path::Path, sync::Mutex};

use tracing_subscriber::EnvFilter;

/// Size at which the log is moved aside at the daemon's start, bytes.
const LARGE: u64 = 16 * 1024 * 1024;

/// Sends what the daemon reports to `path`. `CONVOKE_LOG` chooses what
/// (`info` by default; the syntax of `tracing_subscriber::EnvFilter`).
///
/// # Errors
/// The file cannot be opened.
pub fn start(path: &Path) -> std::io::Result<()> {
    if fs_err::metadata(path).is_ok_and(|meta| meta.len() > LARGE) {
        fs_err::rename(path, path.with_extension("log.old"))?;
    }
    let file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let filter = EnvFilter::try_from_env("CONVOKE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(filter)
        .with_writer(Mutex::new(file))
        .finish();
    // Only tests start two daemons in one process; the first log serves both.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}
