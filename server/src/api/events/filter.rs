//! Which events a caller wants, with docker's keys. Pure.
//!
//! Wharf matches them itself instead of the Engine: the keys then mean the same for every Engine, also
//! for Podman, and the place in the stream moves on with events that do not match.

use wharf::v1;

use crate::api::convert;
use crate::body::violation::Violations;
use crate::engine::{EngineEvent, Filters};

/// The keys.
const KEYS: [&str; 10] = [
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "plugin",
    "scope",
    "type",
    "volume",
];
/// Shortest beginning of an ID.
const SHORTEST_ID: usize = 4;

/// The events that a caller wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter(Filters);

impl EventFilter {
    /// Reads the field `filters`.
    pub fn read(violations: &mut Violations, filters: &[v1::Filter]) -> Self {
        for (index, filter) in filters.iter().enumerate() {
            if !filter.key.is_empty() && !KEYS.contains(&filter.key.as_str()) {
                let problem = format!("must be one of {}", KEYS.join(", "));
                violations.add(format!("filters[{index}].key"), problem);
            }
        }
        Self(convert::filters(violations, filters))
    }

    /// Whether the caller wants the event.
    pub fn matches(&self, event: &EngineEvent) -> bool {
        self.0.iter().all(|(key, values)| {
            let mut values = values.iter().map(String::as_str);
            match key.as_str() {
                "label" => values.all(|label| has_label(event, label)),
                "type" => values.any(|kind| event.kind == kind),
                "scope" => values.any(|scope| event.scope == scope),
                "event" => values.any(|action| is_action(&event.action, action)),
                "image" => values.any(|image| is_of_image(event, image)),
                kind => event.kind == kind && values.any(|given| is_named(event, given)),
            }
        })
    }
}

/// Whether an object has this name, or an ID that begins so.
fn is_named(event: &EngineEvent, given: &str) -> bool {
    event.attributes.get("name").is_some_and(|name| name == given)
        || event.actor == given
        || given.len() >= SHORTEST_ID
            && given.bytes().all(|byte| byte.is_ascii_hexdigit())
            && event.actor.strip_prefix("sha256:").unwrap_or(&event.actor).starts_with(given)
}

/// Whether the action is this one: `exec_start: sh -c true` is an `exec_start`.
fn is_action(action: &str, given: &str) -> bool {
    action.strip_prefix(given).is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
}

/// Whether the event is about this image, or about a container of it; without a tag, about any of the
/// repository.
fn is_of_image(event: &EngineEvent, given: &str) -> bool {
    let key = if event.kind == "image" { "name" } else { "image" };
    let name = event.attributes.get(key).map_or("", String::as_str);
    let candidates = if event.kind == "image" { [event.actor.as_str(), name] } else { [name; 2] };
    candidates
        .iter()
        .any(|&found| found == given || (!found.is_empty() && repository(found) == given))
        || event.kind == "image" && is_named(event, given)
}

/// A reference without its tag and digest.
fn repository(reference: &str) -> &str {
    let reference = reference.split('@').next().unwrap_or(reference);
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => reference,
    }
}

fn has_label(event: &EngineEvent, given: &str) -> bool {
    match given.split_once('=') {
        Some((key, value)) => event.attributes.get(key).is_some_and(|found| found == value),
        None => event.attributes.contains_key(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Finish;

    fn event(kind: &str, action: &str, actor: &str, attributes: &[(&str, &str)]) -> EngineEvent {
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        EngineEvent {
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: actor.to_owned(),
            attributes: attributes.collect(),
            scope: "local".to_owned(),
            ..EngineEvent::default()
        }
    }

    fn filter(filters: &[(&str, &[&str])]) -> Result<EventFilter, String> {
        let filters: Vec<v1::Filter> = filters
            .iter()
            .map(|(key, values)| v1::Filter {
                key: (*key).to_owned(),
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            })
            .collect();
        let mut violations = Violations::default();
        let filter = EventFilter::read(&mut violations, &filters);
        violations.finish().map(|()| filter).map_err(|problem| problem.message)
    }

    #[test]
    fn all_keys_must_match_and_one_value_of_each() {
        let labels = [("image", "app:v1"), ("name", "web"), ("env", "prod"), ("app", "shop")];
        let start = event("container", "start", "abcd1234", &labels);
        let exec = event("container", "exec_start: sh -c 'x: y'", "abcd1234", &labels);
        let pull = event("image", "pull", "app:v2", &[("name", "app")]);
        let connect = event("network", "connect", "9f8e", &[("name", "web"), ("container", "ab")]);
        let all = [&start, &exec, &pull, &connect];
        let matching = |filters: &[(&str, &[&str])]| {
            let filter = filter(filters).unwrap();
            all.map(|event| filter.matches(event))
        };
        assert_eq!(matching(&[]), [true; 4]);
        assert_eq!(matching(&[("type", &["container"])]), [true, true, false, false]);
        assert_eq!(matching(&[("type", &["image", "network"])]), [false, false, true, true]);
        assert_eq!(matching(&[("event", &["start", "pull"])]), [true, false, true, false]);
        assert_eq!(matching(&[("event", &["exec_start"])]), [false, true, false, false]);
        // A network of this name is no container.
        assert_eq!(matching(&[("container", &["web"])]), [true, true, false, false]);
        assert_eq!(matching(&[("container", &["abcd"])]), [true, true, false, false]);
        assert_eq!(
            matching(&[("container", &["we", "abc"])]),
            [false; 4],
            "no name, and too short"
        );
        assert_eq!(matching(&[("network", &["web"])]), [false, false, false, true]);
        assert_eq!(matching(&[("image", &["app"])]), [true, true, true, false]);
        assert_eq!(matching(&[("image", &["app:v2"])]), [false, false, true, false]);
        assert_eq!(matching(&[("label", &["env=prod", "app"])]), [true, true, false, false]);
        assert_eq!(matching(&[("label", &["env=prod", "app=x"])]), [false; 4]);
        let both: [(&str, &[&str]); 2] = [("type", &["container"]), ("event", &["start"])];
        assert_eq!(matching(&both), [true, false, false, false]);
    }

    #[test]
    fn other_keys_are_refused() {
        let message = filter(&[("type", &["container"]), ("status", &["running"])]).unwrap_err();
        assert!(message.starts_with("filters[1].key: must be one of container, "), "{message}");
        assert!(filter(&[("type", &[])]).unwrap_err().starts_with("filters[0].values:"));
    }
}
