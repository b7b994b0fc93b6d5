//! Ages and durations in a form that fits a column.

use jiff::Timestamp;

/// The time since an RFC 3339 instant: "12s", "5m", "3h", "2d". A dash when
/// the instant cannot be read.
pub fn age(instant: &str, now: Timestamp) -> String {
    match instant.parse::<Timestamp>() {
        Ok(then) => coarse(now.as_second().saturating_sub(then.as_second())),
        Err(_) => "-".to_owned(),
    }
}

/// Seconds in their largest unit; negative ones count as none.
fn coarse(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..120 => format!("{s}s"),
        s @ 120..7_200 => format!("{}m", s / 60),
        s @ 7_200..172_800 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}

/// Milliseconds between two RFC 3339 instants; none if one cannot be read.
pub fn between(from: &str, to: &str) -> Option<u64> {
    let from = from.parse::<Timestamp>().ok()?;
    let to = to.parse::<Timestamp>().ok()?;
    u64::try_from(to.as_millisecond() - from.as_millisecond()).ok()
}

/// Milliseconds with two units: "850ms", "4.2s", "3m 05s", "2h 10m".
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match milliseconds {
        0..1_000 => format!("{milliseconds}ms"),
        1_000..60_000 => format!("{seconds}.{}s", milliseconds % 1_000 / 100),
        60_000..3_600_000 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// A limit in milliseconds, where 0 means none.
pub fn limit(milliseconds: u64) -> String {
    match milliseconds {
        0 => "none".to_owned(),
        other => duration(other),
    }
}

/// Bytes in binary units, with one decimal.
pub fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, unit) in UNITS {
        if count >= size {
            let tenths = u128::from(count) * 10 / u128::from(size);
            return match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole} {unit}"),
                (whole, tenth) => format!("{whole}.{tenth} {unit}"),
            };
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        assert_eq!(age("2026-01-01T23:59:18Z", now), "42s");
        assert_eq!(age("2026-01-01T23:30:00Z", now), "30m");
        assert_eq!(age("2026-01-01T00:00:00Z", now), "24h");
        assert_eq!(age("2025-12-25T00:00:00Z", now), "8d");
        assert_eq!(age("2026-01-03T00:00:00Z", now), "0s");
        assert_eq!(age("never", now), "-");
    }

    #[test]
    fn durations() {
        assert_eq!(duration(850), "850ms");
        assert_eq!(duration(4_250), "4.2s");
        assert_eq!(duration(185_000), "3m 05s");
        assert_eq!(duration(7_800_000), "2h 10m");
        assert_eq!(limit(0), "none");
        assert_eq!(
            between("2026-01-01T00:00:00Z", "2026-01-01T00:00:01.5Z"),
            Some(1500)
        );
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1 << 28), "256 MiB");
        assert_eq!(bytes(1536), "1.5 KiB");
    }
}
