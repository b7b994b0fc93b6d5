//! How long a rate limit lasts, as error messages say it: `Please try again in
//! 11.054s.`, `in 1m30s`, `in 2 days 3 hours`.

/// Words before the duration.
const MARK: &str = "try again in ";

/// Units with their milliseconds. The longest spelling of a beginning first.
const UNITS: [(&str, f64); 14] = [
    ("milliseconds", 1.0),
    ("millisecond", 1.0),
    ("ms", 1.0),
    ("minutes", 60_000.0),
    ("minute", 60_000.0),
    ("min", 60_000.0),
    ("m", 60_000.0),
    ("seconds", 1_000.0),
    ("second", 1_000.0),
    ("s", 1_000.0),
    ("hours", 3_600_000.0),
    ("hour", 3_600_000.0),
    ("h", 3_600_000.0),
    ("day", 86_400_000.0),
];

/// Milliseconds after which it may be tried again, if the message says so.
#[must_use]
pub fn in_message(message: &str) -> Option<u64> {
    let message = message.to_lowercase();
    let at = message.find(MARK)? + MARK.len();
    let mut rest = &message[at..];
    let mut total = 0.0;
    let mut found = false;
    while let Some((ms, after)) = part(rest) {
        total += ms;
        found = true;
        rest = after;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sum of durations; the cast saturates"
    )]
    found.then_some(total.ceil() as u64)
}

/// A number with its unit at the beginning of the text, and what follows.
fn part(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start_matches([' ', ',']);
    let text = text.strip_prefix("and ").unwrap_or(text);
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let rest = text[digits..].trim_start_matches(' ');
    let (unit, ms) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
    let rest = &rest[unit.len()..];
    let rest = rest.strip_prefix('s').unwrap_or(rest);
    // `5 meters` is no time.
    let ends = !rest.starts_with(|c: char| c.is_ascii_alphabetic());
    ends.then_some((number * ms, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        let table = [
            (
                "Rate limit reached for x. Please try again in 11.054s.",
                Some(11_054),
            ),
            ("Please try again in 250ms. Visit …", Some(250)),
            ("try again in 1m30.5s", Some(90_500)),
            ("Try again in 2 days 3 hours", Some(183_600_000)),
            (
                "try again in 1 hour, 5 minutes and 1 second.",
                Some(3_901_000),
            ),
            ("Try again later.", None),
            ("try again in a moment", None),
            ("try again in 5 meters", None),
            (
                "exceeded retry limit, last status: 429 Too Many Requests",
                None,
            ),
        ];
        for (message, ms) in table {
            assert_eq!(in_message(message), ms, "{message}");
        }
    }
}
