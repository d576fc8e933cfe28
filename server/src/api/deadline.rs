//! The caller's deadline, read from the `grpc-timeout` header.
//!
//! tonic enforces it only until the response headers and then answers CANCELLED; a fan-out
//! is a stream that outlives its headers, so the time is split among the hosts here.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::MetadataMap;

/// Least time kept back for the answer itself: two local round trips with room to spare.
const LEAST_RESERVE: Duration = Duration::from_millis(50);
/// Most time kept back, however long the deadline is.
const MOST_RESERVE: Duration = Duration::from_secs(1);

/// When the work on hosts must be over so that the caller still gets every outcome: the
/// deadline less a tenth of it, at least 50 ms and at most 1 s. `None` without a deadline.
pub fn work_deadline(metadata: &MetadataMap, now: Instant) -> Option<Instant> {
    let timeout = parse(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    let reserve = (timeout / 10).clamp(LEAST_RESERVE, MOST_RESERVE);
    now.checked_add(timeout.saturating_sub(reserve))
}

/// Up to eight digits and a unit, as the gRPC protocol has it. `None` for anything else,
/// which counts as no deadline, as in other servers.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("4S", Some(Duration::from_secs(4))),
            ("500m", Some(Duration::from_millis(500))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("1n", Some(Duration::from_nanos(1))),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1s", None),
            ("1€", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_reserve_is_kept_for_the_answer() {
        let now = Instant::now();
        for (timeout, left_ms) in [("500m", 450), ("100m", 50), ("5S", 4500), ("60S", 59_000)] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", timeout.parse().unwrap());
            let left = work_deadline(&metadata, now).unwrap() - now;
            assert_eq!(left, Duration::from_millis(left_ms), "{timeout}");
        }
        assert_eq!(work_deadline(&MetadataMap::new(), now), None);
    }
}
