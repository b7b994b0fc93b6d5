//! `convoke daemon stop`: stop the daemon and wait until it is gone.

use std::{fs::TryLockError, path::Path, time::Duration};

use convoke_api::{
    daemon::StopRequest,
    error::{ApiError, RequestCode},
};
use tokio::time::{Instant, sleep_until};

use crate::{
    context::Context,
    error::CliError,
    exit_code::End,
    output::{Printer, progress},
    runtime,
};

/// How long the daemon may take to let go of the state home.
const LIMIT: Duration = Duration::from_secs(30);
/// The same when it has jobs to end first.
const LIMIT_WITH_JOBS: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Arguments of `convoke daemon stop`.
#[derive(Debug, clap::Args)]
pub struct Stop {
    /// Cancel the jobs too
    #[arg(long)]
    jobs: bool,
}

impl Stop {
    /// Stops the daemon. One that does not run is no error.
    pub fn run(self, context: &Context) -> Result<End, CliError> {
        let connection = context.connect_to_running()?;
        let lock = context.home()?.join(super::LOCK);
        let printer = context.printer;
        runtime::block_on(async {
            let daemon = match connection.daemon().await {
                Ok(daemon) => daemon,
                Err(error) if error.is_passing() && !is_locked(&lock)? => {
                    return tell(printer, None);
                }
                Err(error) => return Err(error),
            };
            connection
                .stop_daemon(&StopRequest { jobs: self.jobs })
                .await?;
            let limit = if self.jobs { LIMIT_WITH_JOBS } else { LIMIT };
            progress::while_waiting("waiting for the daemon's end", gone(&lock, limit)).await?;
            tell(printer, Some(daemon.pid))
        })
    }
}

fn tell(printer: Printer, pid: Option<u32>) -> Result<End, CliError> {
    if printer.is_json() {
        printer.json(&serde_json::json!({ "stopped": pid.is_some(), "pid": pid }))?;
    } else {
        match pid {
            Some(pid) => printer.line(&format!("the daemon stopped, process {pid}"))?,
            None => printer.note("no daemon runs"),
        }
    }
    Ok(End::Success)
}

/// Waits until nobody holds the state home. The lock says it, not the process
/// id: that may linger after the end, or be somebody else's.
async fn gone(lock: &Path, limit: Duration) -> Result<(), CliError> {
    let deadline = Instant::now() + limit;
    while is_locked(lock)? {
        if Instant::now() >= deadline {
            let message = format!(
                "the daemon still holds {} after {} s",
                lock.display(),
                limit.as_secs()
            );
            let hint = "`convoke daemon logs` may say what it is busy with";
            let error = ApiError::new(RequestCode::ShuttingDown, message).with_hint(hint);
            return Err(error.into());
        }
        sleep_until(Instant::now() + PAUSE).await;
    }
    Ok(())
}

/// Whether some process holds the lock. A look takes it for an instant; a
/// daemon that starts in that instant is started again by its client.
fn is_locked(lock: &Path) -> Result<bool, CliError> {
    let file = match fs_err::File::open(lock) {
        Ok(file) => file.into_parts().0,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(CliError::file("open", lock)(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(CliError::file("look at the lock of", lock)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen() {
        let folder = std::env::temp_dir().join(format!("convoke-stop-{}", std::process::id()));
        fs_err::create_dir_all(&folder).unwrap();
        let lock = folder.join("daemon.lock");
        assert!(!is_locked(&lock).unwrap());
        let holder = fs_err::File::create(&lock).unwrap().into_parts().0;
        assert!(!is_locked(&lock).unwrap());
        holder.lock().unwrap();
        assert!(is_locked(&lock).unwrap());
        drop(holder);
        assert!(!is_locked(&lock).unwrap());
        fs_err::remove_dir_all(&folder).unwrap();
    }
}
