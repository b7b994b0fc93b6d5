//! Text of others, made fit for a terminal.

use std::borrow::Cow;

/// The text without control characters other than line feeds and tabs: what an
/// agent prints must not steer the user's terminal.
pub fn clean(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(harmful) {
        // A carriage return before a line feed is only a way to end a line.
        Cow::Owned(text.replace("\r\n", "\n").replace(harmful, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text as one line of at most `limit` characters.
pub fn one_line(text: &str, limit: usize) -> String {
    let clean = clean(text);
    let mut words = clean.split_whitespace();
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        line.push(' ');
        line.push_str(word);
    }
    if line.chars().count() <= limit {
        return line;
    }
    let kept: String = line.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_safe() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc\td"), "a\u{fffd}[2Jb\nc\td");
        assert!(matches!(clean("plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_are_cut_between_characters() {
        assert_eq!(one_line("a\n  b\tc", 10), "a b c");
        assert_eq!(one_line("größer als erlaubt", 8), "größer…");
        assert_eq!(one_line("", 8), "");
    }
}
