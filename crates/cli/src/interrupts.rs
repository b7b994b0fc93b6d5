//! Ctrl-C, counted: the first asks politely, the second does not, the third
//! leaves.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// How strongly the user wants it to stop, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Insistence {
    /// Once: cancel the job.
    Cancel,
    /// Twice: kill it.
    Force,
    /// Three times: leave without waiting for its end.
    Leave,
}

/// Counts Ctrl-C from its creation on, instead of ending the program.
pub struct Interrupts {
    signal: Signal,
    seen: u32,
}

impl Interrupts {
    /// Starts listening.
    ///
    /// # Errors
    /// The system lets us listen no more.
    pub fn listen() -> Result<Self, CliError> {
        let signal =
            signal(SignalKind::interrupt()).map_err(CliError::system("listen for Ctrl-C"))?;
        Ok(Self { signal, seen: 0 })
    }

    /// The next one. Cancel-safe: one that comes while nobody waits is kept.
    pub async fn next(&mut self) -> Insistence {
        if self.signal.recv().await.is_none() {
            // The runtime is going down: there will be no more.
            std::future::pending::<()>().await;
        }
        self.seen += 1;
        match self.seen {
            1 => Insistence::Cancel,
            2 => Insistence::Force,
            _ => Insistence::Leave,
        }
    }

    /// Whether there has been any.
    pub fn any(&self) -> bool {
        self.seen > 0
    }
}
