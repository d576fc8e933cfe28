//! What the Engine reports of what happens: the last 256 events, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use wharf_server::engine::EngineEvent;

use super::{Model, Time};

/// Events that an Engine remembers.
const REMEMBERED: usize = 256;
/// Events that it keeps for readers that are connected.
const KEPT: usize = 1024;

/// The events of an Engine since its start.
#[derive(Debug, Clone, Default)]
pub(super) struct EventLog {
    /// The last ones.
    ring: VecDeque<(Time, EngineEvent)>,
    /// How many there were.
    total: u64,
    /// How many the last reader has.
    read: u64,
    /// Whether what happens is not noted.
    lost: bool,
}

impl Model {
    /// Something happens to an object.
    pub fn emit(&mut self, kind: &str, action: &str, actor: &str, attributes: &[(&str, &str)]) {
        let log = &mut self.events;
        if log.lost {
            return;
        }
        // No two events have one time.
        let next = |(last, _): &(Time, EngineEvent)| *last + Duration::from_nanos(1);
        let time = log.ring.back().map(next).unwrap_or(self.now).max(self.now);
        let attributes = attributes.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let event = EngineEvent {
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: actor.to_owned(),
            attributes: attributes.collect(),
            scope: "local".to_owned(),
            time: time.as_log_time(),
        };
        log.ring.push_back((time, event));
        log.total += 1;
        if log.ring.len() > KEPT {
            log.ring.pop_front();
        }
    }

    /// From now on, what happens is lost, as events are that a reader does not take in time; or it no
    /// longer is.
    pub fn lose_events(&mut self, lost: bool) {
        self.events.lost = lost;
    }

    /// The events that are remembered, from a time on; and how many there were, for
    /// [`Model::events_after`].
    pub fn events_since(&mut self, since: Time) -> (Vec<EngineEvent>, u64) {
        self.events.read = self.events.total;
        let forgotten = self.events.ring.len().saturating_sub(REMEMBERED);
        let wanted = self.events.ring.iter().skip(forgotten).filter(|(time, _)| *time >= since);
        (wanted.map(|(_, event)| event.clone()).collect(), self.events.total)
    }

    /// Whether the reader has all events.
    pub fn events_are_read(&self) -> bool {
        self.events.read == self.events.total
    }

    /// The events after the first `count`; those that are kept.
    pub fn events_after(&mut self, count: u64) -> (Vec<EngineEvent>, u64) {
        self.events.read = self.events.total;
        // None that the reader has are there after a restart.
        let new = usize::try_from(self.events.total.saturating_sub(count)).unwrap_or(usize::MAX);
        let surplus = self.events.ring.len().saturating_sub(new);
        let wanted = self.events.ring.iter().skip(surplus);
        (wanted.map(|(_, event)| event.clone()).collect(), self.events.total)
    }

    pub(super) fn emit_container(&mut self, id: &str, action: &str, more: &[(&str, &str)]) {
        let Some(container) = self.containers.get(id) else { return };
        let image = container.config["Image"].as_str().unwrap_or_default().to_owned();
        let (name, labels) = (container.name.clone(), container.labels());
        let labels: &BTreeMap<String, String> = &labels;
        let mut attributes: Vec<(&str, &str)> =
            labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        attributes.extend([("image", image.as_str()), ("name", name.as_str())]);
        attributes.extend(more);
        self.emit("container", action, id, &attributes);
    }
}

/// As the Engine sends it.
pub fn event_json(event: &EngineEvent) -> Value {
    let nanos = event.time.seconds * 1_000_000_000 + u64::from(event.time.nanos);
    json!({
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": event.attributes},
        "scope": event.scope,
        "time": event.time.seconds,
        "timeNano": nanos,
    })
}
