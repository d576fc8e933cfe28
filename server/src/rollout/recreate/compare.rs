//! Checks whether a container has the requested settings (C36).

use serde_json::{Value, json};

use super::diff;
use super::json::{Object, entries, is_empty, items, object_of, text};
use super::networks::is_bridge;
use super::settings;
use crate::domain::ImageReference;

/// The settings of a requested body that the Engine shows differently or not at all, as lines;
/// empty if all are as requested. Additions of the Engine or the image are not differences.
#[must_use]
pub fn compare(requested: &Value, inspect: &Value) -> Vec<String> {
    let asked = settings::of(&canonical(requested));
    let found = settings::of(&canonical(&as_body(inspect)));
    asked
        .iter()
        .filter(|(name, value)| !matches(name, value, found.get(*name)))
        .map(|(name, value)| {
            format!("requested and found: {}", diff::line(name, Some(value), found.get(name)))
        })
        .collect()
}

/// The inspection in the form of a body.
fn as_body(inspect: &Value) -> Value {
    let mut body = object_of(&inspect["Config"]);
    body.insert("HostConfig".to_owned(), inspect["HostConfig"].clone());
    let networks = &inspect["NetworkSettings"]["Networks"];
    body.insert("NetworkingConfig".to_owned(), json!({ "EndpointsConfig": networks }));
    body.into()
}

/// Normalizes the name of the Engine's own network, the place of a MAC address, and an empty
/// entrypoint.
fn canonical(body: &Value) -> Value {
    let mut body = body.clone();
    let mode = text(&body["HostConfig"]["NetworkMode"]).to_owned();
    if is_bridge(&mode) && !mode.is_empty() {
        body["HostConfig"]["NetworkMode"] = "bridge".into();
    }
    let mut endpoints = Object::new();
    for (name, endpoint) in entries(&body["NetworkingConfig"]["EndpointsConfig"]) {
        let name = if is_bridge(name) { "bridge" } else { name };
        endpoints.insert(name.to_owned(), endpoint.clone());
    }
    if !is_empty(&body["MacAddress"]) {
        let own = if is_bridge(&mode) { "bridge" } else { &mode };
        let endpoint = endpoints.entry(own).or_insert_with(|| json!({}));
        endpoint["MacAddress"] = body["MacAddress"].take();
    }
    body["NetworkingConfig"]["EndpointsConfig"] = endpoints.into();
    if let Some(object) = body.as_object_mut() {
        // Windows, and builds: neither is a setting of a container that runs.
        for key in ["ArgsEscaped", "OnBuild", "Shell"] {
            object.shift_remove(key);
        }
        let entrypoint = object.get("Entrypoint");
        if entrypoint.is_some_and(|value| is_empty(value) || *value == json!([""])) {
            object.shift_remove("Entrypoint");
        }
    }
    body
}

fn matches(name: &str, asked: &Value, found: Option<&Value>) -> bool {
    let Some(found) = found else { return is_empty(asked) && !name.starts_with("networks.") };
    if asked == found {
        return true;
    }
    if name == "image" {
        // Podman shows the full name where Docker shows the requested one.
        let parsed = |name: &Value| ImageReference::parse(text(name)).ok();
        return parsed(asked).is_some_and(|asked| Some(asked) == parsed(found));
    }
    if name == "links" {
        return items(asked).all(|link| items(found).any(|other| is_link(text(link), text(other))));
    }
    let mounts = name.starts_with("mounts.") || name.starts_with("networks.");
    mounts && contains(found, asked)
}

/// Whether a shown link is the requested one. A link that was requested by the ID of its target is
/// shown with the target's name.
fn is_link(asked: &str, found: &str) -> bool {
    let by_id =
        |target: &str| target.len() == 64 && target.bytes().all(|it| it.is_ascii_hexdigit());
    asked == found
        || asked.split_once(':').is_some_and(|(target, alias)| {
            by_id(target) && found.split_once(':').is_some_and(|(_, other)| other == alias)
        })
}

/// Whether everything requested is in what was found.
fn contains(found: &Value, asked: &Value) -> bool {
    match asked {
        Value::Object(asked) => asked
            .iter()
            .all(|(key, value)| is_empty(value) || contains(&found[key.as_str()], value)),
        Value::Array(asked) => asked.iter().all(|item| items(found).any(|other| other == item)),
        asked => asked == found,
    }
}
