//! Settings that are removed from a body: `env.DEBUG`, `labels.tier`, `ports.80/tcp`,
//! `volumes./data`, `command`, `memory_bytes`. The names are those of `ContainerSpec`; what stands
//! after the first dot names one entry, and without it all are removed.

use serde_json::Value;
use wharf::settings::{self, Name, SETTINGS, Section, Setting, clean};

use super::json::{Object, get, is_empty, take_entry, text};
use crate::domain::quoted;

/// The setting and the entry that a path names.
pub fn read(path: &str) -> Result<(&'static Setting, Option<&str>), String> {
    let (field, entry) = match path.split_once('.') {
        Some((field, entry)) => (field, Some(entry)),
        None => (path, None),
    };
    if field == "image" {
        return Err("a container requires an image; set another one instead".to_owned());
    }
    let Some(setting) = settings::by_field(field) else {
        let near = SETTINGS.iter().max_by(|one, other| {
            strsim::jaro_winkler(one.field, field)
                .total_cmp(&strsim::jaro_winkler(other.field, field))
        });
        return Err(format!(
            "{} is not a setting; did you mean {}?",
            quoted(field),
            quoted(near.map_or("", |setting| setting.field))
        ));
    };
    match entry {
        Some("") => Err(format!("{} names no entry; write {field}.NAME", quoted(path))),
        Some(_) if setting.entries().is_none() => {
            Err(format!("{field} has no entries; write {field} alone"))
        }
        None if field == "networks" => {
            Err("networks requires the name of a network; write networks.NAME".to_owned())
        }
        entry => Ok((setting, entry)),
    }
}

/// Removes a setting, or one entry of it. Returns whether it was there.
pub fn remove(body: &mut Object, setting: &Setting, entry: Option<&str>) -> bool {
    match entry {
        Some(entry) => remove_entry(body, setting, entry),
        None => remove_all(body, setting),
    }
}

fn remove_all(body: &mut Object, setting: &Setting) -> bool {
    let also = match setting.field {
        "network" => body.shift_remove("NetworkingConfig").is_some(),
        "ports" => {
            let ports: Vec<String> = section(body, Section::Host)
                .and_then(|host| host.get("PortBindings")?.as_object())
                .map(|ports| ports.keys().cloned().collect())
                .unwrap_or_default();
            // Each of them, also after the first that was there.
            ports.iter().filter(|port| remove_entry(body, setting, port)).count() > 0
        }
        "volumes" => body.shift_remove("Volumes").is_some(),
        "memory_bytes" => {
            // Derived from it by the Engine.
            if let Some(host) = section(body, Section::Host) {
                let number = |key| get(host, key).as_i64().unwrap_or_default();
                if number("MemorySwap") == number("Memory").saturating_mul(2) {
                    host.shift_remove("MemorySwap");
                }
            }
            false
        }
        _ => false,
    };
    let value = section(body, setting.section).and_then(|it| it.shift_remove(setting.key));
    value.is_some_and(|value| !is_empty(&value)) || also
}

fn remove_entry(body: &mut Object, setting: &Setting, entry: &str) -> bool {
    let Some(name) = setting.entries() else { return false };
    let wanted = match name {
        Name::Capability | Name::Port => name.of(entry),
        Name::Target => return remove_target(body, clean(entry)),
        Name::Whole | Name::Before(_) | Name::Member(_) => entry.to_owned(),
    };
    let exposed = setting.field == "ports" && take_entry(body, "ExposedPorts", &wanted);
    let Some(section) = section(body, setting.section) else { return exposed };
    if setting.section == Section::Endpoints {
        return section.shift_remove(&wanted).is_some();
    }
    let named = |value: &Value| entry_name(name, value) == wanted || text(value) == wanted;
    let removed = match section.get(setting.key) {
        Some(Value::Array(_)) => retain(section, setting.key, |value| !named(value)),
        _ => take_entry(section, setting.key, &wanted),
    };
    removed || exposed
}

/// What an entry of a list of the body is called.
pub(crate) fn entry_name(name: Name, value: &Value) -> String {
    match (name, value) {
        (Name::Member(key), value) => text(&value[key]).to_owned(),
        (Name::Target, Value::Object(mount)) => clean(text(get(mount, "Target"))).to_owned(),
        (name, value) => name.of(text(value)),
    }
}

/// Removes whatever is mounted at the target, as what sets a mount there does.
fn remove_target(body: &mut Object, target: &str) -> bool {
    let of_map = |value: Option<&mut Value>| {
        let Some(Value::Object(map)) = value else { return false };
        let before = map.len();
        map.retain(|path, _| clean(path) != target);
        map.len() < before
    };
    let mut removed = of_map(body.get_mut("Volumes"));
    if let Some(host) = section(body, Section::Host) {
        removed |= of_map(host.get_mut("Tmpfs"));
        for key in ["Binds", "Mounts"] {
            removed |= retain(host, key, |value| entry_name(Name::Target, value) != target);
        }
    }
    removed
}

fn retain(object: &mut Object, key: &str, keep: impl Fn(&Value) -> bool) -> bool {
    let Some(Value::Array(list)) = object.get_mut(key) else { return false };
    let before = list.len();
    list.retain(keep);
    list.len() < before
}

/// The part of a body, where it is there.
fn section(body: &mut Object, section: Section) -> Option<&mut Object> {
    match section {
        Section::Body => Some(body),
        Section::Host => body.get_mut("HostConfig")?.as_object_mut(),
        Section::Log => body.get_mut("HostConfig")?.get_mut("LogConfig")?.as_object_mut(),
        Section::Endpoints => {
            body.get_mut("NetworkingConfig")?.get_mut("EndpointsConfig")?.as_object_mut()
        }
        Section::Endpoint => {
            let mode = text(&body.get("HostConfig")?["NetworkMode"]).to_owned();
            let endpoints = self::section(body, Section::Endpoints)?;
            let key = endpoints
                .keys()
                .find(|key| **key == mode || (is_bridge(key) && is_bridge(&mode)))?
                .clone();
            endpoints.get_mut(&key)?.as_object_mut()
        }
    }
}

/// Whether it is the Engine's own network.
pub(crate) fn is_bridge(name: &str) -> bool {
    matches!(name, "bridge" | "default" | "")
}
