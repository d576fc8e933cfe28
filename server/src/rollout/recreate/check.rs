//! Checks for problems that the Engine would only find at start, or refuse with unhelpful messages.

use std::collections::BTreeMap;

use serde_json::Value;
use wharf::settings::Section;

use super::identity::NOT_WITH_SHARED_NETWORK;
use super::json::{entries, is_empty, items, text, texts};
use super::networks::is_bridge;
use super::storage::{bind_target, clean};
use super::{Notes, settings};
use crate::domain::{Reason, quoted};

/// Checks a body as it would be sent.
pub(super) fn check(body: &Value, notes: &mut Notes) {
    shared_network(body, notes);
    names_on_bridge(body, notes);
    targets(body, notes);
    self_removal(body, notes);
}

fn shared_network(body: &Value, notes: &mut Notes) {
    let host_config = &body["HostConfig"];
    if !text(&host_config["NetworkMode"]).starts_with("container:") {
        return;
    }
    let set = |key: &&str| !is_empty(&body[*key]) || !is_empty(&host_config[*key]);
    for key in NOT_WITH_SHARED_NETWORK.iter().filter(|key| set(key)) {
        let section = if is_empty(&body[*key]) { Section::Host } else { Section::Body };
        let setting = settings::name(section, key);
        notes.refuse(
            Reason::InvalidField,
            format!(
                "change: a container in the network of another one cannot have {setting}; unset it"
            ),
        );
    }
}

/// C22: Engines before 25 accept such a body and fail at the start.
fn names_on_bridge(body: &Value, notes: &mut Notes) {
    for (name, endpoint) in entries(&body["NetworkingConfig"]["EndpointsConfig"]) {
        let predefined = is_bridge(name) || matches!(name.as_str(), "host" | "none");
        for (key, what) in [("Aliases", "names"), ("IPAMConfig", "addresses")] {
            if predefined && !is_empty(&endpoint[key]) {
                notes.refuse(
                    Reason::InvalidField,
                    format!(
                        "change: {what} work only in user-defined networks, not in {}",
                        quoted(name)
                    ),
                );
            }
        }
    }
}

/// C24: the Engine refuses a target that is mounted twice.
fn targets(body: &Value, notes: &mut Notes) {
    let host_config = &body["HostConfig"];
    let binds = texts(&host_config["Binds"]).map(|bind| (bind_target(bind), "Binds"));
    let mounts =
        items(&host_config["Mounts"]).map(|mount| (clean(text(&mount["Target"])), "Mounts"));
    let tmpfs = entries(&host_config["Tmpfs"]).map(|(path, _)| (clean(path), "Tmpfs"));
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (target, place) in binds.chain(mounts).chain(tmpfs) {
        if let Some(other) = seen.insert(target, place) {
            notes.refuse(
                Reason::InvalidField,
                format!("change: {} is mounted twice, in {other} and {place}", quoted(target)),
            );
        }
    }
}

fn self_removal(body: &Value, notes: &mut Notes) {
    let host_config = &body["HostConfig"];
    let policy = text(&host_config["RestartPolicy"]["Name"]);
    if host_config["AutoRemove"] == true && !matches!(policy, "" | "no") {
        notes.refuse(
            Reason::InvalidField,
            format!("change: a container with auto-remove cannot have a restart policy ({policy}); unset one"),
        );
    }
}
