//! Points in time of hosts, as messages have them. Pure.

use crate::body::violation::Violations;
use crate::engine::LogTime;

/// A time as sent.
pub fn timestamp(time: LogTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(time.seconds).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.nanos).unwrap_or(0),
    }
}

/// A time as received.
pub fn log_time(time: &prost_types::Timestamp) -> Result<LogTime, &'static str> {
    match (u64::try_from(time.seconds), u32::try_from(time.nanos)) {
        (Ok(seconds @ ..=253_402_300_799), Ok(nanos @ ..=999_999_999)) => {
            Ok(LogTime { seconds, nanos })
        }
        _ => Err("must be a time from 1970 to 9999"),
    }
}

/// The fields `since` and `until` of a request, in their order.
pub fn since_and_until(
    violations: &mut Violations,
    since: Option<&prost_types::Timestamp>,
    until: Option<&prost_types::Timestamp>,
) -> (Option<LogTime>, Option<LogTime>) {
    let mut read = |field: &str, time: Option<&prost_types::Timestamp>| {
        time.and_then(|time| violations.check(field, log_time(time)))
    };
    let (since, until) = (read("since", since), read("until", until));
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        violations.add("until", "must not be before since");
    }
    (since, until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_broken_ones_are_refused() {
        let of = |seconds, nanos| log_time(&prost_types::Timestamp { seconds, nanos });
        assert_eq!(of(1, 5), Ok(LogTime { seconds: 1, nanos: 5 }));
        assert_eq!(timestamp(LogTime { seconds: 1, nanos: 5 }).nanos, 5);
        for (seconds, nanos) in [(-1, 0), (1, -1), (1, 1_000_000_000), (253_402_300_800, 0)] {
            assert!(of(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
    }
}
