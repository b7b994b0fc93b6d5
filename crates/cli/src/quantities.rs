//! Times and sizes as people write them on the command line.

use std::time::Duration;

use jiff::fmt::friendly::SpanParser;

static SPANS: SpanParser = SpanParser::new();

/// Milliseconds of "90s", "2h 30m" or "1m30s"; "0" and "none" stand for no
/// limit.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    let duration = duration(text)?;
    u64::try_from(duration.as_millis()).map_err(|_| format!("`{text}` is too long"))
}

/// The same as a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" || text == "none" {
        return Ok(Duration::ZERO);
    }
    SPANS
        .parse_unsigned_duration(text)
        .map_err(|_| format!("`{text}` is no time; write it like 90s, 30m or 2h 30m"))
}

/// Bytes of "512KiB", "10MiB", "1GB" or a plain number; "none" stands for no
/// limit.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write it like 512KiB, 10MiB or 1GiB");
    let trimmed = text.trim();
    if trimmed == "none" {
        return Ok(0);
    }
    let end = trimmed
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

/// The instant before which a list stops: an age such as "2h", or an RFC 3339
/// instant. Answers with an RFC 3339 instant.
pub fn since(text: &str) -> Result<String, String> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(instant.to_string());
    }
    let age = duration(text).map_err(|_| {
        format!("`{text}` is neither an age (90s, 2h) nor an instant (2026-01-31T12:00:00Z)")
    })?;
    jiff::Timestamp::now()
        .checked_sub(age)
        .map(|instant| instant.to_string())
        .map_err(|_| format!("`{text}` is too long ago"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(milliseconds("90s"), Ok(90_000));
        assert_eq!(milliseconds("2h 30m"), Ok(9_000_000));
        assert_eq!(milliseconds("1m30s"), Ok(90_000));
        assert_eq!(milliseconds("250ms"), Ok(250));
        assert_eq!(milliseconds("0"), Ok(0));
        assert_eq!(milliseconds("none"), Ok(0));
        assert!(milliseconds("30").is_err());
        assert!(milliseconds("-3s").is_err());
        assert!(milliseconds("soon").is_err());
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("10MiB"), Ok(10 * 1024 * 1024));
        assert_eq!(bytes("1 GB"), Ok(1_000_000_000));
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("none"), Ok(0));
        assert!(bytes("ten").is_err());
        assert!(bytes("1XiB").is_err());
        assert!(bytes("99999999999GiB").is_err());
    }

    #[test]
    fn instants() {
        assert_eq!(
            since("2026-01-31T12:00:00Z").as_deref(),
            Ok("2026-01-31T12:00:00Z")
        );
        assert!(since("2h").is_ok());
        assert!(since("yesterday").is_err());
    }
}
