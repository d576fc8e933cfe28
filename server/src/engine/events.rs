//! What an Engine reports of what happens on its host. Pure.
//!
//! Docker keeps the last 256 events in memory and loses them when it stops; it gives those from a time
//! on, then new ones as they come. Events have the time of their happening and are passed on in the
//! order in which they were noted, which can differ by a moment, and one that is noted while a reader
//! subscribes can be given to it twice.

mod podman;

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::logs::LogTime;
use super::types::EngineDocument;
use super::wire::null_to_default;

/// Something that happened on a host, in the words of a Docker Engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineEvent {
    /// What it is about: `container`, `image`, `network`, `volume`, and others.
    pub kind: String,
    /// What happened, such as `start`.
    pub action: String,
    /// ID, reference, or name of the object.
    pub actor: String,
    /// More about the object: its name, labels, and others.
    pub attributes: BTreeMap<String, String>,
    /// `local` or `swarm`.
    pub scope: String,
    /// When, by the clock of the host.
    pub time: LogTime,
}

/// Which events to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventQuery {
    /// All events from this time on. Earlier ones that the Engine still has may come before them: they
    /// show how far back it remembers.
    pub since: LogTime,
    /// Up to this time, if any. Later ones may come, too.
    pub until: Option<LogTime>,
    /// Whether to wait for new events, up to `until`. Where the Engine does not know that time, without
    /// an end. Otherwise, `until` must be set and past.
    pub follow: bool,
}

/// Some consecutive events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventBatch {
    /// In the order of the Engine.
    pub events: Vec<EngineEvent>,
    /// Whether the Engine stores its events on disk, as Podman does: a restart loses none.
    pub are_stored: bool,
}

/// Where batches go. Waiting for room in it slows down the Engine, which then drops events silently.
pub type EventSink = mpsc::Sender<EventBatch>;

impl EngineEvent {
    /// Recognizes the event: equal events have equal marks, in every version of Wharf, because
    /// callers keep them.
    pub fn mark(&self) -> u64 {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        };
        for text in [&self.kind, &self.action, &self.actor, &self.scope, &self.time.to_string()] {
            add(text);
        }
        for (key, value) in &self.attributes {
            add(key);
            add(value);
        }
        let digest = hash.finalize();
        u64::from_be_bytes(std::array::from_fn(|place| digest[place]))
    }

    /// Reads a line of `GET /events`.
    pub(super) fn of_line(line: &[u8], is_podman: bool) -> serde_json::Result<Self> {
        // A list would be read as a struct, too.
        if !line.starts_with(b"{") {
            return Err(serde::de::Error::custom("an event is a JSON object"));
        }
        let item: Item = serde_json::from_slice(line)?;
        let time = match u64::try_from(item.time_nano) {
            Ok(nanos) if nanos > 0 => LogTime::of_nanos(nanos),
            _ => LogTime { seconds: u64::try_from(item.time).unwrap_or(0), nanos: 0 },
        };
        let event = Self {
            kind: item.kind,
            action: item.action,
            actor: item.actor.id,
            attributes: item.actor.attributes,
            scope: item.scope,
            time,
        };
        Ok(if is_podman { podman::translated(event, &item.health) } else { event })
    }
}

/// What the clock of the host says, from `GET /info`; `None` if the Engine does not report it.
pub fn host_clock(info: &EngineDocument) -> Option<LogTime> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "SystemTime", default, deserialize_with = "null_to_default")]
        system_time: String,
    }
    let info: Info = info.parse().ok()?;
    LogTime::parse(info.system_time.as_bytes())
}

/// As Engines write it.
#[derive(Deserialize)]
struct Item {
    #[serde(rename = "Type", default, deserialize_with = "null_to_default")]
    kind: String,
    #[serde(rename = "Action", default, deserialize_with = "null_to_default")]
    action: String,
    #[serde(rename = "Actor", default, deserialize_with = "null_to_default")]
    actor: Actor,
    #[serde(default, deserialize_with = "null_to_default")]
    scope: String,
    #[serde(default, deserialize_with = "null_to_default")]
    time: i64,
    /// Only of Podman.
    #[serde(rename = "HealthStatus", default, deserialize_with = "null_to_default")]
    health: String,
    #[serde(rename = "timeNano", default, deserialize_with = "null_to_default")]
    time_nano: i64,
}

#[derive(Deserialize, Default)]
struct Actor {
    #[serde(rename = "ID", default, deserialize_with = "null_to_default")]
    id: String,
    #[serde(rename = "Attributes", default, deserialize_with = "null_to_default")]
    attributes: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_all_versions_are_read() {
        let of = |line: &str| EngineEvent::of_line(line.as_bytes(), false).unwrap();
        let event = of(
            r#"{"status":"start","id":"abc","from":"app:v1","Type":"container","Action":"start",
                "Actor":{"ID":"abc","Attributes":{"image":"app:v1","name":"web"}},"scope":"local",
                "time":1767225600,"timeNano":1767225600000000005}"#,
        );
        assert_eq!((event.kind.as_str(), event.action.as_str()), ("container", "start"));
        assert_eq!((event.actor.as_str(), event.attributes["name"].as_str()), ("abc", "web"));
        assert_eq!(event.time, LogTime { seconds: 1_767_225_600, nanos: 5 });
        let sparse = of(r#"{"Type":"daemon","Actor":{"ID":"x","Attributes":null},"time":7}"#);
        assert_eq!(sparse.time, LogTime { seconds: 7, nanos: 0 });
        assert!(EngineEvent::of_line(b"{", false).is_err());
        assert!(EngineEvent::of_line(b"[]", false).is_err());
    }

    #[test]
    fn every_part_of_an_event_is_in_its_mark() {
        let event = EngineEvent { kind: "container".to_owned(), ..EngineEvent::default() };
        let named = EngineEvent {
            attributes: BTreeMap::from([("name".to_owned(), "web".to_owned())]),
            ..event.clone()
        };
        let later = EngineEvent { time: LogTime { seconds: 0, nanos: 1 }, ..event.clone() };
        assert_eq!(event.mark(), event.clone().mark());
        assert!(event.mark() != named.mark() && event.mark() != later.mark());
    }
}
