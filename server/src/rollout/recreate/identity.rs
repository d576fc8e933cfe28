//! The identity of a container: generated host names, shared namespaces, links, and defaults of the
//! Engine that were frozen into it (C9, C11 to C13, C15).

use serde_json::Value;

use super::Notes;
use super::json::{Object, get, is_empty, text, texts};
use crate::domain::{Reason, quoted};
use crate::engine::Inspection;
use crate::rollout::facts::HostFacts;
use crate::rollout::model::names::target_of;

/// Settings that conflict with the network of another container. Their values came from that
/// container at the start (C12).
pub(super) const NOT_WITH_SHARED_NETWORK: [&str; 5] =
    ["Hostname", "Domainname", "ExposedPorts", "MacAddress", "PortBindings"];

/// Removes generated values.
pub(super) fn forget(
    config: &mut Object,
    host_config: &mut Object,
    inspect: &Inspection,
    host: &HostFacts,
    notes: &mut Notes,
) {
    hostname(config, host_config, inspect, host, notes);
    if text(get(host_config, "NetworkMode")).starts_with("container:") {
        for key in NOT_WITH_SHARED_NETWORK {
            config.shift_remove(key);
            host_config.shift_remove(key);
        }
    }
    links(host_config, host);
    parents(host_config, inspect, host, notes);
}

/// Adds a risk if a container keeps a former default of the Engine (C9): keeping it is correct, but
/// may surprise.
pub(super) fn warn_of_frozen_defaults(host_config: &Object, host: &HostFacts, notes: &mut Notes) {
    let driver = text(&get(host_config, "LogConfig")["Type"]);
    let runtime = text(get(host_config, "Runtime"));
    for (what, own, default) in
        [("log driver", driver, &host.log_driver), ("runtime", runtime, &host.runtime)]
    {
        if !own.is_empty() && !default.is_empty() && own != default {
            notes.risk(format!(
                "it keeps the {what} {}; the Engine's default is {}",
                quoted(own),
                quoted(default)
            ));
        }
    }
}

/// The name of the link that an inspection shows as `/db:/web/alias` (C15).
pub(super) fn link(shown: &str) -> String {
    match shown.split_once(':') {
        Some((target, alias)) => {
            format!("{target}:{}", alias.rsplit('/').next().unwrap_or(alias))
        }
        None => shown.to_owned(),
    }
}

/// If a rollout replaced and renamed the target of a link, changes the link to the container with
/// the original name: a link follows the container, not the name (C15).
fn followed(link: &str, host: &HostFacts) -> String {
    let Some((target, alias)) = link.split_once(':') else { return link.to_owned() };
    let name = target.trim_start_matches('/');
    match target_of(name) {
        Some(now) if host.containers.iter().any(|other| other.name == now) => {
            format!("/{now}:{alias}")
        }
        _ => link.to_owned(),
    }
}

fn hostname(
    config: &mut Object,
    host_config: &Object,
    inspect: &Inspection,
    host: &HostFacts,
    notes: &mut Notes,
) {
    let name = text(get(config, "Hostname")).to_owned();
    let id = &inspect.id;
    let uts_of_host = text(get(host_config, "UTSMode")) == "host";
    let network_of_host = text(get(host_config, "NetworkMode")) == "host";
    let made_up = name.is_empty()
        || id.get(..12) == Some(&name)
        || uts_of_host
        || (network_of_host && name == host.engine_name);
    if made_up {
        config.shift_remove("Hostname");
    } else if name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        notes.risk(format!(
            "its host name {name} looks like the ID of another container; it is kept; to remove it, use unset hostname"
        ));
    }
    if uts_of_host || is_empty(get(config, "Domainname")) {
        config.shift_remove("Domainname");
    }
}

fn links(host_config: &mut Object, host: &HostFacts) {
    let links: Vec<Value> =
        texts(get(host_config, "Links")).map(|shown| followed(&link(shown), host).into()).collect();
    if !links.is_empty() {
        host_config.insert("Links".to_owned(), links.into());
    }
}

/// A container whose namespace it shares must still be there (C14).
fn parents(host_config: &Object, inspect: &Inspection, host: &HostFacts, notes: &mut Notes) {
    for (what, key) in [("network", "NetworkMode"), ("IPC", "IpcMode"), ("PID", "PidMode")] {
        let mode = text(get(host_config, key));
        let Some(parent) = mode.strip_prefix("container:") else { continue };
        let there = host.containers.iter().any(|other| other.is(parent))
            || host.unread.iter().any(|id| id == parent);
        if !there && !parent.is_empty() && parent != inspect.id {
            notes.refuse(
                Reason::NamespaceGone,
                format!(
                    "it shares the {what} namespace of the container {parent}, which is gone; set another one, such as the name of its replacement"
                ),
            );
        }
    }
}
