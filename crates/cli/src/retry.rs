//! Going on through a restart of the daemon: what only reads is asked again.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::CliError;

/// How long the daemon may be away.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause between two attempts; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Repeats `operation` while the daemon is away, for at most 30 seconds.
///
/// # Errors
/// The last error of `operation`, or the first that time does not heal.
pub async fn while_away<T>(
    operation: impl AsyncFn() -> Result<T, CliError>,
) -> Result<T, CliError> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        match operation().await {
            Err(error) if error.is_passing() && Instant::now() + pause < deadline => {
                tokio::time::sleep_until(Instant::now() + pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use convoke_api::error::{ApiError, RequestCode};

    use super::*;

    fn refused(code: RequestCode) -> CliError {
        ApiError::new(code, "no").into()
    }

    #[test]
    fn a_restart_is_waited_out_and_other_errors_are_not() {
        let calls = Cell::new(0);
        let answer = crate::runtime::block_on(while_away(async || {
            calls.set(calls.get() + 1);
            match calls.get() {
                1 => Err(refused(RequestCode::ShuttingDown)),
                2 => Err(refused(RequestCode::DaemonUnavailable)),
                _ => Ok(calls.get()),
            }
        }));
        assert_eq!(answer.unwrap(), 3);
        let calls = Cell::new(0);
        let answer: Result<(), _> = crate::runtime::block_on(while_away(async || {
            calls.set(calls.get() + 1);
            Err(refused(RequestCode::UnknownJob))
        }));
        assert!(answer.is_err());
        assert_eq!(calls.get(), 1);
    }
}
