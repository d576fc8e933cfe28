//! Whether the new container may start while the old one runs (C32).

use std::collections::BTreeSet;

use serde_json::Value;

use super::dependents::Dependent;
use super::json::{entries, is_empty, items, text, texts};
use super::{Notes, Options};
use crate::domain::Reason;
use crate::rollout::facts::OldContainer;
use crate::rollout::model::Order;
use crate::rollout::spec::OrderPreference;

/// The order that is wished for, where it is possible.
pub(super) fn choose(
    old: &OldContainer,
    body: &Value,
    dependents: &[Dependent],
    options: &Options,
    notes: &mut Notes,
) -> Order {
    if options.order == OrderPreference::StopFirst {
        return Order::StopFirst;
    }
    let mut obstacles = obstacles(old, body, dependents, options);
    let shared = shared_names(body);
    if options.order == OrderPreference::Auto {
        obstacles.extend(shared.iter().map(|name| format!("its {name} would lead to both")));
    }
    if obstacles.is_empty() {
        for name in shared {
            notes.risk(format!(
                "the {name} leads to the old and the new container from the start of the new one, before its gate, until the old one stops"
            ));
        }
        return Order::StartFirst;
    }
    if options.order == OrderPreference::Auto {
        notes.risk(format!("stop-first, because {}", obstacles.join("; ")));
    } else {
        notes.refuse(
            Reason::RolloutStartFirstImpossible,
            format!(
                "start-first is not possible: {}; use stop-first or auto",
                obstacles.join("; ")
            ),
        );
    }
    Order::StopFirst
}

/// Says which ports of the host will be other ones.
pub(super) fn warn_of_ports(body: &Value, notes: &mut Notes) {
    let host_config = &body["HostConfig"];
    let mut ports: Vec<&str> = entries(&host_config["PortBindings"])
        .filter(|(_, bindings)| {
            items(bindings).any(|binding| matches!(text(&binding["HostPort"]), "" | "0"))
        })
        .map(|(port, _)| port.as_str())
        .collect();
    ports.sort_unstable();
    if !ports.is_empty() {
        notes.risk(format!("the host's port for {} is chosen anew", ports.join(", ")));
    }
    if host_config["PublishAllPorts"] == true {
        notes.risk("the host's ports for all exposed ports are chosen anew");
    }
}

fn obstacles(
    old: &OldContainer,
    body: &Value,
    dependents: &[Dependent],
    options: &Options,
) -> Vec<String> {
    let host_config = &body["HostConfig"];
    let mut obstacles = Vec::new();
    let mut fixed: Vec<&str> = entries(&host_config["PortBindings"])
        .flat_map(|(_, bindings)| items(bindings))
        .map(|binding| text(&binding["HostPort"]))
        .filter(|port| !matches!(*port, "" | "0") && !port.contains('-'))
        .collect();
    fixed.sort_unstable();
    fixed.dedup();
    if !fixed.is_empty() {
        obstacles.push(format!("it publishes the host's port {}", fixed.join(", ")));
    }
    if host_config["NetworkMode"] == "host" {
        obstacles.push("it is in the host's network".to_owned());
    }
    for (name, endpoint) in entries(&body["NetworkingConfig"]["EndpointsConfig"]) {
        if !is_empty(&endpoint["IPAMConfig"]) {
            obstacles.push(format!("it has a fixed address in the network {name}"));
        }
        if !is_empty(&endpoint["MacAddress"]) {
            obstacles.push(format!("it has a fixed MAC address in the network {name}"));
        }
    }
    if !is_empty(&body["MacAddress"]) {
        obstacles.push("it has a fixed MAC address".to_owned());
    }
    for dependent in dependents {
        obstacles.push(format!("the container {} depends on it", dependent.name));
    }
    if !options.share_volumes {
        for place in shared(old, body) {
            obstacles.push(format!("old and new would both write to {place}"));
        }
    }
    if old.inspect.auto_remove {
        obstacles.push("it removes itself when it stops".to_owned());
    }
    obstacles
}

/// Names in networks that lead to every container that has them. The Engine gives a container its
/// names when it joins a network, and cannot change them: to withhold them until the gate, the new
/// one would have to leave the network after it and join again, with another address and without
/// its connections. So `auto` stops first, and who asks for start-first is told.
fn shared_names(body: &Value) -> Vec<String> {
    entries(&body["NetworkingConfig"]["EndpointsConfig"])
        .flat_map(|(network, endpoint)| {
            let names = texts(&endpoint["Aliases"]);
            names.map(move |name| format!("name {name} in the network {network}"))
        })
        .collect()
}

/// What both would write to: names of volumes and paths of the host, sorted.
fn shared(old: &OldContainer, body: &Value) -> BTreeSet<String> {
    let mounts = old.inspect.mounts.iter().filter(|mount| mount.writable);
    let old_places: BTreeSet<String> = mounts
        .map(|mount| if mount.name.is_empty() { &mount.source } else { &mount.name })
        .filter(|place| !place.is_empty())
        .cloned()
        .collect();
    let host_config = &body["HostConfig"];
    let binds = texts(&host_config["Binds"]).filter_map(|bind| {
        let mut parts = bind.split(':');
        let (source, _target) = (parts.next()?, parts.next()?);
        let read_only = parts.next().is_some_and(|mode| mode.split(',').any(|word| word == "ro"));
        (!read_only).then_some(source)
    });
    let mounts = items(&host_config["Mounts"])
        .filter(|mount| mount["ReadOnly"] != true)
        .map(|mount| text(&mount["Source"]));
    let mut new_places: BTreeSet<String> = binds.chain(mounts).map(str::to_owned).collect();
    if !is_empty(&host_config["VolumesFrom"]) {
        // What it takes from another container is what the old one takes.
        new_places.extend(old_places.iter().cloned());
    }
    new_places.into_iter().filter(|place| old_places.contains(place)).collect()
}
