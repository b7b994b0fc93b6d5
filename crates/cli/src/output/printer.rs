//! Where output goes, and in which form.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::{cli::Format, error::CliError, output::text};

/// Writes a command's output.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    format: Format,
}

impl Printer {
    /// A printer of a form.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// The form.
    pub fn format(self) -> Format {
        self.format
    }

    /// Whether programs read the output.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Columns of the terminal that shows stdout; none when it is no terminal.
    pub fn width(self) -> Option<u16> {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
        (size.ws_col > 0).then_some(size.ws_col)
    }

    /// Writes a value as JSON over several lines.
    pub fn json(self, value: &impl Serialize) -> Result<(), CliError> {
        let text =
            serde_json::to_string_pretty(value).map_err(|error| CliError::Output(error.into()))?;
        self.raw_line(&text)
    }

    /// Writes a value as one line of JSON.
    pub fn json_line(self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value).map_err(|error| CliError::Output(error.into()))?;
        self.raw_line(&text)
    }

    /// Writes a text with styles, and a line feed, to stdout.
    pub fn line(self, text: &str) -> Result<(), CliError> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
            .map_err(CliError::Output)
    }

    /// Writes a text of others to stdout: as it is, unless a terminal shows it.
    pub fn foreign(self, text: &str) -> Result<(), CliError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        if std::io::stdout().is_terminal() {
            self.raw_line(&text::clean(text))
        } else {
            self.raw_line(text)
        }
    }

    /// Writes a patch to stdout: as it is, or in colour where a terminal shows it.
    pub fn patch(self, plain: &str, coloured: &str) -> Result<(), CliError> {
        if std::io::stdout().is_terminal() {
            self.line(coloured)
        } else {
            self.raw_line(plain.strip_suffix('\n').unwrap_or(plain))
        }
    }

    /// Says something on stderr, with styles. A stderr that cannot be written
    /// stops nothing.
    pub fn note(self, text: &str) {
        let mut err = anstream::stderr().lock();
        let _ = writeln!(err, "{text}");
    }

    fn raw_line(self, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
            .map_err(CliError::Output)
    }
}
