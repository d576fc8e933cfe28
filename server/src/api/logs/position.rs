//! Where a reader is in the log of a container, and which entries it already has when it reads again.
//! Pure.
//!
//! Engines find a place in a log only by time, and entries can have the same time. But within one
//! output of a container, times do not decrease, so the last time and the number of entries with it
//! define a place exactly. Across the two outputs there is no such order: two processes of the Engine
//! write them.

use std::time::Duration;

use wharf::v1;

use crate::api::times::{log_time, timestamp};
use crate::engine::{LogTime, OutputSource};

/// How much earlier than the last entry to read again: an entry of the other output may be stored
/// later and have an earlier time, and Podman reads the time as a number of limited precision.
const OVERLAP: Duration = Duration::from_secs(2);

/// A place in one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Time of the last entry.
    pub time: LogTime,
    /// Entries with this time up to here.
    pub entries: u32,
}

/// A place in a log: one mark for each output that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position([Option<Mark>; 2]);

/// Recognizes entries that were read before.
#[derive(Debug)]
pub struct Repeats {
    before: Position,
    seen: [u32; 2],
}

impl Position {
    /// Moves behind the next entry.
    pub fn advance(&mut self, source: OutputSource, time: LogTime) {
        let mark = &mut self.0[source as usize];
        *mark = match *mark {
            Some(Mark { time: last, entries }) if last == time => {
                Some(Mark { time, entries: entries.saturating_add(1) })
            }
            _ => Some(Mark { time, entries: 1 }),
        };
    }

    /// From when to read on. `None` if nothing was read.
    pub fn since(&self) -> Option<LogTime> {
        let last = self.0.iter().flatten().map(|mark| mark.time).max()?;
        Some(last.earlier(OVERLAP))
    }

    /// As sent.
    pub fn to_message(self) -> v1::LogPosition {
        let mark = |source: OutputSource| {
            self.0[source as usize]
                .map(|mark| v1::LogMark { time: Some(timestamp(mark.time)), entries: mark.entries })
        };
        v1::LogPosition { stdout: mark(OutputSource::Stdout), stderr: mark(OutputSource::Stderr) }
    }

    /// As received. Returns the problem of one that was never sent.
    pub fn of_message(message: &v1::LogPosition) -> Result<Self, &'static str> {
        Ok(Self([mark(message.stdout.as_ref())?, mark(message.stderr.as_ref())?]))
    }
}

impl Repeats {
    /// For a log that was read up to here.
    pub fn of(before: Position) -> Self {
        Self { before, seen: [0; 2] }
    }

    /// Whether the next entry was read before.
    pub fn contain(&mut self, source: OutputSource, time: LogTime) -> bool {
        let Some(mark) = self.before.0[source as usize] else { return false };
        let seen = &mut self.seen[source as usize];
        let is_repeat = time < mark.time || time == mark.time && *seen < mark.entries;
        if is_repeat && time == mark.time {
            *seen += 1;
        }
        is_repeat
    }
}

fn mark(mark: Option<&v1::LogMark>) -> Result<Option<Mark>, &'static str> {
    let Some(mark) = mark else { return Ok(None) };
    let time = mark.time.as_ref().ok_or("has a mark without a time")?;
    Ok(Some(Mark { time: log_time(time)?, entries: mark.entries }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> LogTime {
        LogTime { seconds, nanos: 0 }
    }

    /// Reads a log from a position on, as an Engine gives it. Returns the entries that are new.
    fn read_on(
        log: &[(OutputSource, u64)],
        position: &mut Position,
        inclusive: bool,
    ) -> Vec<usize> {
        let since = position.since().unwrap_or_default();
        let mut repeats = Repeats::of(*position);
        let mut new = Vec::new();
        for (index, &(source, time)) in log.iter().enumerate() {
            let given = if inclusive { at(time) >= since } else { at(time) > since };
            if (given || since == LogTime::default()) && !repeats.contain(source, at(time)) {
                position.advance(source, at(time));
                new.push(index);
            }
        }
        new
    }

    proptest! {
        /// Wherever the connection is cut, and however often: every entry is read once, in order,
        /// also if many have one time, and if the outputs are not in the order of their times.
        #[test]
        fn no_entry_is_lost_or_doubled(
            steps in prop::collection::vec((any::<bool>(), 0u64..2), 0..60),
            cuts in prop::collection::vec(0usize..60, 0..6),
            inclusive: bool,
        ) {
            // Standard error lags by a second.
            let mut now = 100;
            let log: Vec<(OutputSource, u64)> = steps
                .iter()
                .map(|(stderr, step)| {
                    now += step;
                    if *stderr { (OutputSource::Stderr, now - 1) } else { (OutputSource::Stdout, now) }
                })
                .collect();
            let mut position = Position::default();
            let mut read = Vec::new();
            let mut cuts = cuts;
            cuts.sort_unstable();
            for cut in cuts.into_iter().map(|cut| cut.min(log.len())).chain([log.len()]) {
                read.extend(read_on(&log[..cut], &mut position, inclusive));
                let message = position.to_message();
                prop_assert_eq!(Position::of_message(&message), Ok(position));
            }
            prop_assert_eq!(read, (0..log.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_position_that_nobody_sent_is_refused() {
        let mark = v1::LogMark { time: None, entries: 1 };
        let message = v1::LogPosition { stdout: Some(mark), stderr: None };
        assert!(Position::of_message(&message).is_err());
        assert_eq!(Position::of_message(&v1::LogPosition::default()), Ok(Position::default()));
    }
}
