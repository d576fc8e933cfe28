//! The status of a container ("Up 7 seconds (healthy)") some time after the Engine said it. Pure.
//!
//! An Engine gives a duration in words, not the time from which it counts. What is kept is the latest
//! such time that the words allow: the words are never ahead of the Engine's, and behind them by less
//! than one of their units. Each further answer of the Engine makes it more exact.

use std::borrow::Cow;

/// Milliseconds since a time that is the same for all.
pub type Millis = i64;

/// How far the clocks of two answers may seem to differ: answers take different times on their way.
const SLACK: Millis = 2_000;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const HALF: Millis = HOUR / 2;

/// A status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusText {
    /// What is before the duration; everything, if there is none.
    before: Box<str>,
    after: Box<str>,
    count: Option<Count>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    /// The latest time from which the duration may count.
    since: Millis,
    /// The earliest one.
    earliest: Millis,
}

impl StatusText {
    /// Reads a status that came at `now`.
    pub fn read(text: &str, now: Millis) -> Self {
        let whole = || Self { before: text.into(), after: "".into(), count: None };
        let Some((before, rest)) = split_before(text) else { return whole() };
        let end = rest.find(" (").or_else(|| rest.find(" ago")).unwrap_or(rest.len());
        let (words, after) = rest.split_at(end);
        match range(words) {
            Some((least, most)) => {
                let count = Count { since: now - least, earliest: now - most - SLACK };
                Self { before: before.into(), after: after.into(), count: Some(count) }
            }
            None => whole(),
        }
    }

    /// The text at `now`.
    pub fn text(&self, now: Millis) -> Cow<'_, str> {
        match self.count {
            None => Cow::Borrowed(&self.before),
            Some(count) => {
                Cow::Owned(format!("{}{}{}", self.before, words(now - count.since), self.after))
            }
        }
    }

    /// Whether it says the same as an earlier one but for the time that has passed: not if the duration
    /// counts from another time.
    pub fn goes_on_from(&self, earlier: &Self) -> bool {
        let is_same_time = match (self.count, earlier.count) {
            (None, None) => true,
            (Some(new), Some(old)) => new.earliest <= old.since && old.earliest <= new.since,
            _ => false,
        };
        is_same_time && self.before == earlier.before && self.after == earlier.after
    }

    /// Takes over what an earlier status, from which this one goes on, knew better.
    pub fn refine(&mut self, earlier: &Self) {
        if let (Some(new), Some(old)) = (&mut self.count, earlier.count) {
            new.since = new.since.min(old.since);
            new.earliest = new.earliest.max(old.earliest).min(new.since);
        }
    }
}

/// Cuts before the duration: behind "Up ", or "Exited (0) ".
fn split_before(text: &str) -> Option<(&str, &str)> {
    if text.starts_with("Up ") {
        return Some(text.split_at(3));
    }
    let is_counted = text.starts_with("Exited (") || text.starts_with("Restarting (");
    let end = text.find(") ").filter(|_| is_counted)? + 2;
    Some(text.split_at(end))
}

/// The words of Docker for a duration.
fn words(duration: Millis) -> Cow<'static, str> {
    let (seconds, minutes) = (duration / SECOND, duration / MINUTE);
    let hours = (duration + HALF) / HOUR;
    Cow::Owned(match () {
        () if seconds < 1 => return Cow::Borrowed("Less than a second"),
        () if seconds == 1 => return Cow::Borrowed("1 second"),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => return Cow::Borrowed("About a minute"),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => return Cow::Borrowed("About an hour"),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{} days", hours / 24),
        () if hours < 24 * 60 => format!("{} weeks", hours / (24 * 7)),
        () if hours < 24 * 730 => format!("{} months", hours / (24 * 30)),
        () => format!("{} years", duration / HOUR / (24 * 365)),
    })
}

