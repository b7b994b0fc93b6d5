//! Durations and sizes as people write them.

/// Milliseconds of a duration such as `90s`, `4h` or `1h 30m`; `0` is allowed.
/// `None` if the text is no duration or a negative one.
#[must_use]
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    if text.trim() == "0" {
        return Some(0);
    }
    let duration: jiff::SignedDuration = text.trim().parse().ok()?;
    u64::try_from(duration.as_millis()).ok()
}

/// Bytes of a size such as `512`, `64KiB`, `10MiB` or `1GiB`.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration_ms("1h 30m"), Some(5_400_000));
        assert_eq!(parse_duration_ms("250ms"), Some(250));
        assert_eq!(parse_duration_ms("0"), Some(0));
        assert_eq!(parse_duration_ms("-5s"), None);
        assert_eq!(parse_duration_ms("soon"), None);
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("64KiB"), Some(65_536));
        assert_eq!(parse_bytes("10 MB"), Some(10_000_000));
        assert_eq!(parse_bytes("ten"), None);
        assert_eq!(parse_bytes("99999999999999GiB"), None);
    }
}
