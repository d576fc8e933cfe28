//! Instants of the model: they come from the caller; the model never reads a clock.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the Engine writes an instant that never was.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Nanoseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(u64);

impl Time {
    /// 2026-01-01T00:00:00Z, where simulations begin by default.
    pub const BEGINNING: Self = Self::from_unix_seconds(1_767_225_600);

    /// Whole seconds since 1970.
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds * 1_000_000_000)
    }

    /// Whole seconds since 1970, as lists of the Engine have them.
    pub fn unix_seconds(self) -> i64 {
        i64::try_from(self.0 / 1_000_000_000).unwrap_or(i64::MAX)
    }

    /// RFC 3339 with up to nine digits after the point and no zeros at its end, as Go writes it.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_nanosecond(i128::from(self.0))
            .map_or_else(|_| NEVER.to_owned(), |instant| instant.to_string())
    }

    /// RFC 3339 with nine digits after the point, as logs have it.
    pub fn rfc3339_nanos(self) -> String {
        let whole = Self(self.0 - self.0 % 1_000_000_000).rfc3339();
        format!("{}.{:09}Z", whole.trim_end_matches('Z'), self.0 % 1_000_000_000)
    }

    /// The same as a log of Wharf has it.
    pub fn as_log_time(self) -> wharf_server::engine::LogTime {
        let nanos = u32::try_from(self.0 % 1_000_000_000).unwrap_or_default();
        wharf_server::engine::LogTime { seconds: self.0 / 1_000_000_000, nanos }
    }

    /// The time from `earlier` to here; nothing where that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl From<wharf_server::engine::LogTime> for Time {
    fn from(time: wharf_server::engine::LogTime) -> Self {
        Self::from_unix_seconds(time.seconds) + Duration::from_nanos(time.nanos.into())
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// An instant as inspections have it.
pub(crate) fn rfc3339_or_never(instant: Option<Time>) -> String {
    instant.map_or_else(|| NEVER.to_owned(), Time::rfc3339)
}

/// A duration as `docker ps` says it, by the rules of Docker's `units.HumanDuration`.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match (seconds, minutes, hours) {
        (0, _, _) => "Less than a second".to_owned(),
        (1, _, _) => "1 second".to_owned(),
        (2..60, _, _) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, 2..48) => format!("{hours} hours"),
        (_, _, 48..336) => format!("{} days", hours / 24),
        (_, _, 336..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, 1440..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        assert_eq!(Time::BEGINNING.rfc3339(), "2026-01-01T00:00:00Z");
        let later = Time::BEGINNING + Duration::from_millis(1250);
        assert_eq!(later.rfc3339(), "2026-01-01T00:00:01.25Z");
        assert_eq!(later.since(Time::BEGINNING), Duration::from_millis(1250));
        assert_eq!(rfc3339_or_never(None), NEVER);
    }

    #[test]
    fn durations_are_said_as_docker_does() {
        for (seconds, expected) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (86_400 * 3, "3 days"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), expected);
        }
    }
}