/// The shortest and the longest duration that has these words.
fn range(words: &str) -> Option<(Millis, Millis)> {
    match words {
        "Less than a second" => return Some((0, SECOND)),
        "1 second" => return Some((SECOND, 2 * SECOND)),
        "About a minute" => return Some((MINUTE, 2 * MINUTE)),
        "About an hour" => return Some((HOUR, HOUR + HALF)),
        _ => {}
    }
    let (number, unit) = words.split_once(' ')?;
    let number: Millis = number.parse().ok().filter(|number| (0..1_000_000).contains(number))?;
    // From 1.5 hours on, hours are rounded.
    let rounded = |hours: Millis, least: Millis| {
        ((hours * number).max(least) * HOUR - HALF, hours * (number + 1) * HOUR - HALF)
    };
    Some(match unit {
        "seconds" => (number * SECOND, (number + 1) * SECOND),
        "minutes" => (number * MINUTE, (number + 1) * MINUTE),
        "hours" => rounded(1, 2),
        "days" => rounded(24, 48),
        "weeks" => rounded(24 * 7, 24 * 14),
        "months" => rounded(24 * 30, 24 * 60),
        "years" => {
            let year = 24 * 365 * HOUR;
            ((number * year).max(2 * year - HALF), (number + 1) * year)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(text: &str, passed: Millis) -> String {
        StatusText::read(text, 7_000_000).text(7_000_000 + passed).into_owned()
    }

    #[test]
    fn only_the_duration_goes_on() {
        for (text, passed, expected) in [
            ("Up 7 seconds", 0, "Up 7 seconds"),
            ("Up 7 seconds (healthy)", 4_000, "Up 11 seconds (healthy)"),
            ("Up Less than a second (health: starting)", 1_000, "Up 1 second (health: starting)"),
            ("Up 59 seconds (Paused)", 1_000, "Up About a minute (Paused)"),
            ("Up About a minute", MINUTE, "Up 2 minutes"),
            ("Exited (137) 59 minutes ago", MINUTE, "Exited (137) About an hour ago"),
            ("Restarting (1) 3 seconds ago", 2_000, "Restarting (1) 5 seconds ago"),
            ("Up 47 hours", HOUR, "Up 2 days"),
            ("Exited (0) 6 weeks ago", HOUR, "Exited (0) 6 weeks ago"),
            ("Created", HOUR, "Created"),
            ("Removal In Progress", HOUR, "Removal In Progress"),
            ("Dead", HOUR, "Dead"),
            ("", HOUR, ""),
            ("Up some time", HOUR, "Up some time"),
            ("Up 99999999999999999999 years", HOUR, "Up 99999999999999999999 years"),
        ] {
            assert_eq!(after(text, passed), expected, "{text}");
        }
    }

    #[test]
    fn another_beginning_is_a_change_and_the_course_of_time_is_none() {
        let at = StatusText::read;
        let first = at("Up 5 minutes", 0);
        assert!(at("Up 6 minutes", MINUTE).goes_on_from(&first));
        assert!(at("Up 5 minutes", MINUTE - 1).goes_on_from(&first));
        assert!(!at("Up 2 seconds", MINUTE).goes_on_from(&first));
        assert!(!at("Up 6 minutes (healthy)", MINUTE).goes_on_from(&first));
        assert!(!at("Exited (0) 1 second ago", MINUTE).goes_on_from(&first));
        assert!(at("Created", MINUTE).goes_on_from(&at("Created", 0)));
    }

    #[test]
    fn a_later_answer_makes_it_exact() {
        // It began at -5:59.
        let first = StatusText::read("Up 5 minutes", 0);
        let mut second = StatusText::read("Up 6 minutes", 2_000);
        assert!(second.goes_on_from(&first));
        second.refine(&first);
        let mut third = StatusText::read("Up 6 minutes", 30_000);
        third.refine(&second);
        assert_eq!(third.text(61_000 - 2_000), "Up 6 minutes");
        assert_eq!(third.text(62_000), "Up 7 minutes");
    }

    proptest! {
        #[test]
        fn words_and_their_range_agree(duration in 0..(1_000 * 24 * 365 * HOUR)) {
            let text = words(duration);
            let (least, most) = range(&text).unwrap();
            prop_assert!(least <= duration && duration < most, "{text}: {least} {duration} {most}");
            prop_assert_eq!(&words(least), &text);
            prop_assert_eq!(&words(most - 1), &text);
            prop_assert_ne!(&words(most), &text);
        }

        #[test]
        fn never_ahead_and_less_than_a_unit_behind(
            age in 0..(60 * HOUR), passed in 0..(3 * HOUR), again in 0..(3 * HOUR),
        ) {
            let real = |now: Millis| words(age + now);
            let mut status = StatusText::read(&format!("Up {}", real(0)), 0);
            let mut later = StatusText::read(&format!("Up {}", real(passed)), passed);
            prop_assert!(later.goes_on_from(&status));
            later.refine(&status);
            status = later;
            let now = passed + again;
            let text = status.text(now).into_owned();
            let shown = range(text.strip_prefix("Up ").unwrap()).unwrap();
            let truth = range(&real(now)).unwrap();
            prop_assert!(shown.0 <= truth.0, "{} is ahead of {}", text, real(now));
            // What is shown began at most one unit of the last answer too late.
            let unit = range(&real(passed)).unwrap();
            prop_assert!(shown.1 + (unit.1 - unit.0) > age + now);
        }
    }
}
