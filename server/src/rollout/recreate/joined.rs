//! The networks of a container: those in the creation, those to connect after it, and those that
//! the new container must be in (C17, C36).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::MANY_ENDPOINTS;
use super::json::{Object, entries, is_empty, text};
use super::networks::{is_bridge, is_own, takes_no_endpoint};
use crate::domain::quoted;
use crate::engine::{Inspection, NetworkSummary};
use crate::rollout::facts::HostFacts;

/// The one name of the Engine's own network here.
const BRIDGE: &str = "bridge";

/// Completes the networks of a body for the version in which it is sent.
///
/// From API 1.44 on, the Engine joins exactly the endpoints in the body, so the network of the mode
/// must be among them. Before, a creation joins the network of the mode and accepts only one
/// endpoint: the others are returned, to be connected before the start.
pub(super) fn split(mut body: Value, host: &HostFacts) -> (Value, Vec<(String, Value)>) {
    let mode = match text(&body["HostConfig"]["NetworkMode"]) {
        "" => "default".to_owned(),
        mode => mode.to_owned(),
    };
    let Some(object) = body.as_object_mut() else { return (body, Vec::new()) };
    let mut extra = Vec::new();
    if let Some(Value::Object(endpoints)) = object
        .get_mut("NetworkingConfig")
        .and_then(|networking| networking.get_mut("EndpointsConfig"))
    {
        if takes_no_endpoint(&mode) {
            endpoints.clear();
        }
        let of_mode = |name: &str| is_own(&mode, name, network(name, host));
        if host.api_version >= MANY_ENDPOINTS {
            complete(endpoints, &mode, of_mode);
        } else {
            let (own, others): (Vec<_>, Vec<_>) =
                std::mem::take(endpoints).into_iter().partition(|(name, _)| of_mode(name));
            endpoints
                .extend(own.into_iter().filter(|(name, it)| !(is_bridge(name) && is_empty(it))));
            extra = others;
            extra.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        if endpoints.is_empty() {
            object.shift_remove("NetworkingConfig");
        }
    }
    (body, extra)
}

/// Adds the network of the mode to the endpoints, under the name in the mode: the Engine knows
/// `default` only if it is the mode.
fn complete(endpoints: &mut Object, mode: &str, of_mode: impl Fn(&str) -> bool) {
    if endpoints.is_empty() {
        return;
    }
    let own: Vec<String> = endpoints.keys().filter(|name| of_mode(name)).cloned().collect();
    match own.first() {
        None => {
            endpoints.insert(mode.to_owned(), json!({}));
        }
        Some(name) if is_bridge(mode) && name != mode => {
            if let Some(settings) = endpoints.shift_remove(name) {
                endpoints.insert(mode.to_owned(), settings);
            }
        }
        Some(_) => {}
    }
    endpoints.sort_keys();
}

/// The networks that the new container must be in, as inspections name them: those of the old one,
/// without those that the change removes and with those that it adds. Derived from the old
/// container rather than from the request, to detect mistakes in the request.
pub(super) fn expected(
    inspect: Option<&Inspection>,
    before: &Value,
    after: &Value,
    host: &HostFacts,
) -> Vec<String> {
    if takes_no_endpoint(text(&after["HostConfig"]["NetworkMode"])) {
        return Vec::new();
    }
    let mode = inspect.map_or("", |inspect| &inspect.network_mode);
    let shown = inspect.map(|inspect| entries(&inspect.json["NetworkSettings"]["Networks"]));
    let shown: BTreeMap<String, &String> = shown
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .filter(|name| !matches!(name.as_str(), "host" | "none"))
        .map(|name| {
            let of_bridge = is_bridge(mode) && is_own(mode, name, network(name, host));
            (if of_bridge { BRIDGE.to_owned() } else { name.clone() }, name)
        })
        .collect();
    let (before, after) = (asked_for(before, host), asked_for(after, host));
    let kept = shown
        .iter()
        .filter(|(name, _)| after.contains(*name) || !before.contains(*name))
        .map(|(_, shown)| (*shown).clone());
    let added = after.difference(&before).filter(|name| {
        // The inspection name of the Engine's own network is only known once a container is in it.
        *name != BRIDGE && host.networks.iter().any(|network| network.name == **name)
    });
    let all: BTreeSet<String> = kept.chain(added.cloned()).collect();
    all.into_iter().collect()
}

/// The networks in a body, by name.
fn asked_for(body: &Value, host: &HostFacts) -> BTreeSet<String> {
    let mode = text(&body["HostConfig"]["NetworkMode"]);
    if takes_no_endpoint(mode) {
        return BTreeSet::new();
    }
    let named = |name: &str| match network(name, host) {
        _ if is_bridge(name) => BRIDGE.to_owned(),
        Some(network) => network.name.clone(),
        None => name.to_owned(),
    };
    let endpoints = entries(&body["NetworkingConfig"]["EndpointsConfig"]);
    endpoints.map(|(name, _)| name.as_str()).chain([mode]).map(named).collect()
}

fn network<'a>(name: &str, host: &'a HostFacts) -> Option<&'a NetworkSummary> {
    host.networks.iter().find(|network| network.name == name || network.id == name)
}

/// The missing networks of a container, as a line; `None` if it is in all.
#[must_use]
pub fn not_joined(expected: &[String], inspect: &Value) -> Option<String> {
    let networks = &inspect["NetworkSettings"]["Networks"];
    let missing: Vec<String> = expected
        .iter()
        .filter(|name| networks.get(name.as_str()).is_none())
        .map(|name| quoted(name).to_string())
        .collect();
    if missing.is_empty() {
        return None;
    }
    let joined: Vec<&str> = entries(networks).map(|(name, _)| name.as_str()).collect();
    let joined = if joined.is_empty() { "none".to_owned() } else { joined.join(", ") };
    Some(format!(
        "the Engine did not connect it to the network {}; it is in {joined}",
        missing.join(" and ")
    ))
}

/// Whether an inspection shows the networks of the container. Before the first start, some Engines
/// other than dockerd do not.
#[must_use]
pub fn tells_networks(inspect: &Value) -> bool {
    !is_empty(&inspect["NetworkSettings"]["Networks"])
}
