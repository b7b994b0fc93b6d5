//! Patches on a terminal.

use clap::builder::styling::{AnsiColor, Style};

use super::{
    style::{DIM, STRONG, styled},
    text::clean,
};

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();

/// A patch with colours, safe for a terminal.
pub fn coloured(patch: &str) -> String {
    let mut in_hunk = false;
    let lines = patch.lines().map(|line| {
        if line.starts_with("diff --git ") {
            in_hunk = false;
        } else if line.starts_with("@@") {
            in_hunk = true;
        }
        let style = match line.as_bytes().first() {
            Some(b'@') if in_hunk => PLACE,
            Some(b'+') if in_hunk => ADDED,
            Some(b'-') if in_hunk => REMOVED,
            Some(b'\\') => DIM,
            _ if in_hunk => return clean(line).into_owned(),
            _ => STRONG,
        };
        styled(style, &clean(line))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_the_colour_of_what_they_are() {
        let patch =
            "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-\u{1b}[2Jold\n+new\n same\n";
        let shown = coloured(patch);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1], styled(STRONG, "--- a/x"));
        assert_eq!(lines[3], styled(PLACE, "@@ -1 +1 @@"));
        assert_eq!(lines[4], styled(REMOVED, "-\u{fffd}[2Jold"));
        assert_eq!(lines[5], styled(ADDED, "+new"));
        assert_eq!(lines[6], " same");
    }
}
