//! Whether the new container may start while the old one runs (C32).

use std::collections::BTreeSet;

use serde_json::Value;

use super::dependents::Dependent;
use super::json::{entries, is_empty, items, text, texts};
use super::{Notes, Options};
use crate::domain::Reason;
use crate::rollout::facts::OldContainer;
use crate::rollout::model::{Order, Trouble};
use crate::rollout::spec::OrderPreference;

/// The requested order, if it is possible.
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
    let mut obstacles = obstacles(old, body, dependents, options.share_volumes);
    let shared = shared_names(body);
    if options.order == OrderPreference::Auto {
        obstacles.extend(shared.iter().map(|name| format!("its {name} would resolve to both")));
    }
    match order_where(options.order, &obstacles) {
        Ok((order, risk)) => {
            notes.risks.extend(risk);
            if order == Order::StartFirst {
                notes.risks.extend(shared.iter().map(|name| format!(
                    "the {name} resolves to both containers from the start of the new one, before its gate, until the old one stops"
                )));
            }
            order
        }
        Err(trouble) => {
            notes.refusals.push(trouble);
            Order::StopFirst
        }
    }
}

/// The order that is wished for, where that is possible with these obstacles to start-first; else the
/// other one, with the reason as a risk, or a refusal.
pub fn order_where(
    wished: OrderPreference,
    obstacles: &[String],
) -> Result<(Order, Option<String>), Trouble> {
    let why = obstacles.join("; ");
    match wished {
        OrderPreference::StopFirst => Ok((Order::StopFirst, None)),
        _ if obstacles.is_empty() => Ok((Order::StartFirst, None)),
        OrderPreference::Auto => Ok((Order::StopFirst, Some(format!("stop-first, because {why}")))),
        OrderPreference::StartFirst => Err(Trouble::new(
            Reason::RolloutStartFirstImpossible,
            format!("start-first is not possible: {why}; use stop-first or auto"),
        )),
    }
}

/// Adds a risk for host ports that change.
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
        notes.risk(format!("the host's port for {} changes", ports.join(", ")));
    }
    if host_config["PublishAllPorts"] == true {
        notes.risk("the host's ports for all exposed ports change");
    }
}

/// What stands against a new container of this body beside the old one.
pub fn obstacles(
    old: &OldContainer,
    body: &Value,
    dependents: &[Dependent],
    share_volumes: bool,
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
        obstacles.push(format!("it publishes the host port {}", fixed.join(", ")));
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
    if !share_volumes {
        for place in shared(old, body) {
            obstacles.push(format!("old and new would both write to {place}"));
        }
    }
    if old.inspect.auto_remove {
        obstacles.push("it has auto-remove".to_owned());
    }
    obstacles
}

/// Names in networks resolve to every container that has them. The Engine assigns names when a
/// container joins a network, and cannot change them: to withhold them until the gate, the new
/// container would have to leave the network and join again, with another address and without its
/// connections. Therefore, `auto` stops first, and an explicit start-first has a risk.
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
        // Volumes from another container are those that the old one uses.
        new_places.extend(old_places.iter().cloned());
    }
    new_places.into_iter().filter(|place| old_places.contains(place)).collect()
}
