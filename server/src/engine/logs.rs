//! The log of a container as the Engine stores it: what to read, and the entries that were read.
//! Pure; [`decoder`] reads an Engine's answer.

pub(super) mod decoder;

use std::fmt;
use std::time::Duration;

use tokio::sync::mpsc;

use super::frames::OutputSource;

/// Nanoseconds of a second.
const SECOND: u32 = 1_000_000_000;

/// A point in time as logs and events have it, since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogTime {
    /// Whole seconds.
    pub seconds: u64,
    /// Nanoseconds of the second.
    pub nanos: u32,
}

/// What to read of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Wait for new entries until the container stops.
    pub follow: bool,
    /// Only entries from this time on. Engines differ in whether that time itself is included.
    pub since: Option<LogTime>,
    /// Only entries before this time.
    pub until: Option<LogTime>,
    /// Only so many lines at the end.
    pub tail: Option<u32>,
    /// Entries of standard output.
    pub stdout: bool,
    /// Entries of standard error.
    pub stderr: bool,
}

/// Some consecutive entries of a log. An entry is a line with its end or, for a line longer than
/// 16 KiB, a piece of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogBatch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    source: OutputSource,
    time: LogTime,
    /// Where it ends in the bytes of the batch.
    end: usize,
}

/// Where batches go. Waiting for room in it is what slows down the Engine.
pub type LogSink = mpsc::Sender<LogBatch>;

impl LogBatch {
    /// Adds an entry.
    pub fn push(&mut self, source: OutputSource, time: LogTime, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.entries.push(Entry { source, time, end: self.bytes.len() });
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all entries.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The entries in their order.
    pub fn entries(&self) -> impl Iterator<Item = (OutputSource, LogTime, &[u8])> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let bytes = &self.bytes[start..entry.end];
            start = entry.end;
            (entry.source, entry.time, bytes)
        })
    }
}

impl LogTime {
    /// From nanoseconds since 1970.
    pub fn of_nanos(nanos: u64) -> Self {
        let second = u64::from(SECOND);
        Self { seconds: nanos / second, nanos: u32::try_from(nanos % second).unwrap_or_default() }
    }

    /// Reads RFC 3339, as Docker (nine digits, `Z`) and Podman (any digits, any offset) write it.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let two = |at: usize| -> Option<u64> {
            let (tens, ones) = (text.get(at)?, text.get(at + 1)?);
            (tens.is_ascii_digit() && ones.is_ascii_digit())
                .then(|| u64::from(tens - b'0') * 10 + u64::from(ones - b'0'))
        };
        let is = |at: usize, byte: u8| (text.get(at) == Some(&byte)).then_some(());
        let year = two(0)? * 100 + two(2)?;
        is(4, b'-')?;
        is(7, b'-')?;
        is(10, b'T')?;
        is(13, b':')?;
        is(16, b':')?;
        let (month, day) = (two(5)?, two(8)?);
        let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
            return None;
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut at = 19;
        let mut nanos = 0;
        if text.get(at) == Some(&b'.') {
            at += 1;
            let mut unit = SECOND / 10;
            while let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
                nanos += u32::from(digit - b'0') * unit;
                unit /= 10;
                at += 1;
            }
        }
        let offset = match (text.get(at)?, text.len() - at) {
            (b'Z', 1) => 0,
            (sign @ (b'+' | b'-'), 6) if text[at + 3] == b':' => {
                let offset = i64::try_from(two(at + 1)? * 3600 + two(at + 4)? * 60).ok()?;
                if *sign == b'+' { offset } else { -offset }
            }
            _ => return None,
        };
        let seconds =
            days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(Self { seconds: seconds.checked_add_signed(-offset)?, nanos })
    }

    /// Earlier by a duration; 1970 at the earliest.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        Self::of(self.since_1970().saturating_sub(by))
    }

    /// Later by a duration.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self::of(self.since_1970().saturating_add(by))
    }

    /// The time from `earlier` to here; nothing if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.since_1970().saturating_sub(earlier.since_1970())
    }

    fn of(since_1970: Duration) -> Self {
        Self { seconds: since_1970.as_secs(), nanos: since_1970.subsec_nanos() }
    }

    fn since_1970(self) -> Duration {
        Duration::new(self.seconds, self.nanos)
    }
}

/// Days of the Gregorian calendar from 1970 to a date.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

impl fmt::Display for LogTime {
    /// As the Engine expects it in a request: seconds and nine digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:09}", self.seconds, self.nanos)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<(u64, u32)> {
        LogTime::parse(text.as_bytes()).map(|time| (time.seconds, time.nanos))
    }

    #[test]
    fn times_of_docker_and_podman_are_read() {
        assert_eq!(read("2026-01-01T00:00:00.000000001Z"), Some((1_767_225_600, 1)));
        assert_eq!(read("2026-01-01T02:30:00.5+02:30"), Some((1_767_225_600, 500_000_000)));
        assert_eq!(read("2025-12-31T23:00:00-01:00"), Some((1_767_225_600, 0)));
        assert_eq!(read("1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(read("2024-02-29T00:00:00Z"), Some((1_709_164_800, 0)));
        for text in
            ["", "2026", "2026-01-01 00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_engine_gets_seconds_and_nanoseconds() {
        let time = LogTime { seconds: 7, nanos: 5 };
        assert_eq!(time.to_string(), "7.000000005");
        assert_eq!(time.earlier(Duration::from_nanos(6)).to_string(), "6.999999999");
        assert_eq!(time.earlier(Duration::from_secs(9)), LogTime::default());
    }

    proptest! {
        #[test]
        fn every_time_is_read_as_others_read_it(seconds in 0u64..200_000_000_000, nanos in 0..SECOND) {
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
            let text = humantime::format_rfc3339_nanos(time).to_string();
            prop_assert_eq!(read(&text), Some((seconds, nanos)), "{}", text);
        }
    }
}
