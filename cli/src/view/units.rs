//! Sizes and ages in docker's format. Pure.

use jiff::Timestamp;

/// Bytes with three digits and decimal units, as docker lists images: `1.23MB`, `12B`.
pub fn size(bytes: f64) -> String {
    let mut value = bytes.max(0.0);
    let mut units = ["B", "kB", "MB", "GB", "TB", "PB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let digits = if value >= 99.95 || unit == "B" {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    format!("{}{unit}", without_zeros(&text))
}

/// Bytes with four digits and binary units, as docker shows memory: `1.234GiB`, `12B`.
pub fn memory(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let digits = match value {
        _ if value >= 999.95 => 0,
        _ if value >= 99.995 => 1,
        _ if value >= 9.9995 => 2,
        _ => 3,
    };
    format!("{}{unit}", without_zeros(&format!("{value:.digits$}")))
}

/// A number without zeros at the end of its fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Seconds per day.
const DAY: i64 = 86_400;

/// `5 minutes ago`; empty if the time is unknown.
pub fn ago(time: Option<&prost_types::Timestamp>, now: Timestamp) -> String {
    let Some(time) = time else { return String::new() };
    let seconds = now.as_second().saturating_sub(time.seconds);
    if seconds < -DAY {
        // More than a normal clock difference, so don't hide it as "now".
        return "in the future".to_owned();
    }
    format!("{} ago", span(seconds.max(0)))
}

/// The time itself, RFC 3339, in whole seconds and UTC; empty if unknown.
pub fn rfc3339(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|time| Timestamp::from_second(time.seconds).ok())
        .map(|time| time.to_string())
        .unwrap_or_default()
}

fn span(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 46 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{} days", hours / 24),
        () if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0.0, "0B"),
            (999.0, "999B"),
            (1000.0, "1kB"),
            (1234.0, "1.23kB"),
            (12_345.0, "12.3kB"),
            (123_456.0, "123kB"),
            (999_600.0, "1MB"),
            (4.86e6, "4.86MB"),
            (1.2e10, "12GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn memory_has_four_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (12_947_456, "12.35MiB"),
            (8_200_000_000, "7.637GiB"),
            (134_217_728, "128MiB"),
            (1_073_741_823, "1024MiB"),
            (u64::MAX, "16384PiB"),
        ] {
            assert_eq!(memory(bytes), text);
        }
    }

    #[test]
    fn ages_are_told_as_docker_tells_them() {
        let now = Timestamp::from_second(10_000_000).unwrap();
        for (seconds, text) in [
            (0, "Less than a second ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "About a minute ago"),
            (300, "5 minutes ago"),
            (3600, "About an hour ago"),
            (7200, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
            (86_400 * 21, "3 weeks ago"),
            (86_400 * 90, "3 months ago"),
        ] {
            let time = prost_types::Timestamp { seconds: 10_000_000 - seconds, nanos: 0 };
            assert_eq!(ago(Some(&time), now), text);
        }
        assert_eq!(ago(None, now), "");
        let time = |seconds| prost_types::Timestamp { seconds, nanos: 0 };
        assert_eq!(ago(Some(&time(10_000_060)), now), "Less than a second ago");
        assert_eq!(ago(Some(&time(11_000_000)), now), "in the future");
    }
}
