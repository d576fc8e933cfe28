//! An event as a line, and as docker's templates have it. Pure.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};
use wharf::v1::EngineEvent;

/// The fields of a template, as in docker, and the host.
pub const FIELDS: [&str; 10] =
    ["Host", "Type", "Action", "Actor", "Scope", "Time", "TimeNano", "ID", "Status", "From"];

/// `TIME HOST TYPE ACTION ID (KEY=VALUE, …)`, as docker has it with the host after the time.
pub fn line(host: &str, event: &EngineEvent) -> String {
    let EngineEvent { r#type: kind, action, actor_id, .. } = event;
    let mut line = format!("{} {host} {kind} {action} {actor_id}", time(event));
    for (index, (key, value)) in event.attributes.iter().enumerate() {
        let before = if index == 0 { " (" } else { ", " };
        let _ = write!(line, "{before}{key}={value}");
    }
    if !event.attributes.is_empty() {
        line.push(')');
    }
    line
}

/// What a template can show.
pub fn fields(host: &str, event: &EngineEvent) -> Value {
    let time = event.time.unwrap_or_default();
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);

    json!({
        "Host": host,
        "Type": event.r#type,
        "Action": event.action,
        "Actor": {"ID": event.actor_id, "Attributes": event.attributes},
        "Scope": event.scope,
        "Time": time.seconds,
        "TimeNano": i64::try_from(nanos).unwrap_or_default(),
        "ID": event.actor_id,
        "Status": event.action,
        "From": event.attributes.get("image"),
    })
}

/// In RFC 3339 with nine digits of the second, in UTC.
fn time(event: &EngineEvent) -> String {
    event.time.as_ref().map(moment).unwrap_or_default()
}

/// A time as lines show it.
pub fn moment(time: &prost_types::Timestamp) -> String {
    match Timestamp::new(time.seconds, time.nanos) {
        Ok(time) => format!("{time:.9}"),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_like_that_of_docker() {
        let event = EngineEvent {
            r#type: "container".to_owned(),
            action: "die".to_owned(),
            actor_id: "abc".to_owned(),
            attributes: [("name", "web"), ("exitCode", "1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            time: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 5_000_000 }),
            ..EngineEvent::default()
        };
        assert_eq!(
            line("web1", &event),
            "2026-01-01T00:00:00.005000000Z web1 container die abc (exitCode=1, name=web)"
        );
        let fields = fields("web1", &event);
        assert_eq!(fields["TimeNano"], 1_767_225_600_005_000_000_i64);
        assert_eq!(fields["Actor"]["Attributes"]["exitCode"], "1");
        assert!(FIELDS.iter().all(|field| fields.get(field).is_some()), "{fields}");
    }
}
