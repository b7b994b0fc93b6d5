//! The few styles there are. Streams that are no terminal, and `NO_COLOR`,
//! strip them.

use clap::builder::styling::{AnsiColor, Style};
use convoke_api::{doctor::Verdict, values::State};

/// Good.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Bad.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Worth a look.
pub const NOTICE: Style = AnsiColor::Yellow.on_default();
/// Beside the point.
pub const DIM: Style = Style::new().dimmed();
/// Names of things.
pub const STRONG: Style = Style::new().bold();

/// A text in a style.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The style of a state.
pub fn of_state(state: State) -> Style {
    match state {
        State::Completed => GOOD,
        State::Failed => BAD,
        State::Cancelled | State::Stopping => NOTICE,
        State::Queued => DIM,
        State::Starting | State::Running | State::Finishing => STRONG,
    }
}

/// The style of a verdict.
pub fn of_verdict(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Ok => GOOD,
        Verdict::Warning => NOTICE,
        Verdict::Error => BAD,
    }
}
