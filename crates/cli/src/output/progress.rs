//! Saying on stderr what is waited for, while it is waited for.

use std::{
    future::Future,
    io::{IsTerminal, Write},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::output::{
    style::{DIM, styled},
    time,
};

/// Nothing is said before.
const SILENCE: Duration = Duration::from_secs(2);
/// Between two updates of a line on a terminal.
const UPDATE: Duration = Duration::from_secs(1);
/// Between two lines where stderr is no terminal.
const LINE: Duration = Duration::from_secs(60);

/// Awaits `work` and says meanwhile what for: on a terminal in one line that is
/// updated and cleared at the end, else in a line a minute. `work` goes on in
/// between; nothing of it is lost.
pub async fn while_waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    let terminal = std::io::stderr().is_terminal();
    let began = Instant::now();
    let (first, every) = if terminal {
        (SILENCE, UPDATE)
    } else {
        (LINE, LINE)
    };
    let mut ticks = interval_at(began + first, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut shown = false;
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            outcome = &mut work => {
                if shown && terminal {
                    write("\r\u{1b}[K");
                }
                return outcome;
            }
            _ = ticks.tick() => {
                shown = true;
                say(terminal, what, began.elapsed());
            }
        }
    }
}

fn say(terminal: bool, what: &str, waited: Duration) {
    let waited = time::duration(waited.as_secs() * 1_000);
    let text = styled(DIM, &format!("{what} ({waited})"));
    if terminal {
        write(&format!("\r\u{1b}[K{text}"));
    } else {
        write(&format!("{text}\n"));
    }
}

/// A stderr that cannot be written stops no wait.
fn write(text: &str) {
    let mut err = anstream::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
