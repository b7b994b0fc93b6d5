//! The reason that Codex gives on stderr when it ends before a turn.
//!
//! It stands in one to a few lines among warnings, log lines and the frames
//! of a backtrace.

use serde::{Deserialize, Serialize};

/// At most so many bytes are kept.
const KEPT: usize = 1000;

/// What is kept of stderr.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stderr {
    /// The first error and its causes.
    #[serde(default)]
    error: Option<String>,
    /// Whether following lines belong to `error`.
    #[serde(default)]
    open: bool,
    /// The last line that says anything, for want of an error.
    #[serde(default)]
    last: Option<String>,
}

impl Stderr {
    /// Takes in a line that is not blank.
    pub(super) fn note(&mut self, line: &str) {
        let line = line.trim();
        if line == "Caused by:" {
            return;
        }
        if is_noise(line) {
            self.open = false;
            return;
        }
        let starts_error = line.starts_with("Error") || line.starts_with("error:");
        match &mut self.error {
            None if starts_error => {
                let text = line
                    .strip_prefix("Error: ")
                    .or_else(|| line.strip_prefix("error: "));
                self.error = Some(cut(text.unwrap_or(line)));
                self.open = true;
            }
            Some(error) if self.open && error.len() < KEPT => {
                let more = cut(line);
                error.push_str(": ");
                error.push_str(&more);
            }
            _ => self.last = Some(cut(line)),
        }
    }

    /// The reason, if one was given.
    pub(super) fn reason(&self) -> Option<&str> {
        self.error.as_deref().or(self.last.as_deref())
    }
}

/// Warnings, log lines, usage and backtraces say nothing about the end.
fn is_noise(line: &str) -> bool {
    let starts = [
        "WARNING",
        "warning:",
        "Stack backtrace",
        "Usage:",
        "tip:",
        "For more information",
    ];
    let frame = line
        .split_once(':')
        .is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    let log = line
        .get(..4)
        .is_some_and(|year| year.parse::<u32>().is_ok())
        && [" ERROR ", " WARN ", " INFO "]
            .iter()
            .any(|level| line.contains(level));
    frame || log || starts.iter().any(|start| line.starts_with(start))
}

fn cut(line: &str) -> String {
    line[..line.floor_char_boundary(KEPT)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Option<String> {
        let mut stderr = Stderr::default();
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .for_each(|line| stderr.note(line));
        stderr.reason().map(str::to_owned)
    }

    #[test]
    fn the_error_is_found_among_the_rest() {
        let table = [
            (
                "WARNING: proceeding, even though …\nError: failed to load configuration\n\nCaused by:\n    invalid transport\n    in `mcp_servers.x`\n    \n\nStack backtrace:\n   0: <unknown>\n   1: <unknown>\n",
                "failed to load configuration: invalid transport: in `mcp_servers.x`",
            ),
            (
                "error: unexpected argument '--full-auto' found\n\n  tip: to pass\n\nUsage: codex exec\n       codex exec [OPTIONS]\n",
                "unexpected argument '--full-auto' found",
            ),
            (
                "Not inside a trusted directory and --skip-git-repo-check was not specified.\n",
                "Not inside a trusted directory and --skip-git-repo-check was not specified.",
            ),
            (
                "2026-01-01T00:00:00.000000Z ERROR codex_core::session: Failed\nError: thread/start failed\n",
                "thread/start failed",
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(reason(text).as_deref(), Some(wanted));
        }
        assert_eq!(reason("WARNING: nothing else\n"), None);
    }
}
