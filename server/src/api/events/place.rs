//! Where a reader is in the events of a host, and which of them it already has. Pure.
//!
//! Engines find a place only by time, note events in almost the order of their times, and can give
//! one twice. So a place has a time before which everything was read, and the marks of what was read
//! since.

use std::collections::VecDeque;
use std::time::Duration;

use wharf::v1;

use crate::api::times::{log_time, timestamp};
use crate::engine::{EngineEvent, LogTime};

/// How much later an event may be noted than a younger one.
const WINDOW: Duration = Duration::from_secs(1);
/// Most events in it, as many as Docker keeps. A burst of more leaves a shorter window.
const MOST_MARKS: usize = 256;
/// Most of them that are sent with each event: a caller that resumes has a shorter window.
const MOST_SENT: usize = 32;

/// A place in the events of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Everything before was read.
    from: LogTime,
    /// Events that were read, oldest first: all since `from`.
    seen: VecDeque<(LogTime, u64)>,
    /// The same of a caller that resumes, until they come again: it does not send their times.
    given: Vec<u64>,
    /// The latest time that one of them can have.
    given_until: LogTime,
}

impl Place {
    /// Nothing from this time on was read.
    pub fn at(from: LogTime) -> Self {
        Self { from, seen: VecDeque::new(), given: Vec::new(), given_until: from }
    }

    /// From when to read on.
    pub fn since(&self) -> LogTime {
        self.from
    }

    /// The time of the last event, or where reading began.
    pub fn last(&self) -> LogTime {
        self.seen.back().map_or(self.from, |(time, _)| *time)
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.given.is_empty()
    }

    /// Whether the event was read or is older. An Engine that still has it has all later ones.
    pub fn is_behind(&self, event: &EngineEvent) -> bool {
        let mark = event.mark();
        event.time < self.from || self.given.contains(&mark) || self.has(mark)
    }

    /// Moves behind an event, unless it was read before. Returns whether it is new.
    pub fn advance(&mut self, event: &EngineEvent) -> bool {
        let mark = event.mark();
        if event.time < self.from || self.has(mark) {
            return false;
        }
        let given = self.given.iter().position(|given| *given == mark);
        if let Some(place) = given {
            self.given.remove(place);
        }
        let behind = self.seen.partition_point(|(time, _)| *time <= event.time);
        self.seen.insert(behind, (event.time, mark));
        self.forget();
        given.is_none()
    }

    /// Forgets what is older than the window.
    fn forget(&mut self) {
        let newest = self.last();
        self.from = self.from.max(newest.earlier(WINDOW));
        while let Some(&(oldest, _)) = self.seen.front()
            && (self.seen.len() > MOST_MARKS || oldest < self.from)
        {
            self.seen.pop_front();
            self.from = self.from.max(after(oldest));
        }
        if self.from > self.given_until {
            self.given.clear();
        }
    }

    /// As sent.
    pub fn to_message(&self) -> v1::EventPosition {
        let surplus = (self.seen.len() + self.given.len()).saturating_sub(MOST_SENT);
        let from = surplus.checked_sub(1).and_then(|place| self.seen.get(place));
        let from = from.map_or(self.from, |(time, _)| after(*time));
        let seen = self.seen.iter().skip(surplus).map(|(_, mark)| *mark);
        let seen = self.given.iter().copied().chain(seen).collect();
        v1::EventPosition { from: Some(timestamp(from)), seen }
    }

    /// As received. Returns the problem of one that was never sent.
    pub fn of_message(message: &v1::EventPosition) -> Result<Self, &'static str> {
        let from = log_time(message.from.as_ref().ok_or("must have a time")?)?;
        if message.seen.len() > MOST_SENT {
            return Err("has too many marks");
        }
        let given = message.seen.clone();
        Ok(Self { given, given_until: from.later(WINDOW), ..Self::at(from) })
    }

    fn has(&self, mark: u64) -> bool {
        self.seen.iter().any(|(_, seen)| *seen == mark)
    }
}

/// The time just after. What else has this time is taken as read.
fn after(time: LogTime) -> LogTime {
    time.later(Duration::from_nanos(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An event at so many milliseconds.
    fn event(number: usize, time: u64) -> EngineEvent {
        EngineEvent {
            action: number.to_string(),
            time: LogTime::of_nanos(time * 1_000_000),
            ..EngineEvent::default()
        }
    }

    /// Reads on in what an Engine has noted. Returns the events that are new.
    fn read_on(noted: &[EngineEvent], place: &mut Place, everything: bool) -> Vec<String> {
        let since = place.since();
        let given = noted.iter().filter(|event| everything || event.time >= since);
        given.filter(|event| place.advance(event)).map(|event| event.action.clone()).collect()
    }

    proptest! {
        /// Wherever the connection is cut, and however often, also by a caller that resumes: every
        /// event is read once and in order, also if many have one time, if some are noted late, and if
        /// the Engine gives one twice.
        #[test]
        fn no_event_is_lost_or_doubled(
            steps in prop::collection::vec((0u64..400, 0u64..200, any::<bool>()), 0..60),
            cuts in prop::collection::vec((0usize..60, any::<bool>()), 0..6),
            everything: bool,
        ) {
            let mut now = 1000;
            let mut noted = Vec::new();
            for (number, (step, late, twice)) in steps.iter().enumerate() {
                now += step;
                let event = event(number, now - late);
                noted.extend(std::iter::repeat_n(event, 1 + usize::from(*twice)));
            }
            let mut place = Place::at(LogTime::default());
            let mut read = Vec::new();
            let mut cuts = cuts;
            cuts.sort_unstable();
            for (cut, by_caller) in cuts.into_iter().chain([(noted.len(), false)]) {
                read.extend(read_on(&noted[..cut.min(noted.len())], &mut place, everything));
                if by_caller {
                    place = Place::of_message(&place.to_message()).unwrap();
                }
            }
            let expected: Vec<String> = (0..steps.len()).map(|number| number.to_string()).collect();
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_burst_leaves_a_bounded_place_and_repeats_nothing() {
        let mut place = Place::at(LogTime::default());
        let noted: Vec<_> = (0..1000).map(|number| event(number, 5000 + number as u64)).collect();
        assert_eq!(read_on(&noted, &mut place, true).len(), 1000);
        assert_eq!(place.to_message().seen.len(), MOST_SENT);
        let mut resumed = Place::of_message(&place.to_message()).unwrap();
        assert!(read_on(&noted, &mut resumed, true).is_empty());
        assert!(resumed.is_behind(&noted[999]) && resumed.is_behind(&noted[0]));
        assert!(!resumed.is_behind(&event(1000, 6000)));
    }

    #[test]
    fn a_position_that_nobody_sent_is_refused() {
        assert!(Place::of_message(&v1::EventPosition::default()).is_err());
        let from = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        assert!(Place::of_message(&v1::EventPosition { from, seen: vec![0; 33] }).is_err());
        assert!(Place::of_message(&v1::EventPosition { from, seen: vec![0; 32] }).is_ok());
    }
}
