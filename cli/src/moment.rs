//! Points in time as docker takes them: a duration before now (`10m`), RFC 3339, a date with or without
//! a time in the zone of this machine, or seconds since 1970. Pure.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::duration;

/// Parses a point in time.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let invalid = || {
        format!(
            "\"{}\" is not a time; write 10m, 2026-01-31T12:00:00Z, 2026-01-31, or seconds since 1970",
            text.escape_debug()
        )
    };
    if text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return unix(text).ok_or_else(invalid);
    }
    if let Ok(ago) = duration::parse(text) {
        let ago = SignedDuration::try_from(ago).map_err(|_| invalid())?;
        return now.checked_sub(ago).map_err(|_| invalid());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let local = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(|date| date.to_datetime(jiff::civil::Time::MIN)))
        .map_err(|_| invalid())?;
    zone.to_timestamp(local).map_err(|_| invalid())
}

/// For a request.
pub fn to_proto(time: Timestamp) -> prost_types::Timestamp {
    // jiff has negative nanoseconds before 1970, protobuf has not.
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 {
        prost_types::Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
    } else {
        prost_types::Timestamp { seconds, nanos }
    }
}

fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanos).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_docker_takes() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, expected) in [
            ("10m", "2026-01-01T11:50:00Z"),
            ("1h30m", "2026-01-01T10:30:00Z"),
            ("0s", "2026-01-01T12:00:00Z"),
            ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.5Z"),
            ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z"),
            ("2026-01-01T02:00:00", "2026-01-01T00:00:00Z"),
            ("2026-01-02", "2026-01-01T22:00:00Z"),
            ("1767225600", "2026-01-01T00:00:00Z"),
            ("1767225600.000000001", "2026-01-01T00:00:00.000000001Z"),
        ] {
            assert_eq!(parse(text, now, &zone), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in
            ["", "yesterday", "2026-13-01", "1.2.3", "-5m", "99999999999999999999", "1.0000000001"]
        {
            assert!(parse(text, now, &zone).is_err(), "{text}");
        }
    }

    #[test]
    fn times_before_1970_are_well_formed() {
        let time = Timestamp::new(-1, -500_000_000).unwrap();
        let proto = to_proto(time);
        assert_eq!((proto.seconds, proto.nanos), (-2, 500_000_000));
    }
}
