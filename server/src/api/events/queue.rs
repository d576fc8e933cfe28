//! What waits for the caller. The Engine is always read, because it drops events of a slow reader
//! silently; what does not fit here is counted instead, and the caller is told.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prost::Message;
use tokio::sync::Notify;
use wharf::v1;
use wharf::v1::stream_events_response::Event;

use super::place::Place;
use crate::api::times::timestamp;
use crate::engine::LogTime;

/// Bytes that may wait.
const MOST_BYTES: usize = 256 << 10;
/// Bytes of a message that is no event.
const SMALL: usize = 512;

/// Messages of one host in their order, from its reader to the caller.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Event, usize)>,
    bytes: usize,
    /// What did not fit after the last one that waits.
    lost: Option<Lost>,
    closed: bool,
}

#[derive(Debug)]
struct Lost {
    from: LogTime,
    to: LogTime,
    count: u64,
    place: Place,
}

impl Queue {
    /// Adds a message, or counts it if there is no room. `time` is that of the host; `place` is behind
    /// the message.
    pub fn push(&self, event: Event, time: LogTime, place: &Place) {
        let mut state = self.state();
        let size = size(&event);
        // After a loss, the reader gets half of the room at once, instead of a loss for every other
        // event.
        let room = if state.lost.is_some() { MOST_BYTES / 2 } else { MOST_BYTES };
        if state.bytes + size <= room {
            state.admit_lost();
            state.admit(event, size);
        } else {
            let lost = state.lost.get_or_insert_with(|| Lost {
                from: time,
                to: time,
                count: 0,
                place: place.clone(),
            });
            lost.count += u64::from(matches!(event, Event::EngineEvent(_)));
            lost.to = lost.to.max(time);
            lost.place = place.clone();
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// Nothing follows.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.admit_lost();
        drop(state);
        self.changed.notify_one();
    }

    /// Takes the next message when there is one; `None` after the last one. For one taker.
    pub async fn next(&self) -> Option<Event> {
        loop {
            {
                let mut state = self.state();
                if state.waiting.is_empty() {
                    state.admit_lost();
                }
                if let Some((event, size)) = state.waiting.pop_front() {
                    state.bytes -= size;
                    return Some(event);
                }
                if state.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn admit(&mut self, event: Event, size: usize) {
        self.bytes += size;
        self.waiting.push_back((event, size));
    }

    fn admit_lost(&mut self) {
        let Some(lost) = self.lost.take() else { return };
        let event = Event::Lost(v1::EventsLost {
            cause: v1::EventsLostCause::SlowReader.into(),
            from: Some(timestamp(lost.from)),
            to: Some(timestamp(lost.to)),
            count: lost.count,
            position: Some(lost.place.to_message()),
        });
        let size = size(&event);
        self.admit(event, size);
    }
}

/// Its approximate memory.
fn size(event: &Event) -> usize {
    let encoded = match event {
        Event::EngineEvent(event) => event.encoded_len(),
        _ => SMALL,
    };
    size_of::<Event>() + encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &Queue, action: u64) {
        let attributes = [("text".to_owned(), "x".repeat(1000))].into();
        let event =
            v1::EngineEvent { action: action.to_string(), attributes, ..Default::default() };
        let time = LogTime { seconds: action, nanos: 0 };
        queue.push(Event::EngineEvent(event), time, &Place::at(time));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_said_in_its_place() {
        let queue = Queue::default();
        for number in 0..1000 {
            push(&queue, number);
        }
        let mut next = 0;
        let lost = loop {
            match queue.next().await {
                Some(Event::EngineEvent(event)) => {
                    assert_eq!(event.action, next.to_string());
                    next += 1;
                }
                Some(Event::Lost(lost)) => break lost,
                other => panic!("{other:?}"),
            }
        };
        assert!((100..300).contains(&next), "{next}");
        assert_eq!(lost.count, 1000 - next);
        assert_eq!(lost.cause(), v1::EventsLostCause::SlowReader);
        let (from, to) = (lost.from.unwrap().seconds, lost.to.unwrap().seconds);
        assert_eq!((from, to), (i64::try_from(next).unwrap(), 999));
        assert_eq!(lost.position.unwrap().from.unwrap().seconds, 999);
        // It goes on after that.
        push(&queue, 1000);
        queue.close();
        assert!(matches!(queue.next().await, Some(Event::EngineEvent(it)) if it.action == "1000"));
        assert!(queue.next().await.is_none());
    }
}
