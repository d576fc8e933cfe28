//! Durations as docker writes them: `30s`, `1m30s`, `1.5h`, `500ms`; a bare number is seconds.
//! Pure.

use std::time::Duration;

/// Parses a duration. For use as a value parser of the command line.
pub fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("\"{text}\" is not a duration; write 500ms, 30s, 5m or 1h30m");
    let mut rest = text;
    if let Ok(seconds) = rest.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let mut total = 0f64;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..end] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(invalid()),
            };
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| invalid())
}

/// Like [`parse`], but refuses zero.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("must be greater than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// The deadline of a call as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The deadline.
    pub duration: Duration,
    /// Whether a unit was typed. A bare number may be a mistaken docker `stop --timeout`.
    pub has_unit: bool,
}

/// Like [`parse_positive`], for the deadline of a call.
pub fn parse_deadline(text: &str) -> Result<Deadline, String> {
    Ok(Deadline { duration: parse_positive(text)?, has_unit: text.parse::<u32>().is_err() })
}

/// For a request. The value fits: the parser accepts at most 2^32 hours.
pub fn to_proto(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// In milliseconds, for a table; negative ones are 0.
pub fn milliseconds(duration: &prost_types::Duration) -> f64 {
    (duration.seconds as f64 * 1e3 + f64::from(duration.nanos) / 1e6).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_gos_durations_and_bare_seconds() {
        for (text, milliseconds) in [
            ("30", 30_000),
            ("0", 0),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("500ms", 500),
            ("1h0m1s", 3_601_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "-1s", "1x", "1.2.3s", "1s2", "five"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_positive("0s").is_err());
    }
}
